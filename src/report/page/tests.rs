//! The page, looked at as text.

use super::super::record::Record;
use super::super::tests::bad;
use super::html;
use super::ranges::hex;
use crate::drive::Finding;
use crate::drive::example::{SIZE, disk};
use crate::outcome::Outcome;
use crate::plan::{Difference, During, Extent, First, Pass, Phase, Plan, Step, Verify, Wrap};
use crate::probe::Computer;
use crate::progress::{Checkpoint, Run, Sample, digest};
use crate::strategy::{Content, Generator, Key};
use crate::text::size;

const KEY: [u8; 32] = [0xAB; 32];

/// A wipe of a drive with a tired area, stopped once.
fn checkpoint(verify: Verify) -> Checkpoint {
    let content = Content::Random {
        generator: Generator::Aes256,
        key: Key::new(KEY),
    };
    let plan = Plan::new(vec![Pass { content, verify }]).unwrap();
    let run_id = "7f3a0b1c2d3e4f50";
    let begun = "2026-01-14T02:10:07.123+01:00";
    let id = disk().identity;
    let mut checkpoint = Checkpoint::begin(id, plan, 1 << 20, run_id.into(), begun);
    *checkpoint.device_mut() = "/dev/sdb".into();
    *checkpoint.timestamp_mut() = "2026-01-16T02:41:02.500+01:00".into();
    let run = |start: &str, end: &str, why: &str| Run {
        start: start.into(),
        end: Some(end.into()),
        ended_by: Some(why.into()),
        ..Run::default()
    };
    *checkpoint.runs_mut() = vec![
        run(begun, "2026-01-14T12:10:07.123+01:00", "SIGINT"),
        run(
            "2026-01-14T14:10:07+01:00",
            "2026-01-16T02:41:02+01:00",
            "finished",
        ),
    ];
    for i in 1..=200_u64 {
        for (phase, outside) in [(Phase::Write, 271), (Phase::Verify, 280)] {
            if phase == Phase::Verify && verify == Verify::None {
                continue;
            }
            let noise = i * 7919 % 11 + u64::from(phase == Phase::Verify) * (i * 31 % 5);
            let dip = if (98..=103).contains(&i) { 190 } else { 0 };
            let slow = i * i * 140 / 40_000;
            checkpoint.samples_mut().push(Sample {
                pass: 1,
                phase,
                offset: SIZE / 200 * i,
                speed: (outside - slow).saturating_sub(dip + noise).max(4) * 1_000_000,
            });
        }
    }
    let complete = Step {
        pass: 0,
        phase: Phase::Complete,
    };
    checkpoint.set_position(complete, SIZE);
    checkpoint.report_mut().operator = Some("J\u{fc}rgen M\u{fc}ller".into());
    checkpoint.report_mut().asset = Some("INV-2041-7".into());
    checkpoint
}

fn differ(checkpoint: &mut Checkpoint, start: u64, length: u64, written_for: Option<u64>) {
    checkpoint.mismatches_mut().insert(Difference {
        extent: Extent::new(start, length).unwrap(),
        first: First {
            at: start,
            expected: vec![0x11; 16],
            found: vec![0x22; 16],
            written_for,
        },
    });
}

fn record(checkpoint: &Checkpoint, outcome: &Outcome) -> Record {
    let host = Computer {
        name: Some("bench-4".into()),
        model: Some("Dell Inc. PowerEdge R740xd".into()),
    };
    Record::new(checkpoint, outcome, &disk(), host)
}

fn page(checkpoint: &Checkpoint, outcome: &Outcome) -> String {
    let record = record(checkpoint, outcome);
    let json = record.to_json().unwrap();
    html(&record, &json, "sdb-ZR5A1B2C-7f3a0b1c.json")
}

/// The cell beside a label.
fn fact<'a>(page: &'a str, label: &str) -> &'a str {
    let start = format!("<th scope=\"row\">{label}</th><td>");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{label}"));
    rest.split("</td>").next().unwrap()
}

#[test]
fn every_figure_that_is_checked_by_hand_is_the_one_of_the_record() {
    let page = page(&checkpoint(Verify::Full), &Outcome::Wiped);
    for (label, text) in [
        ("Drive", "SEAGATE ST18000NM004J ZR5A1B2C"),
        ("Method", "Clear: overwrite"),
        ("Finished", "2026-01-16 02:41:02 +01:00"),
        ("Serial number", "ZR5A1B2C"),
        ("Firmware", "E002"),
        ("World-wide name", "5000c500d1a2b3c4"),
        ("Capacity", "18,000,207,937,536 bytes (18.0 TB)"),
        ("Sector", "4,096 bytes (its logical block)"),
        ("Slot", "0:7"),
        ("Write cache", "write back: flushed at every checkpoint"),
        ("Hidden areas", "HPA, DCO and AMAX: not checked"),
        ("Passes", "1; 18,000,207,937,536 bytes (18.0 TB) in all"),
        (
            "Compared",
            "18,000,207,937,536 bytes (18.0 TB), 100.0% of the drive",
        ),
        ("Result", "equal: 0 bytes differ"),
        ("Start", "2026-01-14 02:10:07 +01:00"),
        // 10 h, and 36 h 30 min 55 s.
        ("Active time", "46 h 30 min, in 2 runs"),
        ("Interruptions", "1"),
        ("Host at the end", "bench-4, Dell Inc. PowerEdge R740xd"),
    ] {
        assert_eq!(fact(&page, label), text, "{label}");
    }
    assert!(page.contains("<h1 class=\"wiped\">WIPED</h1>"));
    assert!(page.contains("No overwrite reaches retired sectors"));
    assert!(page.contains("J\u{fc}rgen") && page.contains("INV-2041-7"));
    assert!(!page.contains("Property number"), "it has one");
}

#[test]
fn the_digest_is_that_of_the_records_bytes() {
    // From FIPS 180-2.
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest(b"abc"), known);
    let record = record(&checkpoint(Verify::Full), &Outcome::Wiped);
    let json = record.to_json().unwrap();
    assert!(html(&record, &json, "x.json").contains(&digest(&json)));
}

#[test]
fn the_page_has_no_key_no_script_and_nothing_from_elsewhere() {
    let page = page(&checkpoint(Verify::Full), &Outcome::Wiped);
    assert!(!page.contains(&hex::encode(KEY)) && !page.contains(&hex::encode(&KEY[..8])));
    for part in [
        "<script", "http:", "https:", "src=", "href=", "url(", "@import",
    ] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn what_is_not_clear_is_never_called_so() {
    let mut bad_one = checkpoint(Verify::Full);
    bad(&mut bad_one, 9_000_103_968_768, 2_097_152, During::Write);
    bad(&mut bad_one, 9_000_504_524_800, 2_097_152, During::Read);
    let page = page(&bad_one, &Outcome::NotClear);
    assert!(page.contains("<h1 class=\"not\">NOT-CLEAR</h1>"));
    assert_eq!(fact(&page, "Method"), "Clear NOT achieved");
    assert!(!page.contains("Clear: overwrite") && !page.contains("WIPED"));
    assert!(page.contains("1,024 sectors in 2 ranges, 4,194,304 bytes (4.19 MB)"));
    for text in [
        "9,000,103,968,768",
        "9,000,106,065,919",
        "2,097,152",
        "I/O error",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let compared = "18,000,203,743,232 bytes (18.0 TB), 99.9% of the drive";
    assert_eq!(fact(&page, "Compared"), compared);
    assert_eq!(fact(&page, "Result"), "what could be compared is equal");
}

#[test]
fn where_old_data_remains_stands_at_the_top_and_among_what_was_found() {
    let mut checkpoint = checkpoint(Verify::Full);
    let place = "/lower/<b>disk.img".into();
    checkpoint.findings_mut().note(Finding::OldDataAt { place });
    let page = page(&checkpoint, &Outcome::NotClear);
    let said = "the old data is still on /lower/&lt;b&gt;disk.img.";
    assert_eq!(page.to_lowercase().matches(said).count(), 2, "{page}");
    assert!(!page.contains("0 sectors"), "{page}");
}

#[test]
fn what_differs_is_shown_and_a_counterfeit_named() {
    let mut checkpoint = checkpoint(Verify::Full);
    differ(&mut checkpoint, 4096, 8192, Some(24 << 20));
    *checkpoint.wrap_mut() = Some(Wrap::and(None, 8 << 20, 2 << 20));
    let page = page(&checkpoint, &Outcome::Differs);
    assert_eq!(
        fact(&page, "Result"),
        "NOT equal: 8,192 bytes (8.19 kB) in sectors that differ"
    );
    assert!(page.contains("Addresses wrap: the drive has at most 8,388,608 bytes (8.38 MB)"));
    for text in [
        &*hex(&[0x11; 16]),
        &*hex(&[0x22; 16]),
        "25,165,824",
        "12,287",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_wipe_without_a_full_read_back_claims_none() {
    let page = |verify| page(&checkpoint(verify), &Outcome::Wiped);
    let none = page(Verify::None);
    assert!(none.contains("but NOT read back.") && !none.contains("read back equal"));
    assert_eq!(fact(&none, "Result"), "nothing was compared");
    let verify = Verify::Sample { seed: 7 };
    let sample = page(verify);
    let share = size::percent_text(verify.bytes(SIZE), SIZE);
    assert!(sample.contains("every sample that was read back"));
    assert!(fact(&sample, "Compared").ends_with(&format!("{share} of the drive")));
}

#[test]
fn what_a_killed_run_took_is_not_known() {
    let mut checkpoint = checkpoint(Verify::Full);
    checkpoint.runs_mut()[0].end = None;
    checkpoint.runs_mut()[0].ended_by = None;
    let page = page(&checkpoint, &Outcome::Wiped);
    assert_eq!(
        fact(&page, "Active time"),
        "at least 36 h 30 min, in 2 runs"
    );
    assert!(page.contains("without a trace: killed, power lost, or the drive hung"));
    checkpoint.runs_mut()[1].end = Some(checkpoint.runs()[1].start.clone());
    let page = self::page(&checkpoint, &Outcome::Wiped);
    assert_eq!(fact(&page, "Active time"), "unknown, in 2 runs");
}

#[test]
fn hostile_words_reach_no_browser_raw() {
    const NASTY: &str = "<script>x</script>\"'&\n\x1b\u{202e}\u{9b}";
    let mut checkpoint = checkpoint(Verify::Full);
    let nasty = || Some(NASTY.to_string());
    let id = checkpoint.device_id_mut();
    (id.vendor, id.model, id.serial) = (nasty(), nasty(), nasty());
    (id.firmware, id.wwn) = (nasty(), nasty());
    *checkpoint.device_mut() = NASTY.into();
    *checkpoint.tool_version_mut() = NASTY.into();
    *checkpoint.timestamp_mut() = NASTY.into();
    checkpoint.runs_mut()[0].ended_by = nasty();
    let wanted = checkpoint.report_mut();
    (wanted.operator, wanted.asset, wanted.note) = (nasty(), nasty(), nasty());
    let mut record = record(&checkpoint, &Outcome::Wiped);
    (record.end.slot, record.end.host.name, record.end.host.model) = (nasty(), nasty(), nasty());
    (record.end.outcome, record.end.method) = (NASTY.into(), NASTY.into());
    record.end.limits = vec![NASTY.into()];
    let page = html(&record, b"", NASTY);
    assert!(!page.contains("<script") && !page.contains("x</"), "{page}");
    let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!page.chars().any(raw));
    let escaped = "&lt;script&gt;x&lt;/script&gt;&quot;'&amp;?";
    assert!(page.matches(escaped).count() >= 15);
}

#[test]
fn thousands_of_ranges_and_runs_leave_a_page_that_can_be_read() {
    let mut checkpoint = checkpoint(Verify::Full);
    for i in 0..10_000 {
        bad(&mut checkpoint, i * 8192, 4096, During::Write);
    }
    *checkpoint.runs_mut() = vec![checkpoint.runs()[0].clone(); 1000];
    let page = page(&checkpoint, &Outcome::NotClear);
    assert!(page.contains("and 9,900 more, all in the record"));
    assert!(page.contains("960 more, all in the record"));
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
#[ignore = "writes pages to look at, to the folder WIPEIT_PAGES"]
fn pages_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var("WIPEIT_PAGES").unwrap());
    let wiped = checkpoint(Verify::Full);
    let mut not_clear = wiped.clone();
    bad(&mut not_clear, 9_000_103_968_768, 2_097_152, During::Write);
    bad(&mut not_clear, 9_000_504_524_800, 2_097_152, During::Read);
    let mut differs = wiped.clone();
    for i in 0..40 {
        differ(
            &mut differs,
            i * 400_000_000_000,
            8_388_608,
            Some((i + 1) << 33),
        );
    }
    *differs.wrap_mut() = Some(Wrap::and(None, 8 << 30, 2 << 20));
    for (name, checkpoint, outcome) in [
        ("wiped", wiped, Outcome::Wiped),
        ("not-clear", not_clear, Outcome::NotClear),
        ("differs", differs, Outcome::Differs),
    ] {
        let file = folder.join(name).with_extension("html");
        std::fs::write(file, page(&checkpoint, &outcome)).unwrap();
    }
}
