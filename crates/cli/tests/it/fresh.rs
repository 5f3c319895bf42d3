use anyhow::{Context, Result, ensure};
use rustix::process::Signal as Kill;
use serde_json::Value;
use tidegate_load::{Connection, Encoding, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::fleet::{Fleet, Habit};
use crate::{READY_WITHIN, SMALL_BATCHES, account, eventually, started};

/// So large that no buffer on the way holds it: the engine works while the client reads.
const LARGE: &str = "SELECT number, repeat('x', 100) AS filler FROM numbers(9000000)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_insists_on_a_row_is_refused_or_waits_and_is_answered() -> Result<()> {
    let (_folder, stack) = started(&[("TIDEGATE_QUERY__FRESH_WAIT_MS", "50000")]).await?;
    write(&stack, 0, 3).await?;
    let count = "query=SELECT+count()+AS+rows+FROM+logs";

    let refused = read(&stack, &format!("{count}&min_watermark=logs=5&timeout_ms=300")).await?;
    ensure!(refused.status() == 409, "{refused:?}");
    let error = json(refused).await?["error"].take();
    let told = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    ensure!(told("message").contains("asks for row 5 of `logs`, the newest acknowledged one is 3"), "{error}");
    ensure!(told("kind") == "conflict" && told("hint").contains("read again later"), "{error}");
    let details = &error["details"];
    ensure!(details["latest_ingest_watermark"] == 3 && details["min_watermark"] == 5, "{error}");
    // The time limit is that of the whole read, of which a little was spent before.
    ensure!(error["retry_after_ms"] == 1_000 && details["waited_ms"].as_u64() >= Some(200), "{error}");

    for (name, wanted) in [("min_watermark", 5), ("requireFresh=true&minWatermark", 7)] {
        let query = format!("{count}&{name}=logs={wanted}");
        let (answer, ()) = tokio::try_join!(read(&stack, &query), write(&stack, wanted, 2))?;
        ensure!(answer.status() == 200, "{answer:?}");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        ensure!(header("x-timestore-watermark") == Some(format!("logs={wanted}")), "{answer:?}");
        ensure!(header("x-timestore-freshness-mode").is_some(), "{answer:?}");
        let rows = json(answer).await?["data"][0]["rows"].take();
        ensure!(account::as_number(&rows) == Some(wanted), "{rows}");
    }
    let malformed = read(&stack, &format!("{count}&min_watermark=logs")).await?;
    ensure!(malformed.status() == 400, "{malformed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_engine_dies_breaks_off_and_never_looks_whole() -> Result<()> {
    let (_folder, stack) = started(&[]).await?;
    eventually("an engine", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let mut answer = read(&stack, &format!("query={}", LARGE.replace(' ', "+"))).await?;
    ensure!(answer.status() == 200, "{answer:?}");
    answer.chunk().await?.context("a first piece")?;
    ensure!(stack.signal_engine(Kill::KILL)?, "an engine runs");
    let end = async {
        loop {
            match answer.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    };
    let end = tokio::time::timeout(READY_WITHIN, end).await.context("the answer ends")?;
    ensure!(end.is_err(), "half an answer ended as a whole one does");
    eventually("the engine answers again", async || Ok(stack.query("SELECT 1").await.is_ok())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_leaves_nothing_running() -> Result<()> {
    let (_folder, stack) = started(&[]).await?;
    eventually("an engine", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let running = "SELECT count() FROM system.processes WHERE query LIKE '%numbers(9000' || '000)%' FORMAT TSV";
    let mut answer = read(&stack, &format!("query={}", LARGE.replace(' ', "+"))).await?;
    answer.chunk().await?.context("a first piece")?;
    ensure!(stack.clickhouse(running).await?.trim() == "1", "the query runs while its answer is read");
    drop(answer);
    eventually("it has ended", async || Ok(stack.clickhouse(running).await?.trim() == "0")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_backend_answers_alike_and_keeps_nothing() -> Result<()> {
    let plans = [(Wire::Http, Signal::Logs, Habit::Key), (Wire::Grpc, Signal::Metrics, Habit::SameBytes)];
    let (_folder, mut stack) = started(&[SMALL_BATCHES, &[("STORAGE_BACKEND", "memory")]].concat()).await?;
    let fleet = Fleet::start(&stack, &plans, 6);
    eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 40)).await?;
    stack.signal_engine(Kill::STOP)?;
    let seen = fleet.acked_requests();
    eventually("writes pass without an engine", async || Ok(fleet.acked_requests() >= seen + 10)).await?;
    stack.signal_engine(Kill::CONT)?;
    let sent = fleet.stop().await?;
    account::settle(&stack, &sent).await?;
    eventually("rows move on to the engine", async || Ok(account::hot_rows(&stack).await? == 0)).await?;
    account::settle(&stack, &sent).await?;

    let folder = std::env::temp_dir().join(format!("tidegate-memory-{}", stack.serve_pid().context("a server")?));
    ensure!(folder.exists() && !stack.data().exists(), "rows are in {}", folder.display());
    let (_, clean) = stack.stop()?;
    ensure!(clean && !folder.exists(), "{} is left:\n{}", folder.display(), stack.log_tail());
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    ensure!(stack.number("SELECT count() FROM logs").await? == 0, "the last run's rows are here");
    Ok(())
}

async fn read(stack: &Stack, query: &str) -> Result<reqwest::Response> {
    Ok(reqwest::get(format!("http://{}/sql/read?{query}", stack.http)).await?)
}

async fn json(answer: reqwest::Response) -> Result<Value> {
    Ok(serde_json::from_str(&answer.text().await?)?)
}

/// Writes log records.
async fn write(stack: &Stack, first: u64, rows: u64) -> Result<()> {
    let body = Source::new(7, now_unix_nanos()).request(Signal::Logs, first, rows);
    let mut connection = Connection::open(Wire::Http, stack.otlp_http, Encoding::Plain).await?;
    let reply = connection.send(Signal::Logs, body.into(), None).await?;
    ensure!(reply.acked, "{reply:?}");
    Ok(())
}
