//! The checkpoint: what a resume needs. This page is its format.
//!
//! A file of `pending/` is one JSON object: at most 8 MiB ([`LARGEST`]), UTF-8, its
//! fields one below the other in this order (on FAT with a `slot` before them, and
//! padded: see `slots`). Offsets, lengths and sizes are bytes;
//! stamps are RFC 3339 with the zone's offset, from a clock that may be wrong: for
//! people, nothing is decided by them.
//!
//! | field | what it says |
//! |---|---|
//! | `kind` | `wipeit-checkpoint` |
//! | `version` | 1 |
//! | `device` | the path at the last run, for people |
//! | `written` | bytes of the current pass that a successful flush covered: while it is written, everything below is written or stands in `bad`; afterwards the size less what could not be written |
//! | `total_size` | bytes of the target; the `size` of `device_id` |
//! | `progress_percent` | `written` of `total_size`, rounded down to hundredths |
//! | `chunk_size` | bytes of one write |
//! | `timestamp` | when this was saved |
//! | `device_id` | which drive it is: the only field by which it is matched, with the content |
//! | `plan_percent` | percent of all passes and read-backs, rounded down to hundredths |
//! | `run_id` | 128 random bits in hexadecimal, the same over all runs of a wipe |
//! | `supersedes` | run ids of earlier wipes of the drive: what their files say of it is no longer so. Absent: none |
//! | `started_at` | when the wipe began |
//! | `runs` | every start of the program: `start`, `end`, `ended_by` (the last two null after a kill), milliseconds of work and sleep, where the clock stood. Of more than 1001 those in the middle are one entry with `left_out` |
//! | `tool_version` | who saved this |
//! | `plan` | each pass: `strategy`, with `pattern` in hexadecimal or `generator` and `key` (32 bytes in hexadecimal), and `verify` with the `seed` of samples |
//! | `scheme` | the name of the scheme that asks for these passes. Absent: none |
//! | `pass` | the current one, from 1 |
//! | `phase` | `write`, `verify` or `complete` (of the last pass: all is done but the record) |
//! | `verified` | bytes up to which the current pass is read back; with `complete` the bytes that were compared |
//! | `bad` | ranges that could not be written or read: `start`, `length`, `pass`, `state`, `during`, `errno`; joined ones with the bytes that are meant |
//! | `mismatches` | ranges that were read back different, with the first bytes that do |
//! | `wrap` | null, or what shows that addresses lead to the same place of the drive |
//! | `samples` | at most 10,000: `pass`, `phase`, where a stretch ends in bytes, its bytes a second |
//! | `page_cache` | whether something was read through the page cache |
//! | `failed_saves` | how often a checkpoint could not be saved; a crash then might have cost more than the interval |
//! | `findings` | what else is to be said of the wipe. Absent: nothing |
//! | `file` | the target's file, or the one below a loop device, when this was saved. Absent: it is no file |
//! | `read_again` | true where something could write to the target after its last byte: all of it is read back before it is called wiped. Absent: false |
//! | `contents_before` | what stood on the target before, itself first. Absent: nothing that is known, or saved by 0.1.0 |
//! | `report` | what was asked of the report: `path`, `operator`, `asset`, `note` |
//!
//! **What a crash can tear apart: nothing.** All fields are taken from one state of
//! the engine, which is older than the flush that made it durable; they go into one
//! file that is whole or not there (`file`, or `slots` on FAT), and the one before
//! stays until the new one and its name are durable. So `bad` and `mismatches`
//! never belong to another position than `written` and `verified`, and a file that
//! contradicts itself was not torn: it was edited, or is no file of ours. What
//! follows from other fields (`total_size`, both percentages, `written` and
//! `verified` outside of their phases) is worked out when it is saved and compared
//! when it is read.
//!
//! **Another version.** Fields that are not known are skipped, so a field may be
//! added without a new `version` where one who does not know it still does nothing
//! wrong. Where he would, `version` goes up. A file with a higher `version` or
//! another `kind` is refused by name and left as it is; one of a drive at hand stops
//! a fresh wipe of it. Fields that were not there in 0.1.0 have a default.
//!
//! Its files:
//!
//! - [`state`]: how far a wipe got, in memory
//! - [`parts`]: what it is made of besides its position
//! - [`lists`]: those parts that grow, kept short
//! - [`derived`]: what follows from its fields
//! - [`wire`]: how it is read and written
//! - [`json`]: how that is laid out

#[cfg(test)]
mod bounds;
mod derived;
pub(crate) mod json;
mod lists;
mod parts;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use lists::millis;
pub(crate) use parts::ClockMark;
pub(crate) use parts::{ContentBefore, LeftOut, ReportWish, Run, Sample};
pub use state::Checkpoint;
pub(crate) use wire::{Invalid, LARGEST, LoadError, RECORD_KIND, VERSION};
