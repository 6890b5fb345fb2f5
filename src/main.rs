//! The `wipeit` command.

use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    match panic::catch_unwind(wipeit::run) {
        Ok(exit) => exit.leave(),
        // The panic's message stands on stderr; the checkpoint saved last holds.
        Err(_) => ExitCode::FAILURE,
    }
}
