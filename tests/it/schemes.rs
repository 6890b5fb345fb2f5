//! Named schemes of several passes.

use nix::sys::signal::Signal::SIGINT;

use crate::support::content::{Content, check};
use crate::support::state::{number, unchanged};
use crate::support::{MIB, NOTHING, OPENSSL, Scratch, cases};

cases![
    OPENSSL => a_scheme_writes_its_passes_and_its_name_is_kept,
    OPENSSL => a_scheme_goes_on_after_an_interrupt_with_the_passes_that_it_drew,
    NOTHING => scheme_help_lists_them_all,
    NOTHING => what_contradicts_a_scheme_is_a_usage_error,
    NOTHING => all_35_passes_of_gutmann_are_written,
];

const SIZE: u64 = 3 * MIB + 77;

fn a_scheme_writes_its_passes_and_its_name_is_kept() {
    for (name, passes, last) in [
        ("nist-clear", 1, "zero"),
        ("dod-short", 3, "random"),
        ("dod-ece", 7, "random"),
        ("vsitr", 7, "pattern"),
        ("nnsa", 3, "zero"),
    ] {
        let scratch = Scratch::new();
        let image = scratch.tagged("old.img", SIZE);
        let wipe = scratch.wipe(&image).yes().words("--scheme").arg(name);
        let done = wipe.run().wiped(&image, SIZE);
        let text = format!("scheme {name}, {passes} pass");
        done.says(&[&text, "every byte read back"]);
        let report = scratch.state().report();
        assert_eq!(report["scheme"], name);
        let plan = report["plan"].as_array().unwrap();
        assert_eq!(plan.len(), passes);
        assert_eq!(plan[passes - 1]["strategy"], last);
        assert_eq!(plan[passes - 1]["verify"], "full");
        check(&image, 0, SIZE, &Content::of(&report, passes));
        scratch.wipe(&image).arg("--check").code(0);
    }
}

fn a_scheme_goes_on_after_an_interrupt_with_the_passes_that_it_drew() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", SIZE);
    let wipe = scratch.wipe(&image).yes().words("--scheme dod-ece -b 64K");
    let mut run = wipe.words("--rate-limit 2M --checkpoint-every 1M").start();
    let state = scratch.state();
    run.until_saved(&state, "the third pass", |value| number(value, "pass") == 3);
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
    let before = state.checkpoint();
    let wipe = scratch.wipe(&image).words("--resume --yes");
    wipe.words("--scheme vsitr")
        .code(2)
        .says(&["dod-ece", "--restart"]);
    let wipe = scratch.wipe(&image).words("--resume --yes");
    wipe.words("--scheme dod-ece").run().wiped(&image, SIZE);
    let report = state.report();
    assert_eq!(report["plan"], before["plan"]);
    assert_eq!(report["scheme"], "dod-ece");
    check(&image, 0, SIZE, &Content::of(&report, 7));
}

fn scheme_help_lists_them_all() {
    let scratch = Scratch::new();
    let done = scratch.wipeit().words("--scheme help").code(0).stderr("");
    for name in [
        "nist-clear",
        "dod-short",
        "dod-ece",
        "gutmann",
        "schneier",
        "vsitr",
        "rcmp-ops-ii",
        "hmg-is5-baseline",
        "hmg-is5-enhanced",
        "afssi-5020",
        "nnsa",
    ] {
        assert!(done.stdout.contains(&format!("  {name}: ")), "{name}");
    }
    assert!(done.stdout.contains("One pass is enough by NIST SP 800-88"));
}

fn what_contradicts_a_scheme_is_a_usage_error() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    unchanged(&[&image, scratch.state().path()], || {
        for (options, says) in [
            ("--scheme dod", "--scheme help lists them"),
            ("--scheme dod-short -s zero", "--strategy"),
            ("--scheme dod-short --passes 2", "--passes"),
            ("--scheme dod-short --pattern 55", "--pattern"),
            (
                "--scheme hmg-is5-baseline --verify none",
                "demands a full read-back",
            ),
            (
                "--scheme hmg-is5-enhanced --verify sample",
                "demands a full read-back",
            ),
        ] {
            let wipe = scratch.wipe(&image).yes().words(options);
            wipe.code(2).one_line().says(&[says]);
        }
    });
    let wipe = scratch.wipe(&image).yes();
    wipe.words("--scheme hmg-is5-enhanced --verify all").code(0);
}

fn all_35_passes_of_gutmann_are_written() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 200_000);
    let wipe = scratch.wipe(&image).yes().words("--scheme gutmann");
    wipe.run().wiped(&image, 200_000);
    assert_eq!(
        scratch.state().report()["plan"].as_array().unwrap().len(),
        35
    );
}
