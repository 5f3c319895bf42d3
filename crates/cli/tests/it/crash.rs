use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal as Kill;
use tidegate_load::{Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::draws::{Draws, setting};
use crate::fleet::{Fleet, Habit};
use crate::{READY_WITHIN, SMALL_BATCHES, account, eventually, recount, stack, started};

const ROUNDS: u64 = 20;
const ENGINE_KILLS: u64 = 6;

const PLANS: &[(Wire, Signal, Habit)] = &[
    (Wire::Http, Signal::Logs, Habit::Key),
    (Wire::Http, Signal::Logs, Habit::SameBytes),
    (Wire::Grpc, Signal::Logs, Habit::Never),
    (Wire::Grpc, Signal::Traces, Habit::Key),
    (Wire::Http, Signal::Metrics, Habit::Key),
];

#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    Engine,
    Both,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_rows_survive_kills_and_are_there_exactly_once() -> Result<()> {
    let (rounds, seed) = (setting("TIDEGATE_CRASH_ROUNDS", ROUNDS), setting("TIDEGATE_CRASH_SEED", now_unix_nanos()));
    eprintln!("TIDEGATE_CRASH_SEED={seed} TIDEGATE_CRASH_ROUNDS={rounds}");
    let mut draws = Draws(seed);
    let (_folder, mut stack) = started(SMALL_BATCHES).await?;
    let fleet = Fleet::start(&stack, PLANS, seed);
    for round in 1..=rounds {
        let more = 1 + draws.below(60);
        let seen = fleet.acked_requests();
        eventually("producers are acknowledged", async || Ok(fleet.acked_requests() >= seen + more)).await?;
        // Chance, not a wait for something: the kill should fall anywhere between two acknowledgements.
        tokio::time::sleep(Duration::from_micros(draws.below(30_000))).await;
        let victim = match draws.below(3) {
            0 => Victim::Server,
            1 => Victim::Engine,
            _ => Victim::Both,
        };
        let (to_ready, to_answer) = kill_and_mend(&mut stack, victim).await?;
        let rows = account::gap_free(&stack, "logs").await?;
        eprintln!(
            "round {round}: killed {victim:?}, ready after {to_ready:?}, answer after {to_answer:?}, {rows} logs"
        );
    }
    let sent = fleet.stop().await?;
    account::settle(&stack, &sent).await?;
    recount::every_row_is_counted(&stack).await?;
    recount::catalogue_agrees(&stack).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_goes_on_while_the_engine_is_down() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let fleet = Fleet::start(&stack, PLANS, 1);
    for kill in 0..ENGINE_KILLS {
        // A stopped engine answers nothing at all, a killed one refuses: both leave only the log to write to.
        let stopped = kill % 2 == 0 && stack.signal_engine(Kill::STOP)?;
        let seen = fleet.acked_requests();
        if !stopped {
            stack.signal_engine(Kill::KILL)?;
        }
        eventually("writes pass without an engine", async || Ok(fleet.acked_requests() >= seen + 40)).await?;
        if stopped {
            stack.signal_engine(Kill::CONT)?;
        }
    }
    let sent = fleet.stop().await?;
    eventually("the engine answers again", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    account::settle(&stack, &sent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_flushes_what_is_hot() -> Result<()> {
    // Batches that no limit would seal during the test: only the stop can move them.
    let (_folder, mut stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "3600000")]).await?;
    let fleet = Fleet::start(&stack, PLANS, 2);
    eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 50)).await?;
    let sent = fleet.stop().await?;
    let (took, clean) = stack.stop()?;
    ensure!(clean, "the server did not leave with code 0:\n{}", stack.log_tail());
    eprintln!("stopped after {took:?}");
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    ensure!(account::hot_rows(&stack).await? == 0, "rows stayed in the log over a graceful stop");
    account::settle(&stack, &sent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_one_folder_is_refused() -> Result<()> {
    let (_folder, first) = started(&[]).await?;
    let (_other_folder, mut second) = stack(&[])?;
    second.set_data(first.data());
    second.start()?;
    let refused = second.ready(READY_WITHIN).await;
    ensure!(refused.is_err(), "two servers wrote to one folder");
    ensure!(first.query("SELECT 1").await.is_ok(), "the first server was hurt by the second");
    Ok(())
}

/// Kills, starts again what nobody else restarts, and returns the times to ready and to the first answer.
async fn kill_and_mend(stack: &mut Stack, victim: Victim) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    match victim {
        Victim::Engine => {
            stack.signal_engine(Kill::KILL)?;
        }
        Victim::Server => {
            stack.kill_serve()?;
            stack.start()?;
        }
        Victim::Both => {
            stack.signal_engine(Kill::KILL)?;
            stack.kill_serve()?;
            stack.start()?;
        }
    }
    stack.ready(READY_WITHIN).await?;
    let to_ready = began.elapsed();
    eventually("a query is answered", async || Ok(stack.query("SELECT count() FROM logs").await.is_ok())).await?;
    Ok((to_ready, began.elapsed()))
}
