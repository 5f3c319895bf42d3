//! Rows of a dataset over HTTP, against the real program; loopback only.
//!
//! | line | does | bar |
//! |---|---|---|
//! | `dataset-ingest` | requests of 5,000 rows, four a second, as the JSON of the API and as lines | p95 of the ack at most 50 ms |
//! | `dataset-query` | reads of 100,000 rows, 5,000 of them hot: a page, buckets over all, all of them | p95 at most 100 ms |
//! | `dataset-file` | `tidegate ingest` of a file of a million lines | 200 k rows a second of processor of ours |

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::{Stack, process};

use super::lab::{self, Lab};
use super::load::percentile;
use super::rows::{lines, row};
use super::{Bar, Line, Measured};

const INTO: &str = "rows into a dataset";
const OUT_OF: &str = "100 k rows of a dataset";
const REQUEST_ROWS: u64 = 5_000;
const REQUESTS: u64 = 120;
const REQUESTS_PER_SECOND: u64 = 4;
const INGEST_P95_MS: f64 = 50.0;
const STORED_ROWS: u64 = 95_000;
const READS: u64 = 60;
const WARM_READS: usize = 5;
const QUERY_P95_MS: f64 = 100.0;
const FILE_ROWS: u64 = 1_000_000;
const FILE_ROWS_PER_CPU_SECOND: f64 = 200_000.0;
/// Batches that no limit seals while it is measured.
const KEEP_HOT: &[(&str, &str)] = &[("TIDEGATE_BATCH__AGE_MS", "3600000"), ("TIDEGATE_BATCH__ROWS", "1000000")];

/// What is done with rows of a dataset.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Ingest,
    Query,
    File,
}

impl Work {
    pub(super) const ALL: [Self; 3] = [Self::Ingest, Self::Query, Self::File];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "dataset-ingest",
            Self::Query => "dataset-query",
            Self::File => "dataset-file",
        }
    }
}

/// Does the work, and holds the outcome against its bar.
pub(super) async fn run(lab: &Lab, name: &str, work: Work) -> Result<Measured> {
    match work {
        Work::Ingest => ingest(lab, name).await,
        Work::Query => query(lab, name).await,
        Work::File => file(lab, name).await,
    }
}

async fn ingest(lab: &Lab, name: &str) -> Result<Measured> {
    let (_folder, stack) = lab.start(&[]).await?;
    lab::answers(&stack).await?;
    let client = reqwest::Client::new();
    let mut measured = Measured::default();
    for (form, media_type) in [("json", "application/json"), ("ndjson", "application/x-ndjson")] {
        let slug = format!("bench-{form}");
        // The first request makes the dataset's table.
        send(&client, &stack, &slug, (media_type, body(form, 0))).await?;
        let requests = lab.amount(REQUESTS).max(20);
        let before = lab::used(&stack)?;
        let (mut times, began) = (Vec::new(), Instant::now());
        for number in 1..=requests {
            let body = body(form, number * REQUEST_ROWS);
            let due = Duration::from_secs_f64(number as f64 / REQUESTS_PER_SECOND as f64);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            let sent = Instant::now();
            send(&client, &stack, &slug, (media_type, body)).await?;
            times.push(sent.elapsed());
        }
        let serve = lab::used(&stack)?.serve - before.serve;
        times.sort_unstable();
        let mut line = timed(INTO, format!("{name}-{form}"), &times);
        line.numbers.push(("serve ns a row", serve.as_secs_f64() * 1e9 / (requests * REQUEST_ROWS) as f64));
        let p95 = percentile(&times, 950);
        measured.bars.push(Bar::below(name, (&format!("{form} p95 in ms"), p95), INGEST_P95_MS));
        measured.lines.push(line);
    }
    Ok(measured)
}

fn body(form: &str, first: u64) -> String {
    if form == "ndjson" {
        return lines(first, REQUEST_ROWS);
    }
    let rows: Vec<Value> = (first..first + REQUEST_ROWS).map(row).collect();
    json!({ "rows": rows, "actor": "bench" }).to_string()
}

async fn query(lab: &Lab, name: &str) -> Result<Measured> {
    const SLUG: &str = "bench";
    let (_folder, mut stack) = lab.start(&[]).await?;
    lab::answers(&stack).await?;
    let client = reqwest::Client::new();
    for first in (0..STORED_ROWS).step_by(usize::try_from(REQUEST_ROWS)?) {
        send(&client, &stack, SLUG, ("application/x-ndjson", lines(first, REQUEST_ROWS))).await?;
    }
    lab::stored(&stack).await?;
    stack.add_env(KEEP_HOT);
    stack.stop()?;
    stack.start()?;
    stack.ready(lab::READY_WITHIN).await?;
    lab::answers(&stack).await?;
    send(&client, &stack, SLUG, ("application/x-ndjson", lines(STORED_ROWS, REQUEST_ROWS))).await?;
    lab::settled(&stack).await?;
    let all = STORED_ROWS + REQUEST_ROWS;
    let bucket = json!({ "fn": "avg", "column": "ms" });
    let percentile_of = json!({ "fn": "percentile", "column": "ms", "percentile": 0.95 });
    let downsample = json!({ "intervalUnit": "minute", "intervalSize": 1, "aggregations": [bucket, percentile_of, { "fn": "count" }] });
    let reads = [
        ("page", json!({ "limit": 1_000, "filters": { "columns": { "status": { "gte": 203 } } } }), 1_000),
        ("buckets", json!({ "downsample": downsample }), all.div_ceil(60_000)),
        ("all", json!({ "limit": all }), all),
    ];
    let mut measured = Measured::default();
    for (read, asked, rows) in reads {
        let mut times = Vec::new();
        // The first answers find windows of the network and caches small.
        for _ in 0..WARM_READS {
            ask(&client, &stack, SLUG, &asked).await?;
        }
        let before = lab::used(&stack)?;
        for _ in 0..lab.amount(READS).max(20) {
            let began = Instant::now();
            let answer = ask(&client, &stack, SLUG, &asked).await?;
            times.push(began.elapsed());
            let answer: Value = serde_json::from_slice(&answer)?;
            let got = answer["rows"].as_array().map_or(0, Vec::len) as u64;
            ensure!(got == rows, "{read}: {got} rows instead of {rows}");
        }
        let after = lab::used(&stack)?;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / times.len() as f64;
        let (serve, engine) = (each(after.serve - before.serve), each(after.engine - before.engine));
        times.sort_unstable();
        let mut line = timed(OUT_OF, format!("{name}-{read}"), &times);
        line.numbers.extend([("serve CPU ms", serve), ("engine CPU ms", engine)]);
        measured.lines.push(line);
        let what = format!("{read} p95 in ms");
        measured.bars.push(Bar::below(name, (&what, percentile(&times, 950)), QUERY_P95_MS));
    }
    Ok(measured)
}

async fn file(lab: &Lab, name: &str) -> Result<Measured> {
    let (folder, stack) = lab.start(&[]).await?;
    lab::answers(&stack).await?;
    let rows = lab.amount(FILE_ROWS);
    let path = folder.path().join("rows.ndjson");
    std::fs::write(&path, lines(0, rows))?;
    let bytes = std::fs::metadata(&path)?.len();
    let ended = || process::ended_children_cpu().context("/proc/self/stat");
    let (before, children, began) = (lab::used(&stack)?, ended()?, Instant::now());
    let mut command = Command::new(&lab.program);
    command.args(["ingest", "--dataset", "bench", "--url", &format!("http://{}", stack.http)]).arg(&path);
    let status = tokio::task::spawn_blocking(move || command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    let status = status.await??;
    ensure!(status.success(), "tidegate ingest ended with {status}");
    let took = began.elapsed();
    let serve = lab::used(&stack)?.serve - before.serve;
    let ingest = ended()? - children;
    let stored = stack.number("SELECT count() FROM bench").await?;
    ensure!(stored == rows, "{stored} rows are there, {rows} were in the file");
    let rate = rows as f64 / (serve + ingest).as_secs_f64();
    let numbers = vec![
        ("rows", rows as f64),
        ("MB", bytes as f64 / 1e6),
        ("s", took.as_secs_f64()),
        ("rows/s", rows as f64 / took.as_secs_f64()),
        ("ingest CPU s", ingest.as_secs_f64()),
        ("serve CPU s", serve.as_secs_f64()),
        ("rows/s of our CPU", rate),
    ];
    let bar = Bar::at_least(name, ("rows a second of processor of ours", rate), FILE_ROWS_PER_CPU_SECOND);
    Ok(Measured {
        lines: vec![Line { kind: "a file into a dataset", name: name.to_owned(), numbers }],
        bars: vec![bar],
    })
}

async fn send(client: &reqwest::Client, stack: &Stack, slug: &str, (media_type, body): (&str, String)) -> Result<()> {
    let url = format!("http://{}/datasets/{slug}/ingest", stack.http);
    let answer = client.post(url).header("content-type", media_type).body(body).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    let told: Value = serde_json::from_str(&text).unwrap_or_default();
    ensure!(status == 201 && told["accepted"] == REQUEST_ROWS, "{status} {text}");
    Ok(())
}

async fn ask(client: &reqwest::Client, stack: &Stack, slug: &str, asked: &Value) -> Result<bytes::Bytes> {
    let url = format!("http://{}/datasets/{slug}/query", stack.http);
    let answer = client.post(url).header("content-type", "application/json").body(asked.to_string()).send().await?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&body));
    Ok(body)
}

fn timed(kind: &'static str, name: String, sorted: &[Duration]) -> Line {
    let [p50, p95, worst] = [500, 950, 1_000].map(|thousandth| percentile(sorted, thousandth));
    let numbers = vec![("requests", sorted.len() as f64), ("p50 ms", p50), ("p95 ms", p95), ("worst ms", worst)];
    Line { kind, name, numbers }
}
