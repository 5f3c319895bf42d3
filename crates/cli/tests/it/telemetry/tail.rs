use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;

use super::{ledger, send, taken};
use crate::{SMALL_BATCHES, eventually, started};

/// What a reader is given, read when it is asked for.
struct Reader {
    answer: reqwest::Response,
    rest: String,
}

impl Reader {
    async fn begin(stack: &Stack, path: &str) -> Result<Self> {
        let answer = reqwest::get(format!("http://{}{path}", stack.http)).await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let mut reader = Self { answer, rest: String::new() };
        let (name, _) = reader.next().await?;
        ensure!(name == "begin", "{name}");
        Ok(reader)
    }

    /// Returns the next event's name and data.
    async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            while let Some(end) = self.rest.find("\n\n") {
                let event: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let Some(name) = field("event: ") {
                    let data = field("data: ").context("an event without data")?;
                    return Ok((name, serde_json::from_str(&data)?));
                }
            }
            let piece = self.answer.chunk().await?.context("the stream ended")?;
            self.rest += std::str::from_utf8(&piece)?;
        }
    }
}

fn log(number: u64) -> Value {
    let level = if number.is_multiple_of(3) { "ERROR" } else { "INFO" };
    json!({ "level": level, "source": "shop", "message": format!("order {number}"), "context": { "number": number } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_that_is_wanted_is_sent_once_in_its_order() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    taken(&stack, "logs", &[log(1_000_000)]).await?;
    let mut all = Reader::begin(&stack, "/v1/json/logs/tail").await?;
    let mut errors = Reader::begin(&stack, "/v1/json/logs/tail?level=error&text=ORDER&source=shop").await?;
    let mut events = Reader::begin(&stack, "/v1/json/events/tail?event_type=b").await?;
    for first in (0..3_000).step_by(50) {
        taken(&stack, "logs", &(first..first + 50).map(log).collect::<Vec<_>>()).await?;
    }
    taken(&stack, "events", &[json!({ "event_type": "a" }), json!({ "event_type": "b", "details": "d" })]).await?;
    for (reader, step) in [(&mut all, 1), (&mut errors, 3)] {
        let mut last = 0;
        for number in (0..3_000).step_by(step) {
            let (name, entry) = reader.next().await?;
            ensure!((name.as_str(), &entry["context"]["number"]) == ("entry", &json!(number)), "{name} {entry}");
            let seq = entry["seq"].as_u64().context("a number")?;
            ensure!(seq > last, "{seq} after {last}");
            last = seq;
        }
    }
    let (_, event) = events.next().await?;
    ensure!((&event["event_type"], &event["details"]) == (&json!("b"), &json!("d")), "{event}");
    let (status, told) = send(&stack, "/v1/json/logs", "{}".to_owned(), &[]).await?;
    ensure!(status == 200 && told["rejected"] == 1, "writes go on: {told}");
    let refused = reqwest::get(format!("http://{}/v1/json/logs/tail?lvl=x", stack.http)).await?;
    ensure!(refused.status() == 400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_slow_is_told_what_it_lost_and_holds_nobody_up() -> Result<()> {
    let (_folder, mut stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "100")]).await?;
    let mut reader = Reader::begin(&stack, "/v1/json/logs/tail").await?;
    // More than the sockets and one request hold.
    let (requests, rows, text) = (60, 2_000, "x".repeat(400));
    for request in 0..requests {
        let entries: Vec<Value> =
            (0..rows).map(|n| json!({ "message": text, "context": { "n": request * rows + n } })).collect();
        taken(&stack, "logs", &entries).await?;
    }
    let total = u64::try_from(requests * rows)?;
    eventually("every row is stored", async || Ok(ledger(&stack, "logs").await? == [total, total, 0, 0, 0])).await?;
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < total {
        match reader.next().await? {
            (name, entry) if name == "entry" => {
                ensure!(entry["seq"].as_u64() == Some(seen + lost + 1), "{} after {seen} and {lost}", entry["seq"]);
                seen += 1;
            }
            (name, told) => {
                ensure!(name == "lost" && told["from"].as_u64() == Some(seen + lost + 1), "{name} {told}");
                lost += told["rows"].as_u64().context("how many")?;
            }
        }
    }
    ensure!(lost > 0 && seen + lost == total, "{seen} seen, {lost} lost");
    // A stop does not wait for who follows.
    let (took, is_clean) = stack.stop()?;
    ensure!(is_clean && took.as_secs() < 5, "{took:?}");
    Ok(())
}
