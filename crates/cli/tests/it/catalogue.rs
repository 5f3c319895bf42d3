use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use rustix::process::Signal as Kill;
use tidegate_load::{Connection, Encoding, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::{SMALL_BATCHES, account, eventually, recount, started};

/// Requests of each signal, and their rows: few enough that a debug build recounts them in a moment.
const REQUESTS: u64 = 120;
const ROWS: u64 = 40;
const RECOUNTS_MIN: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_is_a_recount_at_every_moment_and_however_it_merges() -> Result<()> {
    let (_folder, stack) = started(&[SMALL_BATCHES, &[("TIDEGATE_CATALOGUE__ENABLED", "true")]].concat()).await?;
    let (done, recounts) = (AtomicBool::new(false), AtomicU64::new(0));
    let write = async {
        for n in 0..REQUESTS {
            write(&stack, n).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if n == REQUESTS / 2 {
                stack.signal_engine(Kill::KILL)?;
            }
        }
        done.store(true, Ordering::SeqCst);
        Ok(())
    };
    let recount = async {
        while !done.load(Ordering::SeqCst) || recounts.load(Ordering::SeqCst) < RECOUNTS_MIN {
            recount::catalogue_agrees(&stack).await?;
            recounts.fetch_add(1, Ordering::SeqCst);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(write, recount)?;
    eprintln!("{} recounts agreed while rows came in and an engine died", recounts.load(Ordering::SeqCst));

    let is_stored = async || Ok(account::hot_rows(&stack).await? == 0);
    eventually("every row is stored", is_stored).await?;
    recount::catalogue_agrees(&stack).await?;
    let merged = "SELECT count() FROM system.parts WHERE table = 'catalog_attributes' AND active AND level > 0";
    let has_merged = async || Ok(stack.number(merged).await? > 0);
    eventually("ClickHouse has merged parts", has_merged).await?;
    recount::catalogue_agrees(&stack).await
}

async fn write(stack: &Stack, n: u64) -> Result<()> {
    let source = Source::new(1, now_unix_nanos() - n * 600_000_000_000);
    let mut connection = Connection::open(Wire::Http, stack.otlp_http, Encoding::Plain).await?;
    for signal in Signal::ALL {
        let body = Bytes::from(source.request(signal, n * ROWS, ROWS));
        let reply = connection.send(signal, body, None).await?;
        ensure!(reply.acked, "{reply:?}");
    }
    Ok(())
}
