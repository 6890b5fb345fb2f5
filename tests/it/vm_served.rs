//! Images on a file server that goes away, by the guest's own client.

use crate::support::content::{Content, check};
use crate::support::state::number;
use crate::support::vm::{MACHINE, Machine};
use crate::support::{MIB, cases};

cases![
    MACHINE => a_server_of_9p_that_goes_makes_no_bad_sectors_and_loses_nothing,
];

const SIZE: u64 = 16 * MIB;

fn a_server_of_9p_that_goes_makes_no_bad_sectors_and_loses_nothing() {
    let (machine, image) = Machine::new().serving("old.img", SIZE);
    let boot = machine
        .boot(
            &[],
            "served() { mkdir -p /m; mount -t 9p -o $P9 10.0.2.2 /m || exit 1; }
             served; lab serve 5M
             try gone wipeit --yes --checkpoint-every 1M -b 64K --state-dir /w /m/old.img
             show pending /w/pending/*.json
             echo left $(ls /w/pending | wc -l) records $(ls /w/reports 2>/dev/null | wc -l)
             umount -l /m; lab serve again; served
             try resumed wipeit --resume --yes --state-dir /w
             show report /w/reports/*.json",
        )
        .finished();
    boot.ended("gone", 1, &["FAILED /m/old.img ", "--resume"]);
    assert_eq!(boot.value("left"), "1 records 0");
    let parsed = |name: &str| boot.whole(name, boot.excerpt(name));
    let pending = parsed("pending");
    assert_eq!(pending["bad"], serde_json::json!([]), "{pending}");
    let written = number(&pending, "written");
    assert!((2 * MIB..5 * MIB).contains(&written), "{pending}");
    boot.ended(
        "resumed",
        0,
        &["WIPED /m/old.img ", "continues at", " 0 bad"],
    );
    let report = parsed("report");
    assert_eq!(report["run_id"], pending["run_id"]);
    assert_eq!(report["bad"], serde_json::json!([]), "{report}");
    check(&image, 0, SIZE, &Content::of(&report, 1));
}
