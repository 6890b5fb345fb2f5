//! Tests of the binary on real files and real block devices. What cannot run
//! on a machine shows as ignored, with the reason.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; only #[test] functions are exempt by themselves"
)]

mod it;
mod rig;
mod support;

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "campaign") {
        return rig::ledger::run(&words[1..]);
    }
    let mut args = libtest_mimic::Arguments::from_args();
    // Most tests wait for a rate limit or a slow disk, not for a processor.
    let cpus = std::thread::available_parallelism().map_or(2, usize::from);
    args.test_threads.get_or_insert(2 * cpus);
    libtest_mimic::run(&args, it::all()).exit_code()
}
