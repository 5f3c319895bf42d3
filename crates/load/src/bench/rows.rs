use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat, dry_run};
use tidegate_load::{now_unix_nanos, process};
use tidegate_model::UnixNanos;

use super::Line;
use super::lab::Lab;

const ROWS_ENCODED: u64 = 80_000;
const ROUNDS: usize = 5;

/// What `POST /datasets/{slug}/ingest` does for NDJSON before the log: median CPU time of one thread.
pub(super) fn run(lab: &Lab, name: &str, rows: u64) -> Result<Line> {
    let count = lab.amount(ROWS_ENCODED).max(rows) / rows;
    let requests: Vec<_> = (0..count).map(|at| request(at * rows, rows)).collect();
    let received = UnixNanos(i64::try_from(now_unix_nanos())?);
    let (known, _) = dry_run(&requests[0], None, received)?;
    let mut decoding = Vec::new();
    for _ in 0..ROUNDS {
        let began = process::thread_cpu();
        for request in &requests {
            let (_, admitted) = std::hint::black_box(dry_run(request, Some(&known), received)?);
            ensure!(admitted.accepted == rows, "the generator's rows are sound");
        }
        decoding.push((process::thread_cpu() - began).as_secs_f64());
    }
    decoding.sort_unstable_by(f64::total_cmp);
    let (seconds, all) = (decoding[ROUNDS / 2], (count * rows) as f64);
    let wire: usize = requests.iter().map(|request| request.body.len()).sum();
    let numbers = vec![
        ("decode ns/row", seconds * 1e9 / all),
        ("decode MB/s", wire as f64 / seconds / 1e6),
        ("decode k rows/s", all / seconds / 1e3),
        ("wire bytes/row", wire as f64 / all),
    ];
    Ok(Line { kind: "stages in this process, CPU", name: name.to_owned(), numbers })
}

fn request(first: u64, rows: u64) -> DatasetRequest {
    DatasetRequest::new("bench", RowsFormat::Ndjson, lines(first, rows))
}

/// Returns rows as lines of JSON.
pub(super) fn lines(first: u64, rows: u64) -> String {
    let mut lines = String::new();
    for n in first..first + rows {
        lines.push_str(&row(n).to_string());
        lines.push('\n');
    }
    lines
}

/// Returns a row as a web shop's events have it: a time, words, numbers, a flag, one longer text.
pub(super) fn row(n: u64) -> Value {
    json!({
        "time": format!("2026-11-21T{:02}:{:02}:{:02}.{:03}Z", n / 3_600_000 % 24, n / 60_000 % 60, n / 1_000 % 60, n % 1_000),
        "page": format!("/products/{}", n * 7 % 991),
        "user": format!("user-{}", n * 31 % 10_007),
        "country": (["de", "fr", "us", "jp"][(n % 4) as usize]),
        "status": 200 + n % 5,
        "ms": (n * 13 % 9_973) as f64 / 8.0,
        "cached": n.is_multiple_of(3),
        "note": format!("request {n} was served by the second shard after a look into its cache"),
    })
}
