use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_load::Stack;

use super::super::lab::Lab;
use super::Size;

/// The first hour that is filled; what is sent to a bench is later.
const FIRST_HOUR: &str = "toDateTime64('2026-01-31 00:00:00', 9, 'UTC')";
/// One statement's time, with room for a slow disk.
const STATEMENT_WITHIN: std::time::Duration = std::time::Duration::from_secs(600);
/// Rows that the engine sorts at once: less memory than all of them at a time.
const SETTINGS: &str = "SETTINGS max_insert_block_size = 500000, max_insert_threads = 2, max_threads = 2";

/// Metrics of the many rows; each has ten attributes, from ten services, in fifty hours.
const NAMES: u64 = 2_000;
const SERVICES: u64 = 10;
const HOURS: u64 = 50;
const KEYS: u64 = 10;
/// One metric of a hundred has an attribute with this many values, all others have up to four.
const HIGH_VALUES: u64 = 200;
/// What `cardinality/high` must tell of the many rows.
pub(super) const HIGH_KEYS: u64 = NAMES / 100;

pub(super) const METRICS: u64 = 100_000;

pub(super) const DISTINCT: u64 = 1_000_000;
const OBSERVATIONS: u64 = 100_000_000;
const OBSERVED_HOURS: u64 = 24;
/// Of 4.2 M draws from 1 M values an hour, so many of a thousand values come at least once.
const SEEN_PER_MILLE: u64 = 984;

/// Fills the tables of a server that does not run, through an engine of its own.
pub(super) async fn fill(lab: &Lab, stack: &Stack, size: Size) -> Result<()> {
    let engine = FillingEngine::start(lab, stack)?;
    let statements = match size {
        Size::Rows10M => many_rows(),
        Size::Metrics100K => many_metrics(),
        Size::Observations100M => many_observations(),
    };
    for sql in statements {
        engine.run(&sql).await?;
    }
    for table in ["catalog_signals", "catalog_attributes", "catalog_values"] {
        engine.run(&format!("OPTIMIZE TABLE tidegate.{table} FINAL")).await?;
    }
    engine.stop()
}

fn many_rows() -> Vec<String> {
    let per_hour = NAMES * KEYS * SERVICES;
    let hour = format!("{FIRST_HOUR} + toIntervalHour(intDiv(number, {per_hour}))");
    let is_high = format!("number % {KEYS} = 9 AND intDiv(number, {KEYS}) % {NAMES} % 100 = 0");
    let attributes = attributes(&Attributes {
        key: &format!("concat('key-', toString(number % {KEYS}))"),
        name: &format!("concat('metric-', toString(intDiv(number, {KEYS}) % {NAMES}))"),
        service: &format!("concat('service-', toString(intDiv(number, {}) % {SERVICES}))", NAMES * KEYS),
        hour: &hour,
        hashes: &format!(
            "arrayMap(n -> cityHash64(number % {KEYS}, n), range(if({is_high}, {HIGH_VALUES}, 1 + number % 4)))"
        ),
        rows: per_hour * HOURS,
    });
    let of_signals = NAMES * SERVICES;
    let signals = signals(&Signals {
        name: &format!("concat('metric-', toString(number % {NAMES}))"),
        service: &format!("concat('service-', toString(intDiv(number, {NAMES}) % {SERVICES}))"),
        hour: &format!("{FIRST_HOUR} + toIntervalHour(intDiv(number, {of_signals}))"),
        rows: of_signals * HOURS,
    });
    vec![attributes, signals, values(HIGH_VALUES * KEYS)]
}

fn many_metrics() -> Vec<String> {
    let hour = format!("{FIRST_HOUR} + toIntervalHour(0)");
    let attributes = attributes(&Attributes {
        key: "concat('key-', toString(number % 4))",
        name: "concat('metric-', toString(intDiv(number, 4)))",
        service: "concat('service-', toString(intDiv(number, 4) % 20))",
        hour: &hour,
        hashes: "arrayMap(n -> cityHash64(number % 4, n), range(1 + number % 4))",
        rows: METRICS * 4,
    });
    let signals = signals(&Signals {
        name: "concat('metric-', toString(number))",
        service: "concat('service-', toString(number % 20))",
        hour: &hour,
        rows: METRICS,
    });
    vec![attributes, signals, values(16)]
}

/// One attribute, each hour a row with nearly every value: the most that its observations can hold.
fn many_observations() -> Vec<String> {
    let records = OBSERVATIONS / OBSERVED_HOURS;
    let hour = |hour: u64| {
        format!(
            "INSERT INTO tidegate.catalog_attributes (_partition, signal, scope, key, name, template_id, service_name, \
             hour, records, bytes, first_timestamp, last_timestamp, value_hashes, _seq) \
             SELECT toDate(any({FIRST_HOUR})), 'logs', 'attribute', 'customer.id', 'INFO', 0, 'shop', \
             any({FIRST_HOUR} + toIntervalHour({hour})), {records}, {records} * 19, \
             any({FIRST_HOUR} + toIntervalHour({hour})), any({FIRST_HOUR} + toIntervalHour({hour})), \
             groupArray(cityHash64(number)), 0 FROM numbers({DISTINCT}) \
             WHERE cityHash64(number, {hour}) % 1000 < {SEEN_PER_MILLE} OR number % {OBSERVED_HOURS} = {hour}"
        )
    };
    (0..OBSERVED_HOURS).map(hour).collect()
}

/// Expressions over `number` that make rows of `catalog_attributes`.
struct Attributes<'a> {
    key: &'a str,
    name: &'a str,
    service: &'a str,
    hour: &'a str,
    hashes: &'a str,
    rows: u64,
}

fn attributes(of: &Attributes<'_>) -> String {
    let Attributes { key, name, service, hour, hashes, rows } = of;
    format!(
        "INSERT INTO tidegate.catalog_attributes (_partition, signal, scope, key, name, template_id, service_name, \
         hour, records, bytes, first_timestamp, last_timestamp, value_hashes, _seq) \
         SELECT toDate({hour}), 'metrics', 'attribute', {key}, {name}, 0, {service}, {hour}, 100, 2000, {hour}, {hour}, \
         {hashes}, 0 FROM numbers({rows}) {SETTINGS}"
    )
}

/// Expressions over `number` that make rows of `catalog_signals`.
struct Signals<'a> {
    name: &'a str,
    service: &'a str,
    hour: &'a str,
    rows: u64,
}

fn signals(of: &Signals<'_>) -> String {
    let Signals { name, service, hour, rows } = of;
    format!(
        "INSERT INTO tidegate.catalog_signals (_partition, signal, name, template_id, service_name, hour, records, \
         bytes, first_timestamp, last_timestamp, series, facets, _seq) \
         SELECT toDate({hour}), 'metrics', {name}, 0, {service}, {hour}, 100, 4000, {hour}, {hour}, \
         arrayMap(n -> cityHash64({name}, n), range(10)), ['type:gauge', 'unit:1'], 0 FROM numbers({rows}) {SETTINGS}"
    )
}

fn values(rows: u64) -> String {
    format!(
        "INSERT INTO tidegate.catalog_values (_partition, signal, scope, key, value_hash, value, first_timestamp, _seq) \
         SELECT toDate({FIRST_HOUR}), 'metrics', 'attribute', concat('key-', toString(number % 10)), \
         cityHash64(number % 10, intDiv(number, 10)), toString(number), {FIRST_HOUR}, 0 FROM numbers({rows})"
    )
}

/// An engine on a server's folder that may write; it ends with this program.
struct FillingEngine {
    process: Child,
    url: String,
    client: reqwest::Client,
}

impl FillingEngine {
    fn start(lab: &Lab, stack: &Stack) -> Result<Self> {
        let mut process = Command::new(lab.program.with_file_name("tidegate-engine"))
            .arg("--path")
            .arg(stack.data().join("engine"))
            .arg("--lib")
            .arg(&lab.library)
            .args(["--default-access", "full", "--exit-with-parent", "--log", "warn"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the engine")?;
        let stdout = process.stdout.take().context("the engine's output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("wait for the engine")?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("the engine said: {line}"))?;
        let address = ready["http"].as_str().context("the engine's address")?;
        let client = reqwest::Client::builder().timeout(STATEMENT_WITHIN).build()?;
        Ok(Self { process, url: format!("http://{address}/"), client })
    }

    async fn run(&self, sql: &str) -> Result<()> {
        let answer = self.client.post(&self.url).body(sql.to_owned()).send().await.context("send a statement")?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "{sql}: {text}");
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        ensure!(status.success(), "the engine ended with {status}");
        Ok(())
    }
}

impl Drop for FillingEngine {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
