use std::process::Command;

use crate::{step, tidy};

/// Runs every check in the order in which they fail fastest.
pub(crate) fn run() -> Result<(), String> {
    step("cargo", &["fmt", "--all", "--check"], &[])?;
    tidy::run()?;
    step("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    step("cargo", &["test", "--workspace", "--locked"], &[])?;
    step("cargo", &["doc", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    deny()
}

/// Checks licences, advisories and sources, where `cargo-deny` is installed.
fn deny() -> Result<(), String> {
    let installed = Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    if installed {
        step("cargo", &["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"], &[])
    } else {
        println!("» cargo deny: NOT RUN, it is not installed here (`cargo install --locked cargo-deny`)");
        Ok(())
    }
}
