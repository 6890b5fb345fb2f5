//! The report of a finished wipe: kept beside its record, and written where
//! `--report` says.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal::{SIGCONT, SIGINT};
use serde_json::Value;

use crate::support::state::{keys_of, unchanged};
use crate::support::{MIB, NOTHING, Need, STRACE, Scratch, cases, sh};

const SHA: &[Need] = &[Need::Tool("sha256sum")];
const USERS: &[Need] = &[Need::Root, Need::Tool("setpriv")];

cases![
    SHA => a_page_is_kept_beside_the_record_and_has_its_digest,
    SHA => a_folder_gets_a_record_and_a_page_named_by_serial_and_time,
    NOTHING => a_file_gets_the_one_that_its_ending_names,
    NOTHING => an_ending_that_is_none_is_a_usage_error,
    NOTHING => a_place_that_cannot_be_written_is_refused_before_the_first_byte,
    USERS => a_folder_without_permission_is_refused_before_the_first_byte,
    NOTHING => a_report_of_another_wipe_is_never_replaced,
    NOTHING => of_two_wipes_at_once_the_later_does_not_replace_the_report_of_the_other,
    NOTHING => words_and_place_are_kept_over_an_interrupt_and_may_be_given_anew,
    NOTHING => an_interrupted_run_writes_no_report,
    NOTHING => a_place_that_went_away_is_said_loudly_and_the_record_stands,
    STRACE => a_crash_before_the_checkpoint_is_removed_still_gives_one_report,
    NOTHING => ensure_writes_the_report_of_the_earlier_wipe,
    NOTHING => words_that_are_empty_or_break_lines_are_usage_errors,
];

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The one page in a folder.
fn page_in(folder: &Path) -> PathBuf {
    files(folder, "html").pop().unwrap()
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new(end)))
        .collect()
}

fn digest(path: &Path) -> String {
    let line = sh!("sha256sum", path);
    line.split(' ').next().unwrap().into()
}

fn a_page_is_kept_beside_the_record_and_has_its_digest() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 3 * MIB + 5);
    let done = scratch.wipe(&image).yes().run().wiped(&image, 3 * MIB + 5);
    let record = scratch.state().reports().pop().unwrap();
    let page = record.with_extension("html");
    assert!(done.stderr.contains(&*record.to_string_lossy()), "{done:?}");
    let html = text(&page);
    assert!(html.contains(&digest(&record)));
    assert!(html.contains(&*record.file_name().unwrap().to_string_lossy()));
    assert!(html.contains(">WIPED<") && html.contains("3,145,733 bytes"));
    // A file is never Clear.
    assert!(html.contains(">Overwritten<") && !html.contains("Clear: overwrite"));
    let json = scratch.state().report();
    let key = json["plan"][0]["key"].as_str().unwrap();
    assert!(key.len() == 64 && !html.contains(key));
    // What can be handed out has no keys.
    assert!(!text(&record).contains(key) && text(&keys_of(&record)).contains(key));
    assert_eq!(json["verification"]["bytes"], 3 * MIB + 5);
    for path in [&record, &page, &keys_of(&record)] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

fn a_folder_gets_a_record_and_a_page_named_by_serial_and_time() {
    let scratch = Scratch::new();
    let folder = scratch.join("new");
    for name in ["a.img", "b.img"] {
        let image = scratch.tagged(name, MIB);
        let to = format!("{}/", folder.display());
        let wipe = scratch.wipe(&image).yes().args(["--report", &to]);
        let done = wipe.run().wiped(&image, MIB);
        assert!(done.stderr.contains(&to), "{done:?}");
    }
    let mut records = files(&folder, "json");
    records.sort();
    assert_eq!(files(&folder, "html").len(), 2);
    for (record, device) in records.iter().zip(["a.img-", "b.img-"]) {
        let name = record.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(device), "{name}");
        let value: Value = serde_json::from_str(&text(record)).unwrap();
        let year = &value["started_at"].as_str().unwrap()[..4];
        assert!(name[device.len()..].starts_with(year), "{name}");
        let html = text(&record.with_extension("html"));
        assert!(html.contains(&digest(record)) && html.contains(name));
        let mode = std::fs::metadata(record).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

fn a_file_gets_the_one_that_its_ending_names() {
    let scratch = Scratch::new();
    for (name, other) in [("r.json", "r.html"), ("r.html", "r.json")] {
        let image = scratch.tagged("old.img", MIB);
        // Relative to where it runs.
        let wipe = scratch.wipe(&image).words("--yes --restart --report");
        wipe.arg(name).run().wiped(&image, MIB);
        assert!(scratch.join(name).is_file() && !scratch.join(other).exists());
        std::fs::rename(scratch.join(name), scratch.join("kept")).unwrap();
    }
    // The page alone says where its record is.
    let html = text(&scratch.join("kept"));
    let reports = scratch.state().reports();
    let named = |path: &PathBuf| html.contains(&*path.to_string_lossy());
    assert!(reports.iter().any(named), "{html}");
}

fn an_ending_that_is_none_is_a_usage_error() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    for path in ["r.pdf", "r", "nowhere/r.txt"] {
        unchanged(&[&image, scratch.state().path()], || {
            let wipe = scratch.wipe(&image).yes().args(["--report", path]);
            wipe.code(2)
                .one_line()
                .says(&["--report: ", path, ".json or .html"])
        });
    }
    let wipe = scratch.wipe(&image).yes().args(["--report", ""]);
    wipe.code(2).one_line().says(&["did a variable expand"]);
}

fn a_place_that_cannot_be_written_is_refused_before_the_first_byte() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    std::fs::create_dir(scratch.join("r.json.d")).unwrap();
    std::fs::write(scratch.join("file"), "x").unwrap();
    std::os::unix::fs::symlink("/dev/null", scratch.join("link.html")).unwrap();
    for path in [
        "missing/r.html",
        "file/r.html",
        "file/",
        "missing/new/",
        "link.html",
        "old.img/r.json",
    ] {
        unchanged(&[&image, scratch.state().path()], || {
            let wipe = scratch.wipe(&image).yes().args(["--report", path]);
            wipe.code(4)
                .one_line()
                .says(&["name another", "not touched"])
        });
    }
}

fn a_folder_without_permission_is_refused_before_the_first_byte() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    let free = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(scratch.path(), free.clone()).unwrap();
    std::fs::set_permissions(&image, free).unwrap();
    let folder = scratch.join("roots");
    std::fs::create_dir(&folder).unwrap();
    let user = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let wipe = scratch.wipe(&image).yes().under(user);
    let done = wipe.arg("--report").arg(&folder).run();
    // Where that user may not even come to the image, nothing is shown.
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert!(files(&folder, "html").is_empty());
}

fn a_report_of_another_wipe_is_never_replaced() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.tagged("a.img", MIB), scratch.tagged("b.img", MIB));
    let wipe = |image: &Path| scratch.wipe(image).yes().args(["--report", "r.html"]);
    wipe(&one).run().wiped(&one, MIB);
    let before = text(&scratch.join("r.html"));
    unchanged(&[&two], || {
        wipe(&two).code(4).one_line().says(&["is there already"])
    });
    assert_eq!(text(&scratch.join("r.html")), before);
}

fn of_two_wipes_at_once_the_later_does_not_replace_the_report_of_the_other() {
    for name in ["r.html", "r.json"] {
        let scratch = Scratch::new();
        let (one, two) = (
            scratch.tagged("a.img", 4 * MIB),
            scratch.tagged("b.img", MIB),
        );
        let wipe = |image: &Path| scratch.wipe(image).yes().args(["--report", name]);
        let mut slow = wipe(&one).words("--rate-limit 4M").start();
        slow.until_saved(&scratch.state(), "it has begun", |_| true);
        slow.stop();
        wipe(&two).run().wiped(&two, MIB);
        let before = text(&scratch.join(name));
        slow.signal(SIGCONT);
        let done = slow.wait().code(7);
        assert!(done.stdout.ends_with("0 differ\n"), "{done:?}");
        done.says(&[name, "is there already", "it is kept as"]);
        assert_eq!(text(&scratch.join(name)), before);
    }
}

/// Starts a wipe and stops it after the first megabyte.
fn interrupted(scratch: &Scratch, image: &Path, words: &[&str]) {
    let wipe = scratch.wipe(image).yes().args(words);
    let wipe = wipe.words("--rate-limit 4M --checkpoint-every 1M -b 64K");
    let mut run = wipe.start();
    run.until_saved(&scratch.state(), "a megabyte", |value| {
        value["written"].as_u64() >= Some(MIB)
    });
    run.signal(SIGINT);
    run.wait().killed_by(SIGINT);
}

fn words_and_place_are_kept_over_an_interrupt_and_may_be_given_anew() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    let folder = scratch.join("out");
    let words = [
        "--report",
        "out/",
        "--operator",
        "J\u{fc}rgen <b>\"M\"</b>",
        "--asset",
        "A-1",
        "--note",
        "first",
    ];
    interrupted(&scratch, &image, &words);
    let kept = scratch.state().checkpoint();
    assert_eq!(kept["report"]["asset"], "A-1");
    let to = kept["report"]["path"].as_str().unwrap();
    assert!(to.starts_with('/') && to.ends_with("out/"), "{to}");
    let wipe = scratch.wipe(&image).words("--resume --yes --note second");
    wipe.run().wiped(&image, 8 * MIB);
    let html = text(&page_in(&folder));
    assert!(html.contains("J\u{fc}rgen &lt;b&gt;&quot;M&quot;&lt;/b&gt;"));
    assert!(html.contains("A-1") && html.contains("second") && !html.contains("first<"));
    let interruptions = "Interruptions</th><td>1</td>";
    assert!(html.contains(interruptions) && html.contains("SIGINT"));
}

fn an_interrupted_run_writes_no_report() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 8 * MIB);
    interrupted(&scratch, &image, &["--report", "r.html"]);
    assert!(!scratch.join("r.html").exists());
    assert!(scratch.state().reports().is_empty());
    // Another place replaces it.
    let wipe = scratch.wipe(&image).words("--resume --yes --report s.json");
    wipe.run().wiped(&image, 8 * MIB);
    assert!(!scratch.join("r.html").exists() && scratch.join("s.json").exists());
}

fn a_place_that_went_away_is_said_loudly_and_the_record_stands() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 4 * MIB);
    let folder = scratch.join("out");
    std::fs::create_dir(&folder).unwrap();
    let wipe = scratch.wipe(&image).yes().words("--report out/r.html");
    let mut run = wipe.words("--rate-limit 4M").start();
    run.until_saved(&scratch.state(), "it has begun", |_| true);
    std::fs::remove_dir(&folder).unwrap();
    let done = run.wait().code(7);
    assert!(done.stdout.ends_with("0 differ\n"), "{done:?}");
    let page = scratch.state().reports()[0].with_extension("html");
    let kept = format!("it is kept as {}", page.display());
    done.says(&["out/r.html: the report could not be written", &kept]);
    assert!(text(&page).contains(">WIPED<") && scratch.state().pending().is_empty());
}

fn a_crash_before_the_checkpoint_is_removed_still_gives_one_report() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", 2 * MIB);
    let pending = |call: &str| format!("inject={call}:signal=KILL:when=");
    // The removal of the checkpoint is the last one of all.
    let mut killed = false;
    for when in 1..40 {
        let inject = format!("{}{when}", pending("unlink,unlinkat"));
        let wipe = scratch.wipe(&image).yes().words("--report r.html");
        let options = ["strace", "-D", "-f", "-o", "/dev/null", "-e", &inject];
        let wipe = if killed { wipe.arg("--resume") } else { wipe };
        let done = wipe.under(options).run();
        if done.status.success() {
            break;
        }
        killed = !scratch.state().pending().is_empty();
        if scratch.join("r.html").exists() {
            assert!(killed, "the checkpoint went before its report was there");
            let wipe = scratch.wipe(&image).words("--resume --yes");
            wipe.run().wiped(&image, 2 * MIB);
            assert_eq!(scratch.state().reports().len(), 1);
            assert!(scratch.state().pending().is_empty());
            return;
        }
    }
    panic!("never killed between the report and the end");
}

fn ensure_writes_the_report_of_the_earlier_wipe() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    scratch.wipe(&image).yes().run().wiped(&image, MIB);
    for _ in 0..2 {
        let wipe = scratch.wipe(&image).words("--ensure --yes --report r.html");
        wipe.run().wiped(&image, MIB);
    }
    assert!(text(&scratch.join("r.html")).contains(">WIPED<"));
}

fn words_that_are_empty_or_break_lines_are_usage_errors() {
    let scratch = Scratch::new();
    let image = scratch.tagged("old.img", MIB);
    for option in ["--operator", "--asset", "--note"] {
        for (word, says) in [
            (b"".to_vec(), "did a variable expand to nothing?"),
            (b"a\nb".to_vec(), "line break"),
            (vec![0xFF], "UTF-8"),
        ] {
            let wipe = scratch.wipe(&image).yes().arg(option);
            let wipe = wipe.arg(OsString::from_vec(word));
            wipe.code(2).one_line().says(&[option, says]);
        }
    }
}
