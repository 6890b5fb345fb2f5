//! The machine itself.

use super::*;

#[test]
fn the_machine_says_its_name_and_model_where_it_knows_them() {
    let machine = Machine::new();
    assert_eq!(machine.host.computer(), Computer::default());
    let (sys, proc) = (&machine.host.sys, &machine.host.proc);
    Machine::write(&proc.join("sys/kernel/hostname"), "bench-4\n");
    Machine::write(&proc.join("device-tree/model"), "Board 5\0");
    assert_eq!(machine.host.computer().name.as_deref(), Some("bench-4"));
    assert_eq!(machine.host.computer().model.as_deref(), Some("Board 5"));
    Machine::write(&sys.join("class/dmi/id/sys_vendor"), "Dell Inc.\n");
    Machine::write(&sys.join("class/dmi/id/product_name"), "R740xd\n");
    let model = machine.host.computer().model;
    assert_eq!(model.as_deref(), Some("Dell Inc. R740xd"));
}
