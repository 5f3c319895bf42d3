use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rustix::process::Signal as Kill;
use serde_json::Value;
use tidegate_load::{Connection, Encoding, ID_ATTRIBUTE, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::fleet::{Fleet, Habit};
use crate::{SMALL_BATCHES, account, eventually, started};

/// Checks of each kind that a run makes.
const CHECKS: u64 = 60;
const ENGINE_KILLS: u64 = 5;
const ACKED_BETWEEN_KILLS: u64 = 60;

const WRITERS: &[(Wire, Signal, Habit)] = &[
    (Wire::Http, Signal::Logs, Habit::Key),
    (Wire::Grpc, Signal::Logs, Habit::Key),
    (Wire::Grpc, Signal::Logs, Habit::SameBytes),
];

/// Queries whose one row holds the same number in every column, whatever the moment, if they see one snapshot.
const ONE_MOMENT: &[&str] = &[
    "SELECT count() AS a, uniqExact(_seq) AS b, max(_seq) AS c FROM logs",
    "SELECT count() AS a, (SELECT count() FROM logs) AS b, (SELECT max(_seq) FROM logs) AS c FROM logs",
    "SELECT count() AS a, uniqExact(l._seq) AS b, max(r._seq) AS c FROM logs AS l JOIN logs AS r ON l._seq = r._seq",
    "SELECT sum(n) AS a, max(last) AS b FROM (SELECT service_name, count() AS n, max(_seq) AS last FROM logs GROUP BY service_name)",
    "WITH early AS (SELECT _seq FROM logs WHERE _seq % 2 = 0), late AS (SELECT _seq FROM logs WHERE _seq % 2 = 1) \
     SELECT (SELECT count() FROM early) + (SELECT count() FROM late) AS a, (SELECT count() FROM logs) AS b",
    "SELECT count() AS a, max(_seq) AS b FROM logs WHERE _seq IN (SELECT _seq FROM logs)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_moment_while_batches_move() -> Result<()> {
    watch(0).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_restarts_may_fail_answers_and_never_bend_them() -> Result<()> {
    watch(ENGINE_KILLS).await
}

/// Checks made so far by the readers of one run.
#[derive(Default)]
struct Checks {
    moments: AtomicU64,
    reads_after_ack: AtomicU64,
    errors: AtomicU64,
    done: AtomicBool,
}

async fn watch(kills: u64) -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let fleet = Fleet::start(&stack, WRITERS, 3);
    eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 10)).await?;
    let checks = Checks::default();
    let until_enough = async {
        kill_engines(&stack, &fleet, kills).await?;
        let enough = |count: &AtomicU64| count.load(Ordering::SeqCst) >= CHECKS;
        let both = async || Ok(enough(&checks.moments) && enough(&checks.reads_after_ack));
        let outcome = eventually("enough answers were checked", both).await;
        checks.done.store(true, Ordering::SeqCst);
        outcome
    };
    tokio::try_join!(read_moments(&stack, &fleet, &checks), read_after_acks(&stack, &checks), until_enough)?;
    let [moments, reads, errors] =
        [&checks.moments, &checks.reads_after_ack, &checks.errors].map(|n| n.load(Ordering::SeqCst));
    eprintln!("{moments} moments and {reads} reads after an ack were right, {errors} answers were errors");
    ensure!(kills > 0 || errors == 0, "answers failed although nothing was killed");
    let sent = fleet.stop().await?;
    account::settle(&stack, &sent).await
}

async fn kill_engines(stack: &Stack, fleet: &Fleet, kills: u64) -> Result<()> {
    for _ in 0..kills {
        let seen = fleet.acked_requests();
        eventually("batches move", async || Ok(fleet.acked_requests() >= seen + ACKED_BETWEEN_KILLS)).await?;
        stack.signal_engine(Kill::KILL)?;
    }
    Ok(())
}

async fn read_moments(stack: &Stack, fleet: &Fleet, checks: &Checks) -> Result<()> {
    for sql in ONE_MOMENT.iter().cycle() {
        if checks.done.load(Ordering::SeqCst) {
            break;
        }
        let acked_before = fleet.acked_log_rows();
        match stack.query(sql).await {
            Ok(rows) => {
                one_moment(&rows, acked_before).with_context(|| format!("{sql}: {rows:?}"))?;
                checks.moments.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => failed(checks, &error).await,
        }
    }
    Ok(())
}

fn one_moment(rows: &[Value], acked_before: u64) -> Result<()> {
    let [Value::Object(row)] = rows else { bail!("not one row") };
    let numbers: Vec<_> = row.values().map(account::as_number).collect::<Option<_>>().context("numbers")?;
    ensure!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "two moments in one answer");
    ensure!(numbers[0] >= acked_before, "{acked_before} rows were acknowledged before the query began");
    Ok(())
}

/// Writes one span at a time and asks for it as soon as it is acknowledged, in forms that take different ways.
async fn read_after_acks(stack: &Stack, checks: &Checks) -> Result<()> {
    let source = Source::new(u64::from(u16::MAX), now_unix_nanos());
    let mut writer = Connection::open(Wire::Http, stack.otlp_http, Encoding::Plain).await?;
    for n in 0.. {
        if checks.done.load(Ordering::SeqCst) {
            break;
        }
        let body = Bytes::from(source.request(Signal::Traces, n, 1));
        let reply = writer.send(Signal::Traces, body, None).await?;
        ensure!(reply.acked, "{reply:?}");
        let is_it = format!("attributes['{ID_ATTRIBUTE}'] = '{}'", source.row_id(n));
        let sql = match n % 3 {
            0 => format!("SELECT count() FROM spans WHERE {is_it}"),
            1 => format!("SELECT countIf({is_it}) FROM (SELECT attributes FROM spans ORDER BY _seq DESC LIMIT 1)"),
            _ => format!(
                "SELECT count() FROM spans AS s JOIN (SELECT max(_seq) AS last FROM spans) AS m ON s._seq = m.last WHERE s.{is_it}"
            ),
        };
        match stack.number(&sql).await {
            Ok(count) => {
                ensure!(count == 1, "span {n} was acknowledged, and the next answer counts it {count} times: {sql}");
                checks.reads_after_ack.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => failed(checks, &error).await,
        }
    }
    Ok(())
}

/// An engine that was killed may cost an answer; it is asked again after a pause.
async fn failed(checks: &Checks, error: &std::io::Error) {
    if checks.errors.fetch_add(1, Ordering::SeqCst) == 0 {
        eprintln!("first failed answer: {error}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
}
