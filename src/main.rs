//! ctwarden: arguments, wiring, exit codes.
fn main() {}
