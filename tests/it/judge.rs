//! The judge of the power cuts objects to everything that breaks the promise.

use serde_json::{Value, json};

use crate::rig::judge::{Files, Found, Known, judge};
use crate::rig::memory::{Before, Memory};
use crate::rig::stream::Stream;
use crate::support::content::Content;
use crate::support::{MIB, NOTHING, OPENSSL, cases};

cases![
    NOTHING => what_keeps_the_promise_passes,
    NOTHING => everything_that_breaks_the_promise_is_objected_to,
    OPENSSL => the_judges_streams_are_those_of_openssl,
];

const SIZE: u64 = 8 * MIB;
const WRITTEN: u64 = 3 * MIB;

/// A drive, the files of its state directory and what is known, half way.
struct Scene {
    drive: Memory,
    checkpoint: Value,
    files: Files,
    known: Known,
}

impl Scene {
    fn half_way() -> Self {
        let checkpoint = json!({
            "kind": "wipeit-checkpoint", "version": 1, "total_size": SIZE,
            "written": WRITTEN, "verified": 0, "pass": 1, "phase": "write",
            "plan": [{ "strategy": "random", "generator": "aes256-ctr64le",
                       "key": "07".repeat(32), "verify": "full" }],
            "bad": [],
        });
        let mut scene = Self {
            drive: Memory::new(SIZE, Before::Tags),
            checkpoint,
            files: Files::default(),
            known: Known {
                interval: MIB,
                before: Some((0, 0, 2 * MIB)),
                reach: WRITTEN + MIB,
                bad: Vec::new(),
                said_wiped: false,
            },
        };
        scene.write(0, WRITTEN + MIB / 2);
        scene.save();
        scene
    }

    fn finished() -> Self {
        let mut scene = Self::half_way();
        scene.write(0, SIZE);
        scene.checkpoint["written"] = SIZE.into();
        scene.checkpoint["phase"] = "complete".into();
        scene.save();
        scene.files.reports = std::mem::take(&mut scene.files.pending);
        scene.known.said_wiped = true;
        scene
    }

    fn write(&mut self, from: u64, to: u64) {
        let stream = Stream::of(&self.checkpoint["plan"][0]).unwrap();
        let bytes = stream.bytes(from, usize::try_from(to - from).unwrap());
        self.drive.write(from, &bytes);
    }

    fn save(&mut self) {
        let bytes = serde_json::to_vec(&self.checkpoint).unwrap();
        self.files.pending = vec![("a.json".into(), bytes)];
    }

    fn verdict(&self) -> Result<Found, Vec<String>> {
        judge(&self.drive, &self.files, &self.known)
    }
}

fn what_keeps_the_promise_passes() {
    let found = Scene::half_way().verdict();
    assert_eq!(found, Ok(Found::Unfinished((0, 0, WRITTEN))));
    assert_eq!(Scene::finished().verdict(), Ok(Found::Finished));
    let mut again = Scene::finished();
    again.files.pending = std::mem::take(&mut again.files.reports);
    again.known.said_wiped = false;
    again.known.before = Some((0, 2, SIZE));
    again.checkpoint["phase"] = "verify".into();
    again.checkpoint["read_again"] = true.into();
    again.save();
    assert_eq!(again.verdict(), Ok(Found::Unfinished((0, 1, 0))));
    let mut untouched = Scene::half_way();
    untouched.drive = Memory::new(SIZE, Before::Tags);
    untouched.files = Files::default();
    untouched.known.before = None;
    untouched.known.reach = 0;
    assert_eq!(untouched.verdict(), Ok(Found::Untouched));
}

fn everything_that_breaks_the_promise_is_objected_to() {
    type Spoil = fn(&mut Scene);
    let spoils: [(&str, Spoil); 15] = [
        ("below what is saved", |s| {
            s.drive.write(WRITTEN - 512, &[1]);
        }),
        ("byte 0 is not what was written", |s| s.drive.write(0, &[1])),
        ("further ahead than the interval", |s| {
            s.write(WRITTEN + MIB, WRITTEN + MIB + 512);
        }),
        ("neither old nor new", |s| {
            s.drive.write(WRITTEN + 512, &[1]);
        }),
        ("is torn", |s| s.files.pending[0].1.truncate(100)),
        ("is torn, 0 bytes", |s| s.files.pending[0].1.clear()),
        ("nothing is left", |s| s.files = Files::default()),
        ("before any checkpoint was saved", |s| {
            s.drive = Memory::new(SIZE, Before::Tags);
            s.files = Files::default();
            s.known.before = None;
        }),
        ("no checkpoint says so", |s| {
            s.files = Files::default();
            s.known.before = None;
        }),
        ("backwards", |s| s.known.before = Some((0, 0, WRITTEN + 1))),
        ("beyond the saved", |s| s.known.reach = WRITTEN + MIB + 1),
        ("passed over in silence", |s| s.known.bad = vec![7]),
        ("is called bad and is not", |s| {
            s.checkpoint["bad"] = json!([{ "start": 512, "length": 512 }]);
            s.save();
        }),
        ("2 checkpoints", |s| {
            let copy = s.files.pending[0].1.clone();
            s.files.pending.push(("b.json".into(), copy));
        }),
        ("contradicts itself", |s| {
            s.checkpoint["total_size"] = (SIZE + 1).into();
            s.save();
        }),
    ];
    for (objection, spoil) in spoils {
        let mut scene = Scene::half_way();
        spoil(&mut scene);
        let wrong = scene.verdict().expect_err(objection).join("\n");
        assert!(wrong.contains(objection), "{objection}: {wrong}");
    }
    let spoils: [(&str, Spoil); 5] = [
        ("there is no record", |s| s.files.reports.clear()),
        ("below what is saved", |s| s.drive.write(SIZE - 1, &[1])),
        ("backwards", |s| {
            s.known.before = Some((0, 2, SIZE));
            s.known.said_wiped = false;
            s.checkpoint["phase"] = "verify".into();
            s.save();
            s.files.reports.clear();
        }),
        ("backwards", |s| {
            // The checkpoint beside the record is of long ago.
            s.known.before = Some((0, 0, WRITTEN));
            s.checkpoint["phase"] = "write".into();
            s.checkpoint["written"] = (WRITTEN - MIB).into();
            s.save();
        }),
        ("a record of what is not complete", |s| {
            s.checkpoint["phase"] = "verify".into();
            s.checkpoint["verified"] = SIZE.into();
            s.save();
            s.files.reports = std::mem::take(&mut s.files.pending);
        }),
    ];
    for (objection, spoil) in spoils {
        let mut scene = Scene::finished();
        spoil(&mut scene);
        let wrong = scene.verdict().expect_err(objection).join("\n");
        assert!(wrong.contains(objection), "{objection}: {wrong}");
    }
}

fn the_judges_streams_are_those_of_openssl() {
    let key = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
    for (generator, content) in [
        ("aes256-ctr64le", Content::Aes(key.into())),
        ("chacha20-ctr64", Content::ChaCha(key.into())),
    ] {
        let entry = json!({ "strategy": "random", "generator": generator, "key": key });
        let stream = Stream::of(&entry).unwrap();
        // Also beyond 2 TiB and 256 GiB, where a 32-bit counter would wrap.
        for offset in [0, 64 << 20, (256 << 30) + 4096, (2 << 40) + 512] {
            let (ours, theirs) = (stream.bytes(offset, 4096), content.bytes(offset, 4096));
            assert!(ours == theirs, "{generator} at {offset}");
        }
    }
}
