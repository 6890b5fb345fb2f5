//! `cargo bench`: the parts of the program alone, and the whole program beside
//! the tools that people use otherwise. Figures of one run compare with each
//! other only.
#![allow(
    clippy::cast_precision_loss,
    reason = "figures of three digits are printed; 52 bits hold every byte count here"
)]

mod alone;
mod drives;
mod lab;
mod latency;
mod measure;
mod parts;
mod stats;
mod tools;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use wipeit::inside::parse_size;

/// Measures wipeit.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --")]
struct Args {
    /// What is measured [default: both]
    #[arg(value_enum)]
    what: Option<What>,

    /// How often everything is measured, in turns
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Bytes of the drive, which lies in memory
    #[arg(long, default_value = "2G", value_parser = bytes)]
    size: u64,

    /// Only what has this in its name, and fio
    #[arg(long)]
    only: Option<String>,

    /// Where the parts save their checkpoints [default: below target/]
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    state_dir: PathBuf,

    /// Also compare a drive of 15 TiB with a small one for 10 s each on sparse
    /// files in this folder, whose file system takes up what is written
    #[arg(long)]
    disk: Option<PathBuf>,

    // What cargo bench adds, and cargo test does not.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Filling, comparing and saving, each alone
    Parts,
    /// The whole program, and others, on a drive in memory
    Drives,
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    // What this program starts to measure others, and the engine, from outside.
    let mut words = std::env::args_os().skip(1);
    let ran = match words.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(measure::MODE) => measure::serve(words),
        Some(alone::MODE) => alone::serve(words),
        _ => run(&Args::parse()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    if !args.bench {
        // `cargo test --all-targets` starts this too.
        say("runs with `cargo bench` only");
        return Ok(());
    }
    lab::stop_by_signal()?;
    print(&format!("{}\n", stats::machine()))?;
    if args.what != Some(What::Drives) {
        parts::run(args)?;
    }
    if args.what != Some(What::Parts) {
        drives::run(args)?;
    }
    Ok(())
}

/// What is done now, or went wrong.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

/// A result.
fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
