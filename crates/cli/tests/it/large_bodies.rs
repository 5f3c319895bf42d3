//! Bodies of rows that are larger than a request may be in memory: taken in parts, each row once, whatever is killed.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tidegate_load::Stack;

use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

/// Rows of a body that is past the limit of 64 MiB.
const ROWS: u64 = 9_000;
/// The text of each.
const TEXT_BYTES: usize = 8 << 10;
/// A line that is not JSON.
const BROKEN: u64 = 17;
/// A row whose number is none.
const WRONG: u64 = 8_900;
const WITHIN: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_larger_body_is_taken_in_parts_and_its_retry_adds_nothing() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    // Makes the dataset, so that a text in place of a number is refused.
    let (status, told) = send(&stack, Request::lines(br#"{"n":1,"text":"first"}"#.to_vec())).await?;
    ensure!(status == 201, "{told}");
    let body = lines();

    let (status, told) = send(&stack, Request::lines(body.clone())).await?;
    ensure!(
        status == 413 && told["error"]["hint"].as_str().is_some_and(|hint| hint.contains("Idempotency-Key")),
        "{told}"
    );
    let (status, told) =
        send(&stack, Request { media_type: "application/json", ..Request::keyed(body.clone()) }).await?;
    ensure!(status == 413 && told["error"]["hint"].as_str().is_some_and(|hint| hint.contains("NDJSON")), "{told}");
    ensure!(stack.number("SELECT count() FROM big").await? == 1, "something was written");

    let (status, told) = send(&stack, Request::keyed(body.clone())).await?;
    let refused: Vec<_> =
        told["rejections"].as_array().into_iter().flatten().map(|row| row["index"].as_u64()).collect();
    ensure!(status == 201 && told["accepted"] == ROWS - 2 && told["rejected"] == 2, "{told}");
    ensure!(refused == [Some(BROKEN), Some(WRONG)], "{told}");
    whole(&stack).await?;

    // Packed it is small, and is the same body.
    let (status, told) = send(&stack, Request { packed: true, ..Request::keyed(body.clone()) }).await?;
    ensure!(status == 200 && told["retry"] == true && told["accepted"] == ROWS - 2, "{told}");
    // One that begins alike is another one.
    let longer = [body, b"{\"n\":7}\n".to_vec()].concat();
    let (status, told) = send(&stack, Request::keyed(longer)).await?;
    ensure!(status == 409, "{told}");
    let (status, told) = send(&stack, Request::keyed(b"{\"n\":7}\n".to_vec())).await?;
    ensure!(status == 409, "{told}");
    whole(&stack).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_larger_body_whose_server_is_killed_is_there_once_after_its_retry() -> Result<()> {
    let (_folder, mut stack) = started(SMALL_BATCHES).await?;
    let mut csv = b"n,text\n".to_vec();
    for n in 0..ROWS {
        writeln!(csv, "{n},{}", text(n))?;
    }
    let sending = Request { media_type: "text/csv", ..Request::keyed(csv) };
    let (url, client) = (url(&stack), reqwest::Client::new());
    let task = tokio::spawn(sending.clone().asked(client, url));
    eventually("a part is durable", async || {
        let ledger = stack.get("/ledger").await?;
        let tables = ledger["tables"].as_array().cloned().unwrap_or_default();
        Ok(tables.iter().any(|table| table["table"] == "big" && table["received"].as_u64() > Some(0)))
    })
    .await?;
    stack.kill_serve()?;
    let answer = task.await?;
    ensure!(answer.is_err(), "it was answered before the kill: {answer:?}");
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let (status, told) = send(&stack, sending).await?;
    ensure!((status == 201 || status == 200) && told["accepted"] == ROWS, "{status} {told}");
    let sum = ROWS * (ROWS - 1) / 2;
    let rows = stack.query("SELECT count() AS rows, uniqExact(n) AS different, sum(n) AS sum FROM big").await?;
    ensure!(rows == [json!({ "rows": ROWS, "different": ROWS, "sum": sum })], "{rows:?}");
    let left: Vec<_> =
        std::fs::read_dir(stack.data())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    ensure!(!left.iter().any(|name| name.starts_with(".tmp")), "{left:?}");
    Ok(())
}

/// The body of the first test: a row a line, two of which are refused.
fn lines() -> Vec<u8> {
    let mut body = Vec::new();
    for n in 0..ROWS {
        let line = match n {
            BROKEN => "{\"n\":".to_owned(),
            WRONG => json!({ "n": "none", "text": text(n) }).to_string(),
            _ => json!({ "n": n, "text": text(n) }).to_string(),
        };
        body.extend_from_slice(line.as_bytes());
        body.push(b'\n');
    }
    body
}

fn text(n: u64) -> String {
    char::from(b'a' + u8::try_from(n % 26).unwrap_or(0)).to_string().repeat(TEXT_BYTES)
}

/// Checks that every row is there once.
async fn whole(stack: &Stack) -> Result<()> {
    let sum = ROWS * (ROWS - 1) / 2 - BROKEN - WRONG;
    let rows = stack.query("SELECT count() AS rows, sum(n) AS sum FROM big WHERE text != 'first'").await?;
    ensure!(rows == [json!({ "rows": ROWS - 2, "sum": sum })], "{rows:?}");
    Ok(())
}

#[derive(Debug, Clone)]
struct Request {
    media_type: &'static str,
    body: Vec<u8>,
    key: Option<&'static str>,
    packed: bool,
}

impl Request {
    fn lines(body: Vec<u8>) -> Self {
        Self { media_type: "application/x-ndjson", body, key: None, packed: false }
    }

    fn keyed(body: Vec<u8>) -> Self {
        Self { key: Some("the-big-one"), ..Self::lines(body) }
    }

    async fn asked(self, client: reqwest::Client, url: String) -> Result<(u16, Value)> {
        let mut request = client.post(url).header("content-type", self.media_type).timeout(WITHIN);
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key);
        }
        if self.packed {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&self.body)?;
            request = request.header("content-encoding", "gzip").body(packed.finish()?);
        } else {
            request = request.body(self.body);
        }
        let answer = request.send().await.context("send the body")?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).context("read the answer")?))
    }
}

fn url(stack: &Stack) -> String {
    format!("http://{}/datasets/big/ingest", stack.http)
}

async fn send(stack: &Stack, request: Request) -> Result<(u16, Value)> {
    request.asked(reqwest::Client::new(), url(stack)).await
}
