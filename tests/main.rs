//! Tests of the binary on real files and real block devices. What cannot run
//! on a machine shows as ignored, with the reason.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; only #[test] functions are exempt by themselves"
)]

mod it;
mod rig;
mod support;

/// Signals that are ignored here would be in every run of every test: `nohup`
/// does that, and a shell to what it starts in the background. So the tests begin
/// anew with none ignored.
fn reset_signals() {
    const BEGUN_ANEW: &str = "WIPEIT_TESTS_SIGNALS";
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Rust itself ignores SIGPIPE, and not for those that it starts.
    let ignored = mask.unwrap_or(0) & !(1 << 12);
    if ignored == 0 || std::env::var_os(BEGUN_ANEW).is_some() {
        return;
    }
    let mut anew = std::process::Command::new("env");
    anew.arg("--default-signal")
        .args(std::env::current_exe())
        .args(std::env::args_os().skip(1))
        .env(BEGUN_ANEW, "1");
    // Comes back only where it could not be started.
    let error = std::os::unix::process::CommandExt::exec(&mut anew);
    panic!("signals are ignored, and env --default-signal fails: {error}");
}

fn main() -> std::process::ExitCode {
    reset_signals();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "campaign") {
        return rig::ledger::run(&words[1..]);
    }
    let mut args = libtest_mimic::Arguments::from_args();
    let one_by_one = args.test_threads == Some(1);
    // Most tests wait for a rate limit or a slow disk, not for a processor.
    let cpus = std::thread::available_parallelism().map_or(2, usize::from);
    args.test_threads.get_or_insert(2 * cpus);
    let machines = libtest_mimic::Arguments {
        test_threads: Some(if one_by_one { 1 } else { 2 }),
        ..args.clone()
    };
    // The tests in the machine take longer than all the rest, so they run beside it:
    // one at a time, and two when it is over.
    let ended = std::thread::scope(|scope| {
        let machine = || libtest_mimic::run(&machines, it::in_the_machine());
        let beside = (!one_by_one).then(|| scope.spawn(machine));
        let rest = libtest_mimic::run(&args, it::on_this_host());
        support::vm::one_more();
        let machine = beside.map_or_else(machine, |beside| beside.join().unwrap());
        [rest, machine]
    });
    let failed = ended.iter().any(libtest_mimic::Conclusion::has_failed);
    std::process::ExitCode::from(if failed { 101 } else { 0 })
}
