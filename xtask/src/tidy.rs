use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::root;

const MOVERS: &[&str] = &["ingest", "batch", "query", "expire", "migrate", "verify", "backup"];
const STATES: &[&str] = &["buffer", "rollup", "store", "catalog", "exports", "objects"];

/// A crate that only the named members may depend on outside of tests.
const DEPENDENCY_BORDERS: &[(&str, &[&str])] = &[
    ("axum", &["crates/server"]),
    ("tonic", &["crates/server"]),
    ("anyhow", &["crates/cli", "crates/load", "xtask"]),
    ("sqlx", &["crates/core", "crates/cli", "crates/primary"]),
    ("libc", &["crates/chdb"]),
];

/// Where `unsafe` may be: the binding of libchdb, and one setting of the allocator. `crates/chdb/UNSAFE.md` lists each.
const UNSAFE_EXCUSED: &[&str] = &["Cargo.toml", "crates/chdb/", "crates/cli/src/memory.rs", "xtask/src/tidy.rs"];

const FILE_LINES_MAX: usize = 600;

/// Files that were longer when the limit came; a number here may only shrink.
const FILE_LINES_RATCHET: &[(&str, usize)] = &[];

const NAMES_BANNED: &[&str] = &["util", "utils", "common", "helpers", "misc"];
const NAME_ENDS_BANNED: &[&str] = &["_v2", "_new", "_old", "_utils"];
const DECLARATIONS: &[&str] = &["fn ", "struct ", "enum ", "trait ", "mod ", "type ", "const ", "static "];

/// Folders of one machine; a path below them means nothing on another.
const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/home/", "/Users/"];
/// A folder that tests of refusals may name, and nothing else may.
const SCRATCH_PATH: &str = "/tmp/";

/// Where dependencies come from; any other source ties the build to one network.
const LOCK_SOURCES: &[&str] = &["registry+https://github.com/rust-lang/crates.io-index"];

/// Prints every breach and fails if there is one.
pub(crate) fn run() -> Result<(), String> {
    let breaches = breaches()?;
    if breaches.is_empty() {
        println!("» tidy: ok");
        return Ok(());
    }
    Err(format!("{}\ntidy: {} to mend", breaches.join("\n"), breaches.len()))
}

fn breaches() -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for path in tracked_files()? {
        // Not text (an image, a fixture of bytes), or deleted and not yet committed: nothing to check.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        let rules: &[fn(&str, &str) -> Vec<String>] =
            &[stage_arrows, module_docs, borders, unsafe_code, lines, names, todos, machine_paths, lock_sources];
        for rule in rules {
            found.extend(rule(&path, &text).into_iter().map(|breach| format!("{path}: {breach}")));
        }
    }
    Ok(found)
}

fn tracked_files() -> Result<BTreeSet<String>, String> {
    let args = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let out = Command::new("git").args(args).current_dir(root()).output().map_err(|error| format!("git: {error}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Movers know states, states know only the model, movers never know each other.
fn stage_arrows(path: &str, text: &str) -> Vec<String> {
    let Some(stage) = path.strip_prefix("crates/core/src/").and_then(|rest| rest.split_once('/')).map(|(s, _)| s)
    else {
        return Vec::new();
    };
    let code: String = shipped_code(path, text).collect();
    let mut found = Vec::new();
    if code.contains("crate::{") {
        found.push("write one `use crate::stage::…` per stage, so that the arrow is seen".to_owned());
    }
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let other = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let is_stage = MOVERS.contains(&other) || STATES.contains(&other);
        let drawn = other == stage || (MOVERS.contains(&stage) && STATES.contains(&other));
        if is_stage && !drawn {
            found.push(format!("`{stage}` may not know `{other}` (movers know states, states know only the model)"));
        }
    }
    found
}

/// A stage and a crate say what they own.
fn module_docs(path: &str, text: &str) -> Vec<String> {
    let is_head = ["/lib.rs", "/mod.rs", "/src/main.rs"].iter().any(|end| path.ends_with(end)) && !is_test(path);
    let says_it = text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"));
    breach(is_head && !says_it, "begin with `//!`: what it owns, its invariants, what it never does")
}

fn borders(path: &str, text: &str) -> Vec<String> {
    let Some(member) = path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let shipped = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let names: Vec<&str> = shipped
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .collect();
    let crossed = DEPENDENCY_BORDERS.iter().filter(|(name, at)| names.contains(name) && !at.contains(&member));
    crossed.map(|(name, at)| format!("only {} may depend on `{name}`", at.join(", "))).collect()
}

/// The lint of the workspace denies `unsafe`; this rule keeps anyone else from switching it off.
fn unsafe_code(path: &str, text: &str) -> Vec<String> {
    let excused = UNSAFE_EXCUSED.iter().any(|place| path.starts_with(place));
    let is_code = path.ends_with(".rs") || path.ends_with("Cargo.toml");
    breach(
        is_code && !excused && text.contains("unsafe_code"),
        "only crates/chdb and crates/cli/src/memory.rs may hold `unsafe`",
    )
}

fn lines(path: &str, text: &str) -> Vec<String> {
    let max = FILE_LINES_RATCHET.iter().find(|(file, _)| *file == path).map_or(FILE_LINES_MAX, |(_, max)| *max);
    let count = text.lines().count();
    breach(path.ends_with(".rs") && count > max, &format!("{count} lines, the most is {max}: split it"))
}

fn names(path: &str, text: &str) -> Vec<String> {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    let in_path = path.split(['/', '.']).filter(|name| is_banned(name));
    let declared = text.lines().filter_map(declared_name).filter(|name| is_banned(name));
    in_path.chain(declared).map(|name| format!("`{name}` says nothing about what it holds")).collect()
}

fn declared_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let code = code.strip_prefix("pub(crate) ").or(code.strip_prefix("pub ")).unwrap_or(code);
    let code = code.strip_prefix("async ").unwrap_or(code);
    let rest = DECLARATIONS.iter().find_map(|word| code.strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

fn is_banned(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES_BANNED.contains(&name.as_str()) || NAME_ENDS_BANNED.iter().any(|end| name.ends_with(end))
}

fn todos(path: &str, text: &str) -> Vec<String> {
    let open = |line: &str| {
        line.contains("FIXME")
            || line.contains("XXX")
            || line.match_indices("TODO").count() > line.matches("TODO(#").count()
    };
    let checked = (path.ends_with(".rs") && path != "xtask/src/tidy.rs") || path.ends_with(".ts");
    let found = text.lines().enumerate().filter(|(_, line)| checked && open(line));
    found.map(|(number, _)| format!("line {}: a TODO names its issue, `TODO(#12):`", number + 1)).collect()
}

fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let scratch = if is_test(path) { None } else { Some(&SCRATCH_PATH) };
    let hit = |line: &str| MACHINE_PATHS.iter().chain(scratch).find(|folder| line.contains(**folder)).copied();
    let found = text.lines().enumerate().filter_map(|(number, line)| Some((number, hit(line)?)));
    let found = found.filter(|_| path != "xtask/src/tidy.rs");
    found.map(|(number, folder)| format!("line {}: `{folder}` is one machine's folder", number + 1)).collect()
}

fn lock_sources(path: &str, text: &str) -> Vec<String> {
    if !path.ends_with("Cargo.lock") && !path.ends_with("package-lock.json") {
        return Vec::new();
    }
    let sources =
        text.lines().map(str::trim).filter(|line| line.starts_with("source = ") || line.starts_with("\"resolved\""));
    let foreign = sources.filter(|line| !LOCK_SOURCES.iter().any(|source| line.contains(source)));
    foreign.map(|line| format!("`{line}` is not the public registry")).collect()
}

/// Yields the lines of a file that ship: not those of tests, and not comments.
fn shipped_code<'a>(path: &str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let is_test = is_test(path);
    let lines = text.split_inclusive('\n').take_while(|line| !line.contains("#[cfg(test)]\n") || line.contains("//"));
    lines.filter(move |line| !is_test && !line.trim_start().starts_with("//"))
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

fn breach(broken: bool, message: &str) -> Vec<String> {
    if broken { vec![message.to_owned()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        assert_eq!(run(), Ok(()));
    }

    fn check(rule: fn(&str, &str) -> Vec<String>, path: &str, text: &str, breaches: usize) {
        assert_eq!(rule(path, text).len(), breaches, "{path}: {text}");
    }

    #[test]
    fn arrows_against_the_rule_are_found() {
        let arrows = |path: &str, text: &str, breaches| check(stage_arrows, path, text, breaches);
        arrows("crates/core/src/query/run.rs", "use crate::store::Store;\n", 0);
        arrows("crates/core/src/query/run.rs", "use crate::batch::seal;\n", 1);
        arrows("crates/core/src/query/run.rs", "use crate::{batch::seal};\n", 1);
        arrows("crates/core/src/store/client.rs", "use crate::buffer::Buffer;\n", 1);
        arrows("crates/core/src/store/client.rs", "use crate::world::SystemClock;\n", 0);
        arrows("crates/core/src/catalog/mod.rs", "use crate::buffer::Buffer;\n", 1);
        arrows("crates/core/src/query/tests.rs", "use crate::batch::seal;\n", 0);
        arrows("crates/core/src/query/run.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::batch::seal; }\n", 0);
    }

    #[test]
    fn borders_words_and_paths_are_found() {
        check(borders, "crates/core/Cargo.toml", "[dependencies]\naxum.workspace = true\n", 1);
        check(borders, "crates/core/Cargo.toml", "[dependencies]\n[dev-dependencies]\naxum.workspace = true\n", 0);
        check(borders, "crates/server/Cargo.toml", "[dependencies]\naxum.workspace = true\n", 0);
        check(names, "crates/core/src/utils.rs", "", 1);
        check(names, "crates/core/src/a.rs", "    pub(crate) fn seal_v2() {}\n", 1);
        check(todos, "a.rs", "// TODO(#12): a reason\n", 0);
        check(todos, "a.rs", "// TODO: later\n", 1);
        check(machine_paths, "a.md", "see /home/ada/notes\n", 1);
        check(lock_sources, "Cargo.lock", "source = \"registry+https://crates.example.com/index\"\n", 1);
        check(module_docs, "crates/core/src/query/mod.rs", "use std::fmt;\n", 1);
        check(lines, "a.rs", &"\n".repeat(601), 1);
    }
}
