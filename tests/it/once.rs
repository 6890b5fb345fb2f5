//! What is done once: the machine is read, and threads are started.

use std::collections::BTreeMap;

use crate::support::device::Loop;
use crate::support::{MIB, Need, STRACE, Scratch, cases, trace};

const NEEDS: &[Need] = &[Need::Root, Need::Loop, Need::Tool("strace")];

cases![
    NEEDS => a_list_reads_processes_and_mounts_once_whatever_the_number_of_disks,
    STRACE => threads_live_as_long_as_the_run_whatever_is_printed,
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
    // What is read grows with the machine, not with disks x processes.
    let disks = list
        .stdout
        .lines()
        .filter(|line| line.starts_with("  /dev/"));
    let (disks, processes) = (disks.count(), of("fd").len());
    let all: usize = opened.values().sum();
    assert!(
        all <= 200 + 30 * disks + 6 * processes,
        "{all} opens for {disks} disks and {processes} processes"
    );
    // A disk costs what is read of itself.
    let own = |device: &Loop| {
        let name = format!("/{}/", device.name());
        let its = opened.iter().filter(|(path, _)| path.contains(&name));
        its.map(|(_, times)| times).sum::<usize>()
    };
    for device in &loops {
        assert!(
            own(device) <= 30,
            "{}: {} opens",
            device.name(),
            own(device)
        );
    }
}

fn threads_live_as_long_as_the_run_whatever_is_printed() {
    /// Of an image.
    const WORKERS: usize = 3;
    /// For the checkpoints, the clock, the display, stderr, stdout, Ctrl+C, other signals.
    const OTHERS: usize = 7;
    for options in ["", "--verify none", "--quiet"] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", 8 * MIB);
        let log = scratch.join("trace");
        let strace = ["strace", "-f", "-e", "trace=clone,clone3,prctl", "-o"];
        let wipe = scratch.wipe(&image).yes().words(options).under(strace);
        wipe.under([&log]).run().code(0);
        let calls = trace::read(&log);
        let started = |call: &&trace::Call| call.name.starts_with("clone") && call.result > 0;
        // One looks for the file of each loop device that others attached.
        let finds = |call: &&trace::Call| call.args.contains("finder");
        let finders = calls.iter().filter(finds).count();
        let threads = calls.iter().filter(started).count() - finders;
        assert!(threads <= WORKERS + OTHERS, "{options}: {threads} threads");
    }
}
