use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{BEGIN, Sent, send, span_id, stored_and_hot, told};
use crate::draws::{Draws, setting};
use crate::{SMALL_BATCHES, eventually, started};

const SERVICES: &[&str] = &["shop", "cart", "it's \\ odd", "db"];

/// Few traces and ids, so that parents are found, are not, and come twice.
fn draw(draws: &mut Draws, number: u64) -> Sent {
    let service = *draws.one_of(SERVICES);
    let trace = 1 + draws.below(20);
    Sent {
        trace: format!("{:08x}{trace:024x}", trace * 0x0711_1111),
        failed: draws.below(4) == 0,
        // No two spans begin at once, so that it is plain which is the first.
        ..Sent::new(1 + draws.below(12), draws.below(15), (service, "call"), (number, draws.below(50)))
    }
}

/// Calls by caller and callee: how many, how many failed, milliseconds; and spans whose parents are not there.
type Calls = (BTreeMap<(String, String), [u64; 3]>, u64);

fn calls(sent: &[&Sent]) -> Calls {
    let (mut calls, mut lacking) = (BTreeMap::<_, [u64; 3]>::new(), 0);
    for span in sent.iter().filter(|span| span.parent != 0) {
        let is_parent = |other: &&&Sent| other.trace == span.trace && other.id == span.parent;
        let Some(parent) = sent.iter().filter(is_parent).min_by_key(|parent| parent.start) else {
            lacking += 1;
            continue;
        };
        if parent.service != span.service {
            let edge = calls.entry((parent.service.to_owned(), span.service.to_owned())).or_default();
            *edge = [edge[0] + 1, edge[1] + u64::from(span.failed), edge[2] + span.took];
        }
    }
    (calls, lacking)
}

fn told_calls(map: &Value) -> Result<Calls> {
    let mut calls = BTreeMap::new();
    for edge in map["edges"].as_array().context("edges")? {
        let word = |name: &str| edge[name].as_str().map(str::to_owned).context("a service");
        let number = |name: &str| edge[name].as_u64().context("a number");
        let sums = [number("calls")?, number("errors")?, number("total_ns")? / 1_000_000];
        calls.insert((word("caller")?, word("callee")?), sums);
    }
    Ok((calls, map["without_parent"].as_u64().context("a count")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_between_services_and_exported_spans_are_those_of_a_plain_model() -> Result<()> {
    let mut draws = Draws(setting("TIDEGATE_SEED", 11));
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let all: Vec<Sent> = (0..1_200).map(|number| draw(&mut draws, number)).collect();
    // The second half is asked for while it is hot or on its way.
    for (half, waits) in all.chunks(600).zip([true, false]) {
        send(&stack, half).await?;
        if waits {
            eventually("the first half is stored", async || Ok(stored_and_hot(&stack).await? == (600, 0))).await?;
        }
    }
    for round in 0..12 {
        if round == 8 {
            eventually("all is stored", async || Ok(stored_and_hot(&stack).await? == (1_200, 0))).await?;
        }
        let (from, to) = (draws.below(600), 601 + draws.below(700));
        let percent = *draws.one_of(&[100, 100, 50, 7]);
        let is_drawn = |sent: &Sent| {
            let number = u32::from_str_radix(&sent.trace[..8], 16).unwrap_or(u32::MAX);
            u64::from(number % 100) < percent
        };
        let within = |sent: &&Sent| (from..to).contains(&sent.start);
        let wanted: Vec<&Sent> = all.iter().filter(within).filter(|sent| is_drawn(sent)).collect();
        let time = format!("from={}&to={}", BEGIN + from, BEGIN + to);
        let rate = if percent == 100 { String::new() } else { format!("&rate=0.{percent:02}") };
        let map = stack.get(&format!("/v1/json/services/map?{time}{rate}")).await?;
        ensure!(told_calls(&map)? == calls(&wanted), "{time}{rate}: {map:#}\n{:#?}", calls(&wanted));
        ensure!(map["sampled"] == json!(percent < 100) && map["rate"].as_f64().is_some(), "{map}");

        let [from, to] = [from, to].map(|time| (BEGIN + time).to_string());
        let service = *draws.one_of(SERVICES);
        let arguments = ["spans", "export", "--from", &from, "--to", &to, "--service", service];
        let mut exported = Vec::new();
        for line in told(&stack, &arguments).await?.lines() {
            let span: Value = serde_json::from_str(line)?;
            exported.push([&span["timestamp"], &span["trace_id"], &span["span_id"]].map(Value::to_string));
        }
        exported.sort_unstable();
        let of_service = all.iter().filter(within).filter(|sent| sent.service == service);
        let ids: Vec<_> =
            of_service.map(|sent| (json!(sent.trace).to_string(), json!(span_id(sent.id)).to_string())).collect();
        let told_ids: Vec<_> = exported.into_iter().map(|[_, trace, span]| (trace, span)).collect();
        ensure!(told_ids == ids, "{arguments:?}");
    }
    let ends = ["--from", "2026-01-31T00:00:00Z", "--to", "2026-02-01T00:00:00Z"];
    let table = told(&stack, &[&["service-map"][..], &ends, &["--rate", "0.5"]].concat()).await?;
    ensure!(table.contains("caller") && table.contains("sampled: 0.5"), "{table}");
    Ok(())
}
