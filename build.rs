//! Reads `board/` into a const table at build time.
fn main() {}
