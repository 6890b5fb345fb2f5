//! Tests of the binary.
fn main() {}
