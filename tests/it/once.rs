//! The machine is read once, however many disks it has.

use std::collections::BTreeMap;

use crate::support::device::Loop;
use crate::support::{MIB, Need, Scratch, cases, trace};

const NEEDS: &[Need] = &[Need::Root, Need::Loop, Need::Tool("strace")];

cases![
    NEEDS => a_list_reads_processes_and_mounts_once_whatever_the_number_of_disks,
];

fn a_list_reads_processes_and_mounts_once_whatever_the_number_of_disks() {
    let scratch = Scratch::new();
    let image = |number: u64| scratch.sparse(&format!("{number}.img"), (number + 1) * MIB);
    let loops: Vec<Loop> = (0..12).map(|number| Loop::over(&image(number))).collect();
    let log = scratch.join("trace");
    let strace = ["strace", "-f", "-y", "-o", log.to_str().unwrap()];
    let list = scratch.wipeit().arg("--list").under(strace);
    let list = list.under(["-e", "trace=openat"]).code(0);
    for device in &loops {
        assert!(list.stdout.contains(&device.name()), "{list:?}");
    }
    let mut opened: BTreeMap<String, usize> = BTreeMap::new();
    for call in trace::read(&log) {
        let path = call.args.split('"').nth(1).unwrap_or_default().to_string();
        *opened.entry(path).or_default() += 1;
    }
    let of = |end: &str| {
        let them = opened.iter().filter(|(path, _)| {
            let process = path.strip_prefix("/proc/");
            process.is_some_and(|rest| rest.split_once('/').is_some_and(|(_, last)| last == end))
        });
        them.map(|(path, times)| (path.clone(), *times))
            .collect::<Vec<_>>()
    };
    // All that are seen at all, and each of them once.
    assert!(!of("fd").is_empty(), "{opened:?}");
    assert!(
        of("fd").iter().all(|(_, times)| *times == 1),
        "{:?}",
        of("fd")
    );
    assert!(!of("mountinfo").is_empty(), "{opened:?}");
    assert!(
        of("mountinfo").iter().all(|(_, times)| *times == 1),
        "{:?}",
        of("mountinfo")
    );
    assert!(
        of("swaps").iter().all(|(_, times)| *times == 1),
        "{:?}",
        of("swaps")
    );
    // A disk costs what is read of itself.
    let own = |device: &Loop| {
        let name = format!("/{}/", device.name());
        let its = opened.iter().filter(|(path, _)| path.contains(&name));
        its.map(|(_, times)| times).sum::<usize>()
    };
    for device in &loops {
        assert!(
            own(device) <= 90,
            "{}: {} opens",
            device.name(),
            own(device)
        );
    }
}
