//! The `wipeit` command.
fn main() {}
