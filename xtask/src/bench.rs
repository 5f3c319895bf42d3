use crate::step;

/// Builds the release binaries and runs the bench with the given arguments.
///
/// The bench itself is `crates/load`: it needs an async runtime and the stages of `core`, and `cargo xtask tidy`
/// should not wait for either.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    step("cargo", &["build", "--release", "-p", "tidegate", "-p", "tidegate-chdb", "-p", "tidegate-load"], &[])?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    step("target/release/tidegate-load", &args, &[])
}
