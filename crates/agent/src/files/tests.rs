use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use proptest::prelude::*;
use prost::Message;
use tempfile::TempDir;
use tidegate_sim::SimClock;

use super::*;
use crate::parse::{Format, Parser, UtcOffset};

const SECOND: Duration = Duration::from_secs(1);

/// A folder of log files, an agent's eye on it, and all that was handed over for good.
struct Bench {
    dir: TempDir,
    clock: Arc<SimClock>,
    patterns: Vec<String>,
    first_line: Option<&'static str>,
    files: Files,
    marks: Marks,
    lines: Vec<String>,
}

impl Bench {
    fn new(pattern: &str, first_line: Option<&'static str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::default());
        let patterns = vec![dir.path().join(pattern).display().to_string()];
        let files = Files::new(Vec::new(), &Marks::new(), Arc::<SimClock>::clone(&clock));
        let mut bench = Self { dir, clock, patterns, first_line, files, marks: Marks::new(), lines: Vec::new() };
        bench.restart();
        bench
    }

    /// A new process that knows the marks that were kept.
    fn restart(&mut self) {
        let source = Source {
            paths: self.patterns.clone(),
            exclude: Vec::new(),
            parser: Parser { format: Format::Text, pattern: None, zone: UtcOffset::default() },
            first_line: self.first_line.map(|pattern| regex::bytes::Regex::new(pattern).unwrap()),
            flush_after: SECOND,
            from_end: false,
            service: String::new(),
            resource: Vec::new(),
            clock: Arc::<SimClock>::clone(&self.clock),
        };
        self.files = Files::new(vec![source], &self.marks, Arc::<SimClock>::clone(&self.clock));
    }

    /// Looks once; after `pieces` pieces nothing more is taken, as when the process is killed.
    fn look(&mut self, mut pieces: usize) {
        let (marks, lines) = (&mut self.marks, &mut self.lines);
        self.files.look(&mut |piece| {
            if pieces == 0 {
                return false;
            }
            pieces -= 1;
            for (name, value) in piece.marks {
                match value {
                    Some(value) => marks.insert(name, value),
                    None => marks.remove(&name),
                };
            }
            let request = ExportLogsServiceRequest::decode(piece.body.as_slice()).unwrap();
            for record in
                request.resource_logs.iter().flat_map(|group| &group.scope_logs).flat_map(|scope| &scope.log_records)
            {
                let Some(Any::StringValue(body)) = record.body.as_ref().and_then(|body| body.value.clone()) else {
                    panic!("a body is text: {record:?}");
                };
                lines.push(body);
            }
            true
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_next_of_its_name() {
    let mut bench = Bench::new("app.log", None);
    bench.append("app.log", "one\ntwo\nthr");
    bench.look(9);
    bench.append("app.log", "ee\nfour\n");
    fs::rename(bench.path("app.log"), bench.path("app.log.1")).unwrap();
    bench.append("app.log", "five\n");
    bench.restart();
    bench.look(9);
    assert_eq!(bench.lines, ["one", "two", "three", "four", "five"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_with_its_half_line() {
    let mut bench = Bench::new("app.log", None);
    bench.append("app.log", "one\n");
    bench.look(9);
    bench.append("app.log", "two\nhalf");
    fs::remove_file(bench.path("app.log")).unwrap();
    bench.look(9);
    assert_eq!(bench.lines, ["one", "two"]);
    bench.clock.pass(2 * SECOND);
    bench.look(9);
    assert_eq!(bench.lines, ["one", "two", "half"]);
    bench.clock.pass(KEPT_AFTER);
    bench.look(9);
    assert!(bench.files.status().is_empty(), "its handle is let go");
}

#[test]
fn a_copied_and_truncated_file_is_read_on_from_its_copy() {
    for pattern in ["app.log", "app.log*"] {
        let mut bench = Bench::new(pattern, None);
        bench.append("app.log", "one\ntwo\n");
        bench.look(9);
        bench.append("app.log", "three\n");
        fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
        if pattern == "app.log*" {
            bench.look(9);
            bench.append("app.log", "four\n");
            fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
        } else {
            bench.append("app.log", "four\n");
            fs::copy(bench.path("app.log"), bench.path("app.log.1")).unwrap();
        }
        fs::write(bench.path("app.log"), "five\n").unwrap();
        bench.look(9);
        bench.look(9);
        assert_eq!(bench.lines, ["one", "two", "three", "four", "five"], "{pattern}");
        bench.restart();
        bench.look(9);
        assert_eq!(bench.lines.len(), 5, "{pattern}");
    }
}

#[test]
fn a_truncated_file_that_grew_to_its_old_length_begins_anew() {
    let mut bench = Bench::new("app.log", None);
    bench.append("app.log", "one\n");
    bench.look(9);
    bench.look(9);
    fs::write(bench.path("app.log"), "two\n").unwrap();
    bench.look(9);
    bench.look(9);
    assert_eq!(bench.lines, ["one", "two"]);
}

#[test]
fn joined_lines_end_with_the_next_first_line_or_after_a_while() {
    let mut bench = Bench::new("app.log", Some(r"^\d"));
    bench.append("app.log", "1 error\n  at here\n2 error\n  at there\n");
    bench.look(9);
    assert_eq!(bench.lines, ["1 error\n  at here"]);
    bench.clock.pass(2 * SECOND);
    bench.look(9);
    assert_eq!(bench.lines[1], "2 error\n  at there");
}

#[test]
fn bytes_that_are_no_text_are_marked_and_long_lines_cut() {
    let mut bench = Bench::new("app.log", None);
    let long = "x".repeat(100_000);
    let mut file = fs::File::create(bench.path("app.log")).unwrap();
    file.write_all(b"ok \xff\xfe\n").unwrap();
    file.write_all(long.as_bytes()).unwrap();
    file.write_all(b"\nend\n").unwrap();
    bench.look(9);
    assert_eq!(bench.lines[0], "ok \u{fffd}\u{fffd}");
    assert_eq!(bench.lines[1..3].concat(), long);
    assert_eq!(bench.lines[3], "end");
}

#[test]
fn packed_files_are_not_read() {
    let mut bench = Bench::new("app.log*", None);
    bench.append("app.log.2.gz", "no\n");
    bench.append("app.log", "yes\n");
    bench.look(9);
    assert_eq!(bench.lines, ["yes"]);
}

/// What happens to a folder of logs.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Half,
    Rename,
    CopyTruncate,
    Look,
    /// The process dies after so many pieces, and another begins.
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..2_000_usize).prop_map(Step::Append),
        2 => Just(Step::Half),
        1 => Just(Step::Rename),
        1 => Just(Step::CopyTruncate),
        4 => Just(Step::Look),
        2 => (0..4_usize).prop_map(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn each_line_is_read_once_and_in_order(steps in proptest::collection::vec(step(), 1..40), all_names in any::<bool>()) {
        let mut bench = Bench::new(if all_names { "app.log*" } else { "app.log" }, None);
        let (mut written, mut turns) = (0, 0);
        // A second rename before the first was seen would hide a file from a pattern of one name.
        let mut is_seen = true;
        for step in steps {
            match step {
                Step::Append(lines) => {
                    let text: String = (written..written + lines).map(|n| format!("line {n} of the log\n")).collect();
                    bench.append("app.log", &text);
                    written += lines;
                    is_seen = false;
                }
                Step::Half => {
                    bench.append("app.log", &format!("line {written} of"));
                    if all_names {
                        bench.look(usize::MAX);
                    }
                    bench.append("app.log", " the log\n");
                    written += 1;
                    is_seen = false;
                }
                Step::Rename | Step::CopyTruncate if !is_seen || !bench.path("app.log").exists() => {}
                Step::Rename => {
                    turns += 1;
                    fs::rename(bench.path("app.log"), bench.path(&format!("app.log.{turns}"))).unwrap();
                }
                Step::CopyTruncate => {
                    turns += 1;
                    fs::copy(bench.path("app.log"), bench.path(&format!("app.log.{turns}"))).unwrap();
                    OpenOptions::new().write(true).open(bench.path("app.log")).unwrap().set_len(0).unwrap();
                }
                Step::Look => {
                    bench.look(usize::MAX);
                    is_seen = true;
                }
                Step::Kill(pieces) => {
                    bench.look(pieces);
                    bench.restart();
                }
            }
        }
        for _ in 0..4 {
            bench.look(usize::MAX);
        }
        let expected: Vec<String> = (0..written).map(|n| format!("line {n} of the log")).collect();
        prop_assert_eq!(&bench.lines, &expected);
    }
}
