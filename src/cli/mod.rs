//! The command line: what was typed, and what it means.
//!
//! Nothing else reads the arguments, and they are read once.
//!
//! - [`args`]: the options
//! - [`values`]: their values
//! - [`request`]: what they mean together
//! - [`mistake`]: what is said where they mean nothing

mod args;
mod mistake;
mod request;
mod values;

pub(crate) use request::{Mode, Parsed, Request, parse};
