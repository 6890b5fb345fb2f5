//! The command line: what was typed, and what it means.
//!
//! Nothing else reads the arguments, and they are read once.

mod args;
mod mistake;
mod request;
mod values;

pub use request::{Mode, Parsed, Request, parse};
