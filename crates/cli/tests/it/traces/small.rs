use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;

use super::{Sent, TRACE, run, send, span_id, stored_and_hot, told};
use crate::{SMALL_BATCHES, eventually, started};

const OTHER: &str = "0af7651916cd43dd8448eb211c80319d";

/// A purchase: the call of `cart` fails, `mail` has lost its parent.
fn purchase() -> [Sent; 4] {
    let failed = Sent { failed: true, ..Sent::new(2, 1, ("cart", "reserve"), (10, 50)) };
    [
        Sent::new(1, 0, ("shop", "buy"), (0, 100)),
        failed,
        Sent::new(3, 2, ("db", "update"), (20, 20)),
        Sent::new(4, 99, ("mail", "send"), (150, 10)),
    ]
}

/// Checks the answer about [`purchase`].
async fn is_purchase(stack: &Stack) -> Result<()> {
    let trace = stack.get(&format!("/v1/json/traces/{TRACE}")).await?;
    let millis = |value: &Value| value.as_u64().map(|nanos| nanos / 1_000_000);
    let spans: Vec<Value> = trace["spans"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|span| {
            let numbers = ["start_offset_ns", "duration_ns", "self_ns"].map(|name| millis(&span[name]));
            json!([span["span_id"], span["parent"], span["depth"], span["place"], numbers, span["on_critical_path"]])
        })
        .collect();
    let expected = json!([
        [span_id(1), null, 0, "root", [0, 100, 50], true],
        [span_id(2), 0, 1, "child", [10, 50, 30], true],
        [span_id(3), 1, 2, "child", [20, 20, 20], true],
        [span_id(4), null, 0, "orphan", [150, 10, 10], false],
    ]);
    ensure!(json!(spans) == expected, "{trace:#}");
    let about = ["start", "span_count", "errors", "roots", "orphans", "cycles", "doubled", "services"];
    let about = json!(about.map(|name| trace[name].clone()));
    let services = ["cart", "db", "mail", "shop"];
    ensure!(about == json!(["2026-01-31T09:00:00Z", 4, 1, 2, 1, 0, 0, services]), "{trace:#}");
    ensure!(millis(&trace["duration_ns"]) == Some(160) && trace["spans"][1]["status"] == "ERROR", "{trace:#}");
    let path: Vec<_> = trace["critical_path"]["segments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (one["span"].as_u64(), millis(&one["start_offset_ns"]), millis(&one["duration_ns"])))
        .collect();
    let stretches = [(0, 0, 10), (1, 10, 10), (2, 20, 20), (1, 40, 20), (0, 60, 40)];
    let stretches = stretches.map(|(span, start, took)| (Some(span), Some(start), Some(took)));
    ensure!(path == stretches, "{trace:#}");
    Ok(())
}

fn others(first: u64) -> Vec<Sent> {
    let other = |n| Sent { trace: format!("{n:032x}"), ..Sent::new(n, 0, ("shop", "other"), (n, 1)) };
    (first..first + 600).map(other).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_the_same_hot_stored_and_half_of_each() -> Result<()> {
    let (_folder, stack) = started(&[("TIDEGATE_BATCH__ROWS", "500"), ("TIDEGATE_BATCH__AGE_MS", "600000")]).await?;
    let spans = purchase();
    send(&stack, &spans[..2]).await?;
    ensure!(stored_and_hot(&stack).await? == (0, 2));
    let trace = stack.get(&format!("/v1/json/traces/{}", TRACE.to_uppercase())).await?;
    ensure!(trace["span_count"] == 2 && trace["orphans"] == 0, "{trace}");
    send(&stack, &others(1_000)).await?;
    eventually("the first spans are stored", async || Ok(stored_and_hot(&stack).await?.0 >= 2)).await?;
    send(&stack, &spans[2..]).await?;
    ensure!(stored_and_hot(&stack).await?.1 >= 2, "the last spans are hot");
    is_purchase(&stack).await?;
    send(&stack, &others(2_000)).await?;
    eventually("all its spans are stored", async || Ok(stored_and_hot(&stack).await?.0 >= 604)).await?;
    is_purchase(&stack).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_bars_the_critical_path_and_two_traces_side_by_side() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    send(&stack, &purchase()).await?;
    let other = |sent: Sent| Sent { trace: OTHER.to_owned(), ..sent };
    let again =
        [Sent::new(1, 0, ("shop", "buy"), (1_000, 250)), Sent::new(2, 1, ("cart", "reserve"), (1_010, 200))].map(other);
    send(&stack, &again).await?;
    is_purchase(&stack).await?;

    let drawn = told(&stack, &["trace", TRACE]).await?;
    let lines: Vec<&str> = drawn.lines().collect();
    ensure!(
        lines[0] == format!("trace {TRACE} at 2026-01-31T09:00:00Z: 160.00ms, 4 spans of 4 services, 1 failed"),
        "{drawn}"
    );
    let starts = ["*  shop: buy", "*!   cart: reserve", "*      db: update", "   mail: send (orphan)"];
    ensure!(lines[2..6].iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{drawn}");
    ensure!(lines[2].contains("100.00ms █") && lines[5].ends_with('░') && !drawn.contains('\u{1b}'), "{drawn}");
    ensure!(lines.iter().all(|line| line.chars().count() <= 120), "{drawn}");
    let path = told(&stack, &["trace", TRACE, "--critical-path"]).await?;
    ensure!(path.contains("critical path, 100.00ms in 5 stretches:") && !path.contains("mail"), "{path}");
    ensure!(path.contains("! +10.00ms       10.00ms   cart: reserve"), "{path}");
    let trace: Value = serde_json::from_str(&told(&stack, &["trace", TRACE, "--json"]).await?)?;
    ensure!(trace["span_count"] == 4, "{trace}");

    let compared = stack.get(&format!("/v1/json/traces/compare?left={TRACE}&right={OTHER}")).await?;
    let paths: Vec<_> = compared["paths"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|path| json!([path["operation"], path["parent"], path["difference"]["total_ns"], path["only"]]))
        .collect();
    let expected = json!([
        ["buy", null, 150_000_000, null],
        ["reserve", 0, 150_000_000, null],
        ["update", 1, -20_000_000, "left"],
        ["send", null, -10_000_000, "left"],
    ]);
    ensure!(json!(paths) == expected, "{compared:#}");
    let side_by_side = told(&stack, &["trace", TRACE, "--compare", OTHER]).await?;
    ensure!(side_by_side.contains("+150.00ms") && side_by_side.contains("db: update"), "{side_by_side}");

    let unknown = run(&stack, &["trace", "ffffffffffffffffffffffffffffffff"]).await?;
    ensure!(unknown.status.code() == Some(4) && unknown.stdout.is_empty(), "{unknown:?}");
    let lacking = run(&stack, &["trace", TRACE, "--compare", "ffffffffffffffffffffffffffffffff"]).await?;
    ensure!(String::from_utf8_lossy(&lacking.stderr).contains("trace ffff"), "{lacking:?}");
    Ok(())
}
