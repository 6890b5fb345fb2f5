//! The tests by topic.

mod again;
mod bounds;
mod check;
mod cuts;
mod delivery;
mod durable;
mod ensure;
mod errors;
mod facts;
mod faults;
mod faulty;
mod golden;
mod input;
mod interrupts;
mod judge;
mod leftovers;
mod list;
mod means;
mod moved;
mod natures;
mod old;
mod once;
mod order;
mod output;
mod planted;
mod records;
mod refusals;
mod reports;
mod resume;
mod schemes;
mod slow;
mod times;
mod told;
mod vm;
mod vm_cuts;
mod vm_fat;
mod vm_faults;
mod vm_layers;
mod vm_natures;
mod vm_paths;
mod vm_served;
mod weak;
mod wiping;
mod words;

/// Those on this host's kernel.
pub fn on_this_host() -> Vec<libtest_mimic::Trial> {
    [
        wiping::cases(),
        refusals::cases(),
        facts::cases(),
        bounds::cases(),
        again::cases(),
        check::cases(),
        cuts::cases(),
        delivery::cases(),
        ensure::cases(),
        errors::cases(),
        input::cases(),
        interrupts::cases(),
        judge::cases(),
        leftovers::cases(),
        list::cases(),
        means::cases(),
        natures::cases(),
        schemes::cases(),
        slow::cases(),
        times::cases(),
        told::cases(),
        durable::cases(),
        moved::cases(),
        order::cases(),
        output::cases(),
        planted::cases(),
        records::cases(),
        reports::cases(),
        resume::cases(),
        weak::cases(),
        words::cases(),
        faults::cases(),
        faulty::cases(),
        golden::cases(),
        old::cases(),
        once::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those in the virtual machine.
pub fn in_the_machine() -> Vec<libtest_mimic::Trial> {
    [
        vm::cases(),
        vm_cuts::cases(),
        vm_fat::cases(),
        vm_faults::cases(),
        vm_paths::cases(),
        vm_natures::cases(),
        vm_layers::cases(),
        vm_served::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
