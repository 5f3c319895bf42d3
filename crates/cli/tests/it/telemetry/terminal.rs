use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::taken;
use crate::{SMALL_BATCHES, eventually, started};

fn tidegate(stack: &Stack, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).args(["--url", &format!("http://{}", stack.http)]).kill_on_drop(true);
    command
}

async fn run(stack: &Stack, arguments: &[&str]) -> Result<Output> {
    Ok(tidegate(stack, arguments).output().await?)
}

async fn told(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let output = run(stack, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// One JSON value a line.
async fn lines(stack: &Stack, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = told(stack, &[arguments, &["--json"]].concat()).await?;
    text.lines().map(|line| serde_json::from_str(line).context(text.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_have_the_filters_of_the_api_for_people_and_for_programs() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let log = |n: u64| {
        let level = if n.is_multiple_of(10) { "error" } else { "info" };
        json!({ "timestamp": 1_769_850_000_000 + n, "level": level, "source": "shop", "message": format!("order {n}"), "context": { "n": n } })
    };
    taken(&stack, "logs", &(0..50).map(log).collect::<Vec<_>>()).await?;
    taken(
        &stack,
        "events",
        &[
            json!({ "event_type": "deploy", "source": "ci", "details": "done \u{1b}[2J" }),
            json!({ "event_type": "other" }),
        ],
    )
    .await?;
    let point = |n: u64| json!({ "timestamp": 1_769_850_000_000 + n * 60_000, "metric_name": "load", "value": n, "tags": { "host": if n < 60 { "a" } else { "b" } } });
    taken(&stack, "metrics", &(0..120).map(point).collect::<Vec<_>>()).await?;

    let errors =
        ["logs", "ORDER", "--level", "error", "--source", "shop", "--from", "2026-01-31T09:00:00Z", "--oldest-first"];
    let numbers = |found: &[Value]| found.iter().map(|one| one["context"]["n"].as_u64()).collect::<Vec<_>>();
    ensure!(numbers(&lines(&stack, &errors).await?) == [0, 10, 20, 30, 40].map(Some));
    ensure!(numbers(&lines(&stack, &["logs", "-a", "n=7"]).await?) == [Some(7)]);
    let table = told(&stack, &["logs", "-n", "3"]).await?;
    ensure!(table.contains("order 49") && table.contains("there are more") && !table.contains("order 46"), "{table}");
    let stats = told(&stack, &["logs", "--stats"]).await?;
    ensure!(stats.lines().any(|line| line.starts_with("ERROR") && line.ends_with(" 5")), "{stats}");
    let none = told(&stack, &["logs", "--last", "1s"]).await?;
    ensure!(none.contains("0 rows"), "{none}");

    let events = told(&stack, &["events", "--type", "deploy"]).await?;
    ensure!(events.contains("deploy") && events.contains("1 row") && !events.contains('\u{1b}'), "{events}");
    let points = lines(&stack, &["metrics", "load", "--tag", "host=b", "-n", "1000"]).await?;
    ensure!(points.len() == 60 && points[0]["value"] == 119, "{points:?}");
    let hours = lines(
        &stack,
        &["metrics", "load", "--every", "hour", "--functions", "max,count", "--quantiles", "0.5", "--oldest-first"],
    )
    .await?;
    let told_of = |hour: &Value| [hour["max"].as_f64(), hour["count"].as_f64(), hour["p50"].as_f64()];
    ensure!(
        hours.iter().map(told_of).collect::<Vec<_>>()
            == [[Some(59.0), Some(60.0), Some(29.5)], [Some(119.0), Some(60.0), Some(89.5)]],
        "{hours:?}"
    );
    let table = told(&stack, &["metrics", "load", "--every", "hour"]).await?;
    ensure!(table.contains("avg") && table.contains("2 rows"), "{table}");

    let refused = run(&stack, &["logs", "--from", "soon"]).await?;
    ensure!(refused.status.code() == Some(4) && refused.stdout.is_empty(), "{refused:?}");
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("`from`"), "{refused:?}");
    let away =
        Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["logs", "--url", "http://127.0.0.1:1"]).output().await?;
    ensure!(away.status.code() == Some(3), "{away:?}");
    Ok(())
}

/// A `tidegate tail` that the server has begun to answer.
async fn follow(stack: &Stack, arguments: &[&str]) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut child = tidegate(stack, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("its output")?;
    Ok((child, BufReader::new(out).lines()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_prints_what_comes_and_says_when_the_server_ends() -> Result<()> {
    let (_folder, mut stack) = started(SMALL_BATCHES).await?;
    let (mut plain, mut lines) = follow(&stack, &["tail", "logs", "disk", "--level", "error"]).await?;
    let (mut events, mut told) = follow(&stack, &["tail", "events", "--type", "deploy", "--json"]).await?;
    // Nobody knows when a reader began, so records are sent until it tells of one.
    let mut next = 0;
    let first = loop {
        let log = json!({ "level": "error", "source": "shop", "message": format!("disk {next} full") });
        let other = json!({ "level": "info", "message": "disk is fine" });
        taken(&stack, "logs", &[other, log]).await?;
        taken(
            &stack,
            "events",
            &[json!({ "event_type": "other" }), json!({ "event_type": "deploy", "details": next })],
        )
        .await?;
        next += 1;
        if let Ok(line) = tokio::time::timeout(std::time::Duration::from_millis(100), lines.next_line()).await {
            break line?.context("a line")?;
        }
    };
    ensure!(first.contains(" ERROR shop disk ") && !first.contains('\u{1b}'), "{first}");
    let event: Value = serde_json::from_str(&told.next_line().await?.context("an event")?)?;
    ensure!(event["event_type"] == "deploy", "{event}");
    taken(&stack, "logs", &[json!({ "level": "error", "source": "shop", "message": "disk is the last one" })]).await?;
    loop {
        let line = lines.next_line().await?.context("the last line")?;
        ensure!(line.contains("ERROR"), "{line}");
        if line.ends_with("disk is the last one") {
            break;
        }
    }
    stack.stop()?;
    for child in [&mut plain, &mut events] {
        ensure!(child.wait().await?.code() == Some(5), "an end that nobody asked for is told");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_listed_and_silenced() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let rule =
        json!({ "name": "ones", "sql": "SELECT 1 AS value", "above": 0, "every": "1s", "summary": "one is too much" });
    let url = format!("http://{}/admin/alerts/rules/ones", stack.http);
    let made = reqwest::Client::new()
        .put(url)
        .header("content-type", "application/json")
        .body(rule.to_string())
        .send()
        .await?;
    ensure!(made.status().is_success(), "{}", made.text().await?);
    let firing = async || Ok(told(&stack, &["alerts"]).await?.contains("one is too much"));
    eventually("it fires", firing).await?;
    let listed: Value = serde_json::from_str(&told(&stack, &["alerts", "list", "--json"]).await?)?;
    let own = listed["rules"].as_array().into_iter().flatten().find(|rule| rule["name"] == "ones");
    ensure!(own.is_some_and(|rule| rule["state"] == "firing" && rule["alerts"] == 1), "{listed}");

    let made =
        told(&stack, &["alerts", "silence", "alertname=~one.*", "--for", "2h", "--comment", "on purpose"]).await?;
    ensure!(made.starts_with("silence 1 until 20"), "{made}");
    let silences = told(&stack, &["alerts", "silences"]).await?;
    ensure!(silences.contains("alertname=~one.*") && silences.contains("on purpose"), "{silences}");
    let listed: Value = serde_json::from_str(&told(&stack, &["alerts", "--json"]).await?)?;
    ensure!(listed["alerts"][0]["silenced"] == true, "{listed}");
    told(&stack, &["alerts", "unsilence", "1"]).await?;
    ensure!(!told(&stack, &["alerts", "silences"]).await?.contains("on purpose"));
    ensure!(run(&stack, &["alerts", "unsilence", "1"]).await?.status.code() == Some(4));
    let wrong = run(&stack, &["alerts", "silence", "ones", "--for", "2h"]).await?;
    ensure!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("alertname="), "{wrong:?}");
    Ok(())
}
