use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tidegate_load::{Encoding, ID_ATTRIBUTE, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use super::lab::{self, Lab};
use super::{Line, Shape};

const SHAPE: Shape = Shape { signal: Signal::Logs, wire: Wire::Http, rows: 1_000, encoding: Encoding::Plain };
const STORED_ROWS: u64 = 1_000_000;
const HOT_ROWS: u64 = 100_000;
const READS: u64 = 200;
/// Batches that no limit seals while it is measured.
const KEEP_HOT: &[(&str, &str)] = &[("TIDEGATE_BATCH__AGE_MS", "3600000"), ("TIDEGATE_BATCH__ROWS", "1000000")];

const QUERIES: [(&str, &str); 4] = [
    ("count", "SELECT count() FROM logs"),
    ("filter", "SELECT count() FROM logs WHERE severity_number >= 17 AND body LIKE '%shard 7%'"),
    (
        "group",
        "SELECT service_name, count(), quantile(0.99)(toFloat64OrZero(attributes['duration_ms'])) FROM logs GROUP BY service_name",
    ),
    ("last", "SELECT timestamp, body FROM logs ORDER BY timestamp DESC LIMIT 20"),
];

/// Writes one row, and asks for it as soon as it is acknowledged; the next answer must have it.
pub(super) async fn visible(lab: &Lab, name: &str) -> Result<Line> {
    let (_folder, stack) = lab.start(&[]).await?;
    let source = Source::new(77, now_unix_nanos());
    let mut connection = lab::connect(&stack, SHAPE).await?;
    let mut times = Vec::new();
    for n in 0..lab.amount(READS * 5) {
        let body = Bytes::from(source.request(Signal::Logs, n, 1));
        lab::send_one(&mut connection, SHAPE, &body).await?;
        let acked = Instant::now();
        let sql = format!("SELECT count() FROM logs WHERE attributes['{ID_ATTRIBUTE}'] = '{}'", source.row_id(n));
        let count = stack.number(&sql).await?;
        ensure!(count == 1, "row {n} was acknowledged, and the next answer counts it {count} times");
        times.push(acked.elapsed());
    }
    let (p50, p99) = percentiles(&mut times);
    let numbers = vec![
        ("reads", times.len() as f64),
        ("in the next answer", times.len() as f64),
        ("p50 ms", p50),
        ("p99 ms", p99),
    ];
    Ok(Line { kind: "ack to visible", name: name.to_owned(), numbers })
}

/// The same queries with an empty tail and with a full one, over the same stored rows.
pub(super) async fn hot_tail(lab: &Lab, name: &str) -> Result<Vec<Line>> {
    let (_folder, mut stack) = lab.start(&[]).await?;
    let bodies = lab::bodies(SHAPE, lab.amount(STORED_ROWS) + HOT_ROWS)?;
    let (stored, hot) = bodies.split_at(bodies.len() - usize::try_from(HOT_ROWS / SHAPE.rows)?);
    lab::send_all(&stack, SHAPE, stored, 4).await?;
    lab::stored(&stack).await?;
    lab::settled(&stack).await?;
    let empty = measure(&stack, lab).await?;
    stack.add_env(KEEP_HOT);
    stack.stop()?;
    stack.start()?;
    stack.ready(Duration::from_secs(30)).await?;
    lab::settled(&stack).await?;
    lab::send_all(&stack, SHAPE, hot, 4).await?;
    let full = measure(&stack, lab).await?;
    let measured = QUERIES.iter().zip(empty.iter().zip(&full));
    Ok(measured.map(|((query, _), (empty, full))| compared(format!("{name}-{query}"), empty, full)).collect())
}

fn compared(name: String, empty: &[f64; 3], full: &[f64; 3]) -> Line {
    let numbers = vec![
        ("empty p50 ms", empty[0]),
        ("full p50 ms", full[0]),
        ("overhead ms", full[0] - empty[0]),
        ("empty serve CPU ms", empty[1]),
        ("full serve CPU ms", full[1]),
        ("empty engine CPU ms", empty[2]),
        ("full engine CPU ms", full[2]),
    ];
    Line { kind: "query with 100 k hot rows", name, numbers }
}

/// Returns, per query: median time, CPU of the server and of the engine, in milliseconds.
async fn measure(stack: &Stack, lab: &Lab) -> Result<Vec<[f64; 3]>> {
    let mut all = Vec::new();
    for (name, sql) in QUERIES {
        let mut times = Vec::new();
        stack.query(sql).await.with_context(|| format!("query `{name}`"))?;
        let before = lab::used(stack)?;
        for _ in 0..lab.amount(READS).max(20) {
            let began = Instant::now();
            stack.query(sql).await?;
            times.push(began.elapsed());
        }
        let after = lab::used(stack)?;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / times.len() as f64;
        let (serve, engine) = (each(after.serve - before.serve), each(after.engine - before.engine));
        all.push([percentiles(&mut times).0, serve, engine]);
    }
    Ok(all)
}

/// Sorts, and returns the median and the 99th percentile in milliseconds.
fn percentiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |hundredth: usize| times[(times.len() * hundredth / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    (at(50), at(99))
}
