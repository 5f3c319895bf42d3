use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::root;

/// The targets of `fuzz/`, and the longest input that each is given.
const TARGETS: [(&str, u32); 6] = [
    ("otlp_walker", 4 << 10),
    ("otlp_json", 4 << 10),
    ("dataset_rows", 4 << 10),
    ("wal_reader", 16 << 10),
    ("http_params", 2 << 10),
    ("postgres_copy", 2 << 10),
];

/// What `cargo fuzz --sanitizer none` passes: counters at every edge, on a stable compiler.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
];

const SECONDS: u64 = 60;

/// An input that takes longer than this hangs.
const INPUT_SECONDS_MAX: u64 = 20;

/// Memory that a target may use, in MiB: inputs are small, so more is a bomb.
const MEMORY_MIB_MAX: u64 = 2_048;

/// What a run of one target came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    /// Edges reached by the seeds, and at the end.
    coverage: Option<(u64, u64)>,
    runs: u64,
    runs_per_second: u64,
    reproducer: Option<String>,
}

/// Builds the fuzz targets and runs each for a while; fails on the first crash and names the input that caused it.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (seconds, chosen) = arguments(args)?;
    let host = host()?;
    build(&host)?;
    println!("{:<14} {:>12} {:>10} {:>8} {:>8}", "target", "runs", "runs/s", "seeds", "edges");
    for (target, bytes_max) in TARGETS.iter().filter(|(target, _)| chosen.is_none_or(|chosen| chosen == *target)) {
        let run = fuzz(&host, target, *bytes_max, seconds)?;
        let (seeds, edges) =
            run.coverage.ok_or_else(|| format!("{target}: no coverage; was it built with counters?"))?;
        println!("{target:<14} {:>12} {:>10} {seeds:>8} {edges:>8}", run.runs, run.runs_per_second);
    }
    Ok(())
}

fn arguments(args: &[String]) -> Result<(u64, Option<&str>), String> {
    const USAGE: &str = "usage: cargo xtask fuzz [--seconds N] [--target NAME]";
    let (mut seconds, mut chosen) = (SECONDS, None);
    let mut rest = args.iter();
    while let Some(flag) = rest.next() {
        match (flag.as_str(), rest.next()) {
            ("--seconds", Some(value)) => seconds = value.parse().map_err(|_| USAGE.to_owned())?,
            ("--target", Some(value)) if TARGETS.iter().any(|(target, _)| target == value) => {
                chosen = Some(value.as_str())
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok((seconds, chosen))
}

/// Asks the compiler for its own target: with `--target` the flags stay away from build scripts and macros.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("`rustc -vV`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

fn build(host: &str) -> Result<(), String> {
    if Command::new("c++").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err("libFuzzer needs a C++ compiler: install one (Debian: apt-get install g++)".to_owned());
    }
    let root = root();
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--target", host, "--target-dir"]).arg(root.join("target/fuzz"));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}")).current_dir(root.join("fuzz"));
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the fuzz targets do not build: {status}")),
        Err(error) => Err(format!("`cargo build` did not start: {error}")),
    }
}

/// Runs one target on its seeds and on what earlier runs found.
fn fuzz(host: &str, target: &str, bytes_max: u32, seconds: u64) -> Result<Run, String> {
    let root = root();
    let found = root.join("target/fuzz/corpus").join(target);
    let artifacts = root.join("target/fuzz/artifacts");
    let seeds = root.join("fuzz/corpus").join(target);
    for folder in [&found, &artifacts] {
        fs::create_dir_all(folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    }
    let program = root.join("target/fuzz").join(host).join("release").join(target);
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={bytes_max}"));
    command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/{target}-", artifacts.display()));
    // The first folder also takes what is found; the seeds in the tree stay as they are.
    command.arg(&found).arg(&seeds).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("start {target}: {error}"))?;
    let lines: Vec<String> = match child.stderr.take() {
        Some(stderr) => BufReader::new(stderr).lines().map_while(Result::ok).collect(),
        None => Vec::new(),
    };
    let status = child.wait().map_err(|error| format!("wait for {target}: {error}"))?;
    let run = read(&lines);
    if status.success() { Ok(run) } else { Err(crash(target, &run, &lines, &root)) }
}

fn read(lines: &[String]) -> Run {
    let mut run = Run::default();
    for line in lines {
        if let Some(edges) = after(line, " cov: ") {
            run.coverage = Some((run.coverage.map_or(edges, |(seeds, _)| seeds), edges));
        }
        run.runs = after(line, "stat::number_of_executed_units:").unwrap_or(run.runs);
        run.runs_per_second = after(line, "stat::average_exec_per_sec:").unwrap_or(run.runs_per_second);
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            run.reproducer = Some(path.to_owned());
        }
    }
    run
}

fn after(line: &str, mark: &str) -> Option<u64> {
    line.split_once(mark)?.1.split_whitespace().next()?.parse().ok()
}

fn crash(target: &str, run: &Run, lines: &[String], root: &Path) -> String {
    const LINES_SHOWN: usize = 30;
    let is_noise = |line: &&String| {
        line.starts_with('#')
            || ["INFO:", "stat::", "WARNING:", "NEW_FUNC", "MS:", "Base64:"]
                .iter()
                .any(|noise| line.trim_start().starts_with(noise))
    };
    let mut shown: Vec<&str> =
        lines.iter().filter(|line| !is_noise(line)).map(String::as_str).take(LINES_SHOWN).collect();
    let input = run.reproducer.as_deref().unwrap_or("no input was written");
    let input = Path::new(input).strip_prefix(root).unwrap_or_else(|_| Path::new(input));
    let head = format!("{target} failed; its input: {}", input.display());
    shown.push(&head);
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_from_what_libfuzzer_prints() {
        let lines = [
            "#12\tINITED cov: 812 ft: 1000 corp: 4/2b exec/s: 0 rss: 40Mb",
            "#99\tDONE   cov: 1034 ft: 2000 corp: 9/9b lim: 4 exec/s: 9 rss: 60Mb",
            "stat::number_of_executed_units: 99",
            "stat::average_exec_per_sec:     9",
        ];
        let run = read(&lines.map(str::to_owned));
        assert_eq!(run, Run { coverage: Some((812, 1034)), runs: 99, runs_per_second: 9, reproducer: None });
    }

    #[test]
    fn a_crash_names_its_input() {
        let lines = ["SUMMARY: libFuzzer: deadly signal", "artifact_prefix='x'; Test unit written to /r/target/x-1"];
        let lines = lines.map(str::to_owned);
        let message = crash("otlp_json", &read(&lines), &lines, Path::new("/r"));
        assert!(message.ends_with("otlp_json failed; its input: target/x-1"), "{message}");
    }
}
