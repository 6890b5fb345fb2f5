//! The card: what is about to be destroyed or continued. Pure: it prints and
//! asks nothing.

use std::path::Path;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};

use crate::drive::{self, Device, Fact, Kind, Medium, Nature, Node, Signature};
use crate::plan::{Content, Phase, Plan, Step, Verify};
use crate::probe::{Durability, Keeping};
use crate::progress::Checkpoint;
use crate::text::{about, clean, clock, count, field, size};

/// Partitions that are listed on the card.
const LISTED: usize = 8;
/// Steps that are listed on the card.
const STEPS: usize = 8;
/// Column at which the times of the plan's steps stand.
const TIMES: usize = 41;

/// How long one pass takes: to write it, to read it back. Measured.
pub type PassTimes = (Duration, Duration);

/// What is about to be destroyed and how long it takes.
#[must_use]
pub fn card(
    device: &Device,
    plan: &Plan,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
    state_dir: &Path,
    keeping: &Keeping,
) -> Vec<String> {
    let mut lines = field("Device", &device_text(device));
    lines.extend(identity_lines(device));
    lines.extend(content_lines(device));
    for warning in drive::warnings(device) {
        lines.extend(field("Warning", &warning.to_string()));
    }
    lines.extend(plan_lines(plan, times, now, device.size));
    let kept = kept_text(&keeping.durability);
    let state = format!("{} ({kept})", state_dir.to_string_lossy());
    lines.extend(field("State", &state));
    lines.extend(
        unflushed_text(keeping)
            .iter()
            .flat_map(|text| field("Flush", text)),
    );
    lines.extend(reach_lines(device));
    lines
}

/// What overwriting does not reach.
fn reach_lines(device: &Device) -> Vec<String> {
    let (kind, nature) = (device.identity.kind, device.identity.nature());
    let mut lines = Vec::new();
    if let (Kind::Disk, Some(areas)) = (kind, device.identity.hidden_areas()) {
        lines.extend(field("Hidden", &format!("{areas}: not checked")));
    }
    if let Some(part) = nature.part() {
        let text = format!("this is {part} of the drive: the others are not touched");
        lines.extend(field("Part", &text));
    }
    if nature.is_volume() {
        let text = "the drives below hold more than it shows: overwritten, not Clear";
        lines.extend(field("Volume", text));
    }
    if let Nature::Memory { .. } = nature {
        let text = "freed pages may keep old data until power-off: overwritten, not Clear";
        lines.extend(field("Memory", text));
    }
    match device.medium {
        Medium::Flash if kind == Kind::Partition || !nature.can_be_clear() => lines.extend(field(
            "Flash",
            "spare blocks are not reached. For Purge use the drive's own sanitize.",
        )),
        Medium::Flash if nature.part().is_some() => lines.extend(field(
            "Flash",
            "overwriting is Clear of this namespace alone; spare blocks are not reached. For \
             Purge use the drive's own sanitize.",
        )),
        Medium::Flash => lines.extend(field(
            "Flash",
            "overwriting is Clear; spare blocks are not reached. For Purge use the drive's own \
             sanitize.",
        )),
        Medium::File => lines.extend(field(
            "Limits",
            "it lies in a file, of which the file system may keep old copies elsewhere: \
             overwritten, not Clear",
        )),
        Medium::Rotational | Medium::Unknown => {}
    }
    lines
}

/// How surely the state is kept.
#[must_use]
pub fn kept_text(durability: &Durability) -> String {
    match durability {
        Durability::Kept => "on disk: survives a reboot".into(),
        Durability::BySlots(kind) => format!(
            "on disk: survives a reboot; {kind} keeps no file modes: who can read it has the keys \
             of this wipe"
        ),
        Durability::Memory => {
            "in memory: a resume will NOT survive a reboot; see --state-dir".into()
        }
        Durability::Server(kind) => format!("on a server ({kind}): as safe as the server keeps it"),
        Durability::Unknown(why) => {
            format!("may NOT survive a loss of power: {why}; see --state-dir")
        }
    }
}

/// What is said of a state that no flush protects; nothing of others.
#[must_use]
pub fn unflushed_text(keeping: &Keeping) -> Option<String> {
    let disks = keeping.unflushed.join(", ");
    (!disks.is_empty()).then(|| {
        format!(
            "the kernel takes the cache of the state's disk ({disks}) for write-through and sends \
             it no flush"
        )
    })
}

fn device_text(device: &Device) -> String {
    let path = device.path.to_string_lossy();
    let named = device
        .path
        .file_name()
        .is_some_and(|name| *name == *device.name);
    // Typed as a link: the name is what the question may ask for.
    let is = if named || matches!(device.node, Node::Image { .. }) {
        String::new()
    } else {
        format!(", is {}", device.name)
    };
    format!("{path}{is}, {}{}", kind(device), slot(device))
}

fn slot(device: &Device) -> String {
    device
        .slot
        .as_ref()
        .map_or(String::new(), |slot| format!(", slot {slot}"))
}

/// What it is, in words: `SATA hard disk`, `partition of /dev/sdb`.
fn kind(device: &Device) -> String {
    let nature = device.identity.nature();
    let drive = device.identity.transport.drive_name(device.medium);
    let backing = device
        .identity
        .backing
        .as_ref()
        .map_or(String::new(), |backing| format!(" over {}", backing.path));
    match (device.identity.kind, &device.node) {
        (Kind::Image, _) => "disk-image file".into(),
        (Kind::Loop, _) => format!("loop device{backing}"),
        (Kind::Partition, Node::Block { whole_path, .. }) => {
            let whole = whole_path.to_string_lossy();
            format!("only this partition of {whole}, {drive}{backing}")
                .trim_end_matches([',', ' '])
                .into()
        }
        (Kind::Partition | Kind::Disk, _) => match (nature.name(), nature.part()) {
            (_, Some(part)) => format!("{drive}, {part}"),
            (Some(name), None) => name,
            (None, None) => drive,
        },
    }
}

/// Model, serial and size.
fn identity_lines(device: &Device) -> Vec<String> {
    let id = &device.identity;
    let mut lines = Vec::new();
    if id.kind != Kind::Image {
        let names: Vec<&str> = [&id.vendor, &id.model]
            .into_iter()
            .filter_map(|name| name.as_deref().map(str::trim))
            .filter(|name| !name.is_empty())
            .collect();
        if !names.is_empty() {
            let firmware = id
                .firmware
                .as_ref()
                .map_or(String::new(), |firmware| format!(", firmware {firmware}"));
            lines.extend(field("Model", &format!("{}{firmware}", names.join(" "))));
        }
        let serial = id
            .serial
            .as_deref()
            .map(str::trim)
            .filter(|s| !s.is_empty());
        let wwn = id
            .wwn
            .as_ref()
            .map_or(String::new(), |wwn| format!(", WWN {wwn}"));
        if id.kind != Kind::Loop {
            let label = if id.nature().is_volume() {
                "Id"
            } else {
                "Serial"
            };
            let serial = serial.unwrap_or("none reported");
            lines.extend(field(label, &format!("{serial}{wwn}")));
        }
    }
    lines.extend(field(
        "Size",
        &format!(
            "{} ({} bytes)",
            size::decimal(device.size),
            size::grouped(device.size)
        ),
    ));
    lines
}

/// What is lost: what the device says it is, then each partition.
fn content_lines(device: &Device) -> Vec<String> {
    let itself = device.contents.first();
    let parts = device.contents.get(1..).unwrap_or_default();
    let mounted = match &device.usage.mounts {
        Fact::Known(mounts) if mounts.is_empty() => "not mounted",
        Fact::Known(_) => "MOUNTED",
        Fact::Unknown(_) => "mounts unknown",
    };
    let what = itself.and_then(|found| found.what);
    let label = itself.map_or(String::new(), label);
    let mut texts: Vec<String> = parts.iter().take(LISTED).map(partition).collect();
    if parts.len() > LISTED {
        texts.push(format!("and {} more", parts.len() - LISTED));
    }
    match (what, texts.is_empty()) {
        (None, true) => field("Content", &format!("nothing recognised; {mounted}")),
        (Some(what), true) => field("Content", &format!("{what}{label}; {mounted}")),
        (what, false) => {
            let table = what.unwrap_or("partitions");
            let first = texts.remove(0);
            let mut lines = field("Content", &format!("{table}: {first}"));
            for text in texts {
                lines.extend(field("", &text));
            }
            lines.extend(field("", mounted));
            // One partition: all on one line, where it fits.
            if let [only, state] = lines.as_slice() {
                let joined = format!("{only}; {}", state.trim_start());
                if joined.chars().count() <= crate::text::COLUMNS {
                    return vec![joined];
                }
            }
            lines
        }
    }
}

fn partition(found: &Signature) -> String {
    let what = found.what.map_or(String::new(), |what| format!(" {what}"));
    format!(
        "{} {}{what}{}",
        found.name,
        size::decimal(found.size),
        label(found)
    )
}

fn label(found: &Signature) -> String {
    found
        .label
        .as_ref()
        .map_or(String::new(), |label| format!(" \"{label}\""))
}

/// The steps with their times, and when all is done.
fn plan_lines(
    plan: &Plan,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
    size: u64,
) -> Vec<String> {
    let steps = plan.steps();
    let time_of = |step, times| time_of(plan, step, times, size);
    let mut lines: Vec<String> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // Of a long plan the begin and the end.
        let left_out = steps.len() > STEPS && (STEPS - 2..steps.len() - 1).contains(&index);
        if left_out {
            if index == STEPS - 2 {
                lines.push(format!("... {} more steps", steps.len() - STEPS + 1));
            }
            continue;
        }
        let text = format!("{}. {}", index + 1, step_text(plan, *step, size));
        let time = times.map_or(String::new(), |times| about(time_of(*step, times)));
        lines.push(format!("{text:<TIMES$}{time}").trim_end().to_string());
    }
    let whole = times.map(|times| {
        steps.iter().fold(Duration::ZERO, |sum, step| {
            sum.saturating_add(time_of(*step, times))
        })
    });
    if let Some(end) = whole.and_then(|whole| now.checked_add(whole).ok()) {
        lines.push(format!("done about {}", day(&end, now)));
    }
    lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            // Not through field(): the columns of the times stay.
            let label = if index == 0 { "Plan" } else { "" };
            format!("  {label:<9}{}", clean(line))
        })
        .collect()
}

fn time_of(plan: &Plan, step: Step, times: PassTimes, size: u64) -> Duration {
    let whole = match step.phase {
        Phase::Write => times.0,
        Phase::Verify => times.1,
        Phase::Complete => Duration::ZERO,
    };
    let points = size::basis_points(plan.step_bytes(step, size), size);
    whole.saturating_mul(u32::from(points)) / 10_000
}

fn step_text(plan: &Plan, step: Step, size: u64) -> String {
    if step.phase == Phase::Verify {
        return match plan.pass(step.pass).verify {
            how @ Verify::Sample { .. } => {
                let share = size::percent_text(how.bytes(size), size);
                format!("read back samples ({share}), compare")
            }
            Verify::Full | Verify::None => "read everything back and compare".into(),
        };
    }
    match &plan.pass(step.pass).content {
        Content::Zero => "write zeros".into(),
        Content::Random { .. } => "write random data".into(),
        Content::Pattern { pattern } => {
            let digits = String::from(pattern.clone());
            let more = if digits.len() > 16 { ".." } else { "" };
            format!("write the pattern {digits:.16}{more}")
        }
    }
}

/// `Fri 16 Jan 00:40`, with the year where it is another one than now.
fn day(at: &ZonedDateTime, now: &ZonedDateTime) -> String {
    let format = if at.year() == now.year() {
        "%a %-d %b %H:%M"
    } else {
        "%a %-d %b %Y %H:%M"
    };
    at.strftime(format).to_string()
}

/// Why a drive is taken for the one that a checkpoint speaks of.
#[derive(Debug, Clone)]
pub struct Proof {
    /// What is equal, as `WWN and serial`; empty: nothing strong.
    pub identifiers: String,
    /// Samples below the checkpoint that hold what was written.
    pub samples: u64,
}

/// What is about to be continued, and why this is the same drive.
#[must_use]
pub fn resume_card(
    checkpoint: &Checkpoint,
    device: &Device,
    proof: &Proof,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
) -> Vec<String> {
    let id = &device.identity;
    let serial = id
        .serial
        .as_deref()
        .map(str::trim)
        .filter(|s| !s.is_empty());
    let mut parts: Vec<&str> = vec![serial.unwrap_or(&device.name)];
    parts.extend(id.model.as_deref().map(str::trim));
    let size = size::decimal(device.size);
    parts.push(&size);
    let mut lines = field("Drive", &format!("{}{}", parts.join(", "), slot(device)));
    let path = device.path.to_string_lossy();
    if checkpoint.device() == path {
        lines.extend(field("", &path));
    } else {
        let was = checkpoint.device();
        lines.extend(field("", &format!("was {was}, now {path}")));
    }
    let samples = match proof.samples {
        0 => "nothing is written yet that could be compared".into(),
        n => format!(
            "{} of what was written {} still there",
            count(n, "sample", "samples"),
            if n == 1 { "is" } else { "are" }
        ),
    };
    let what = match proof.identifiers.as_str() {
        "" => format!("that it is the same: no identifier; {samples}"),
        which => format!("that it is the same: {which} equal; {samples}"),
    };
    lines.extend(field("Proof", &what));
    lines.extend(rest_of_plan(checkpoint, times, now));
    lines
}

fn rest_of_plan(
    checkpoint: &Checkpoint,
    times: Option<PassTimes>,
    now: &ZonedDateTime,
) -> Vec<String> {
    let plan = checkpoint.plan();
    let passes = plan.passes().len() as u64;
    let read_back = match plan.verify() {
        Verify::Full => "full read-back",
        Verify::Sample { .. } => "read-back of samples",
        Verify::None => "no read-back",
    };
    let begun = checkpoint
        .started_at()
        .parse::<Timestamp>()
        .map_or(String::new(), |at| {
            format!(
                "; begun {}",
                day(&at.to_zoned_datetime(now.time_zone().clone()), now)
            )
        });
    let name = plan.pass(checkpoint.step().pass).content.name();
    let passes = count(passes, "pass", "passes");
    let mut lines = field("Plan", &format!("{name}, {passes}, {read_back}{begun}"));
    let position = checkpoint.progress_text();
    let end = times
        .and_then(|times| now.checked_add(remaining(checkpoint, times)).ok())
        .map_or(String::new(), |end| {
            format!("; done about {}", clock(now, &end))
        });
    let text = if checkpoint.phase() == Phase::Complete {
        // A resume may have switched the rest of it off.
        let read_back = match plan.verify() {
            Verify::None => "",
            Verify::Full | Verify::Sample { .. } => " and read back as asked",
        };
        if checkpoint.bad().is_empty() && checkpoint.mismatches().is_empty() {
            format!("everything is written{read_back}; only the report is left")
        } else {
            "every step has come to its end; only the report is left".into()
        }
    } else {
        let phase = checkpoint.phase().name();
        format!("{phase} continues at {position}{end}")
    };
    lines.extend(field("", &text));
    lines
}

/// Time for what is left of the plan.
fn remaining(checkpoint: &Checkpoint, times: PassTimes) -> Duration {
    let left = checkpoint.total_size() - checkpoint.position().min(checkpoint.total_size());
    let points = u32::from(size::basis_points(left, checkpoint.total_size()));
    let (plan, size) = (checkpoint.plan(), checkpoint.total_size());
    let current = time_of(plan, checkpoint.step(), times, size) / 10_000;
    let current = current.checked_mul(points).unwrap_or(Duration::MAX);
    checkpoint
        .plan()
        .steps()
        .iter()
        .skip_while(|step| **step != checkpoint.step())
        .skip(1)
        .fold(current, |sum, step| {
            sum.saturating_add(time_of(plan, *step, times, size))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::example::{SIZE, disk};
    use crate::drive::{Mount, Transport};
    use crate::plan::{Generator, Key, Pass, ReadBack};
    use crate::text::{COLUMNS, folded};

    fn plan(passes: usize) -> Plan {
        let pass = Pass {
            content: Content::Random {
                generator: Generator::Aes256,
                key: Key::new([7; 32]),
            },
            verify: Verify::None,
        };
        let plan = Plan::new(vec![pass; passes]).unwrap();
        plan.with_read_back(ReadBack::Full, 0, 7)
    }

    fn now() -> ZonedDateTime {
        "2026-01-14T02:10:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    const TIMES: PassTimes = (Duration::from_secs(83_700), Duration::from_secs(83_700));

    fn shown(device: &Device, passes: usize) -> Vec<String> {
        let state = Path::new("/var/lib/wipeit");
        card(
            device,
            &plan(passes),
            Some(TIMES),
            &now(),
            state,
            &Keeping::on_disk(),
        )
    }

    #[test]
    fn the_card_says_what_is_destroyed_and_how_long_it_takes() {
        assert_eq!(
            shown(&disk(), 1),
            [
                "  Device   /dev/sdb, SATA hard disk, slot 0:7",
                "  Model    SEAGATE ST18000NM004J, firmware E002",
                "  Serial   ZR5A1B2C, WWN 5000c500d1a2b3c4",
                "  Size     18.0 TB (18,000,207,937,536 bytes)",
                "  Content  GPT: sdb1 18.0 TB ext4 \"backup\"; not mounted",
                "  Plan     1. write random data                     about 23 h",
                "           2. read everything back and compare      about 23 h",
                "           done about Fri 16 Jan 00:40",
                "  State    /var/lib/wipeit (on disk: survives a reboot)",
                "  Hidden   HPA, DCO and AMAX areas: not checked",
            ]
        );
    }

    #[test]
    fn members_of_what_is_not_active_stand_on_the_card() {
        let mut device = disk();
        device.contents[1].what = Some("LVM2");
        device.contents[1].label = None;
        device.contents[1].group = Some("vg\n0".into());
        let lines = shown(&device, 1);
        assert_eq!(
            lines[4..6],
            [
                "  Content  GPT: sdb1 18.0 TB LVM2; not mounted",
                "  Warning  sdb1 is a member of the inactive LVM2 volume group vg\\0120",
            ]
        );
    }

    #[test]
    fn flash_files_and_states_in_memory_are_told_honestly() {
        let mut device = disk();
        device.medium = Medium::Flash;
        let all = shown(&device, 1).join("\n");
        assert!(all.contains("SATA SSD") && all.contains("spare blocks are not reached"));
        assert!(all.contains("overwriting is Clear"));
        device.identity.kind = Kind::Partition;
        let all = shown(&device, 1).join("\n");
        assert!(all.contains("spare blocks are not reached") && !all.contains("Clear"));
        device.identity.kind = Kind::Disk;
        device.identity.transport = Transport::Md;
        device.medium = Medium::Unknown;
        let all = shown(&device, 1).join("\n");
        assert!(all.contains("Volume   the drives below hold more"), "{all}");
        device.medium = Medium::File;
        device.identity.kind = Kind::Image;
        let all = shown(&device, 1).join("\n");
        assert!(all.contains("disk-image file"), "{all}");
        assert!(
            all.contains("Limits   it lies in a file") && all.contains("overwritten, not Clear")
        );
        let state = Path::new("/x");
        let keeping = Keeping {
            durability: Durability::Memory,
            unflushed: vec!["sda".into()],
        };
        let all = card(&device, &plan(1), None, &now(), state, &keeping).join("\n");
        assert!(
            all.contains("in memory") && all.contains("NOT survive"),
            "{all}"
        );
        assert!(!all.contains("about"), "{all}");
    }

    #[test]
    fn whatever_a_drive_says_the_card_stays_a_card() {
        let mut device = disk();
        device.identity.model = Some("\x1b[2Jmodel ".repeat(12));
        device.identity.serial = None;
        device.usage.mounts = Fact::Known(vec![Mount {
            name: "sdb1".into(),
            point: "/mnt".into(),
            by: None,
        }]);
        let part = device.contents[1].clone();
        for i in 0..40 {
            device.contents.push(Signature {
                name: format!("sdb{i}"),
                label: Some("a\nb\u{202e}".into()),
                ..part.clone()
            });
        }
        let lines = shown(&device, 60);
        let all = lines.join("|");
        assert!(
            !all.chars().any(char::is_control) && !all.contains('\u{202e}'),
            "{all}"
        );
        assert!(
            lines
                .iter()
                .flat_map(|line| folded(line, COLUMNS))
                .all(|line| line.chars().count() <= COLUMNS),
            "{lines:#?}"
        );
        assert!(lines.len() < 35, "{lines:#?}");
        assert!(
            all.contains("MOUNTED") && all.contains("none reported"),
            "{all}"
        );
        assert!(
            all.contains("and 33 more") && all.contains("... 54 more steps"),
            "{all}"
        );
        assert!(all.contains("61. read everything back"), "{all}");
    }

    fn checkpoint() -> Checkpoint {
        let (identity, begun) = (disk().identity, "2026-01-14T01:10:00Z");
        let mut checkpoint = Checkpoint::begin(identity, plan(1), 1 << 20, "7f3a".into(), begun);
        *checkpoint.device_mut() = "/dev/sdb".into();
        let step = checkpoint.step();
        checkpoint.set_position(step, 7_740_089_413_632);
        checkpoint
    }

    #[test]
    fn the_resume_card_says_why_it_is_the_same_drive_and_where_it_goes_on() {
        let mut device = disk();
        device.path = "/dev/sdd".into();
        let proof = Proof {
            identifiers: "WWN and serial".into(),
            samples: 258,
        };
        assert_eq!(
            resume_card(&checkpoint(), &device, &proof, Some(TIMES), &now()),
            [
                "  Drive    ZR5A1B2C, ST18000NM004J, 18.0 TB, slot 0:7",
                "           was /dev/sdb, now /dev/sdd",
                "  Proof    that it is the same: WWN and serial equal; 258 samples of what was \
                 written are still there",
                "  Plan     random, 1 pass, full read-back; begun Wed 14 Jan 02:10",
                "           write continues at 43.0% (7.74 of 18.0 TB); done about Thu 14:40",
            ]
        );
        let mut done = checkpoint();
        done.set_position(plan(1).after(plan(1).steps()[1]), SIZE);
        let all = resume_card(&done, &device, &proof, Some(TIMES), &now()).join(" ");
        assert!(all.contains("only the report is left"), "{all}");
        assert!(all.contains("read back as asked"), "{all}");
        *done.plan_mut() = done.plan().clone().with_read_back(ReadBack::None, 0, 0);
        let all = resume_card(&done, &device, &proof, Some(TIMES), &now()).join(" ");
        assert!(!all.contains("read back as asked"), "{all}");
        assert!(
            all.contains("everything is written; only the report is left"),
            "{all}"
        );
    }
}
