//! The bench behind `cargo xtask bench`.
fn main() {}
