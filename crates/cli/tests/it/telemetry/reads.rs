use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{pages, taken};
use crate::draws::{Draws, setting};
use crate::{SMALL_BATCHES, started};

const LEVELS: &[&str] = &["INFO", "error", "Warn", "DEBUG"];
const SOURCES: &[&str] = &["shop", "cart", "it's \\ odd"];
const WORDS: &[&str] = &["disk", "Full", "timeout", "user-7", "42", "a_b", "Grüße"];
const KEYS: &[&str] = &["user.id", "k'ey", "host"];
const VALUES: &[&str] = &["7", "a\\b", "x=y", ""];
/// 2026-01-31T00:00:00Z.
const BEGIN: u64 = 1_769_817_600_000;

/// One log entry of the model; its place in the list is its number.
struct Sent {
    millis: u64,
    level: String,
    source: &'static str,
    message: String,
    attributes: BTreeMap<&'static str, &'static str>,
}

impl Sent {
    fn draw(draws: &mut Draws) -> Self {
        let message: Vec<&str> = (0..1 + draws.below(4)).map(|_| *draws.one_of(WORDS)).collect();
        Self {
            // Few times, so that many are equal.
            millis: BEGIN + 60_000 * draws.below(30),
            level: (*draws.one_of(LEVELS)).to_owned(),
            source: *draws.one_of::<&str>(SOURCES),
            message: message.join(" "),
            attributes: (0..draws.below(3)).map(|_| (*draws.one_of(KEYS), *draws.one_of(VALUES))).collect(),
        }
    }

    fn entry(&self, number: usize) -> Value {
        let mut context = json!(self.attributes);
        context["number"] = json!(number);
        json!({ "timestamp": self.millis, "level": self.level, "source": self.source, "message": self.message, "context": context })
    }
}

/// The parameters of a request, and which entries it means.
type Question = (Vec<(&'static str, String)>, Box<dyn Fn(&Sent) -> bool>);

/// What is asked for, as parameters and as a check of the model.
fn ask(draws: &mut Draws) -> Question {
    match draws.below(6) {
        0 => {
            let (from, to) = (BEGIN + 60_000 * draws.below(20), BEGIN + 60_000 * (10 + draws.below(20)));
            let given = vec![("from", from.to_string()), ("to", to.to_string())];
            (given, Box::new(move |sent| sent.millis >= from && sent.millis < to))
        }
        1 => {
            let level = *draws.one_of(LEVELS);
            (vec![("level", level.to_lowercase())], Box::new(move |sent| sent.level == level))
        }
        2 => {
            let wanted = [*draws.one_of(SOURCES), *draws.one_of(SOURCES)];
            let given = wanted.map(|source| ("source", source.to_owned())).to_vec();
            (given, Box::new(move |sent| wanted.contains(&sent.source)))
        }
        3 => {
            let text =
                format!("{} {}", draws.one_of(WORDS).to_uppercase().replace("GRÜSSE", "Grüße"), draws.one_of(WORDS));
            let wanted = words(&text);
            (vec![("text", text)], Box::new(move |sent| wanted.iter().all(|word| words(&sent.message).contains(word))))
        }
        4 => {
            let (key, value) = (*draws.one_of(KEYS), *draws.one_of(VALUES));
            (
                vec![("attribute", format!("{key}={value}"))],
                Box::new(move |sent| sent.attributes.get(key) == Some(&value)),
            )
        }
        _ => (Vec::new(), Box::new(|_| true)),
    }
}

fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_narrowed_paged_and_counted_as_a_plain_list_has_it() -> Result<()> {
    let seed = setting("TIDEGATE_TELEMETRY_SEED", 7);
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let (mut draws, mut all) = (Draws(seed), Vec::new());
    for round in 0..20 {
        let first = all.len();
        all.extend((0..1 + draws.below(120)).map(|_| Sent::draw(&mut draws)));
        let entries: Vec<Value> =
            all.iter().enumerate().skip(first).map(|(number, sent): (usize, &Sent)| sent.entry(number)).collect();
        taken(&stack, "logs", &entries).await?;
        let (mut given, is_wanted) = ask(&mut draws);
        let (more, is_wanted_too) = ask(&mut draws);
        // A name that comes twice means either, not both.
        let is_apart = more.iter().all(|(name, _)| !given.iter().any(|(own, _)| own == name));
        given.extend(more.into_iter().filter(|_| is_apart));
        let mut wanted: Vec<usize> =
            (0..all.len()).filter(|at| is_wanted(&all[*at]) && (!is_apart || is_wanted_too(&all[*at]))).collect();
        let query: Vec<String> = given.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let query = query.join("&");
        let told = format!("seed {seed}, round {round}: {query}");
        wanted.sort_by_key(|at| (all[*at].millis, *at));
        for order in ["asc", "desc"] {
            let limit = 1 + draws.below(70);
            let found = pages(&stack, &format!("/v1/json/logs?{query}&limit={limit}&order={order}"))
                .await
                .context(told.clone())?;
            let numbers: Vec<_> = found.iter().filter_map(|entry| entry["context"]["number"].as_u64()).collect();
            ensure!(numbers == wanted.iter().map(|at| *at as u64).collect::<Vec<_>>(), "{told} {order}");
            wanted.reverse();
        }
        let mut by_level = BTreeMap::<String, u64>::new();
        wanted.iter().for_each(|at| *by_level.entry(all[*at].level.to_uppercase()).or_default() += 1);
        let stats = stack.get(&format!("/v1/json/logs/stats?{query}")).await?;
        let counted = json!({ "total": wanted.len(), "by_level": by_level, "from": stats["from"] });
        ensure!(stats == counted, "{told}: {stats}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_points_are_summed_up_as_a_plain_list_has_it() -> Result<()> {
    let seed = setting("TIDEGATE_TELEMETRY_SEED", 11);
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let mut draws = Draws(seed);
    // By host: minute and value, in the order of time.
    let mut sent: BTreeMap<&str, Vec<(u64, i64)>> = BTreeMap::new();
    for minute in 0..150 {
        let mut entries = Vec::new();
        for host in ["a", "b", "c"] {
            let points = sent.entry(host).or_default();
            let before = points.last().map_or(0, |(_, value)| *value);
            // A counter begins anew now and then.
            let value = if draws.one_in(20) { 0 } else { before + i64::try_from(draws.below(50))? };
            points.push((minute, value));
            entries.push(json!({ "timestamp": BEGIN + 60_000 * minute, "metric_name": "requests", "type": "counter", "value": value, "tags": { "host": host } }));
        }
        entries.push(json!({ "timestamp": BEGIN + 60_000 * minute, "metric_name": "other", "value": 0.5 }));
        taken(&stack, "metrics", &entries).await?;
    }
    let functions = "functions=avg,max,min,sum,count,last,rate&quantiles=0.5";
    for (filter, hosts) in [("", vec!["a", "b", "c"]), ("&tag=host%3Db", vec!["b"])] {
        let path = format!("/v1/json/metrics/aggregations?metric_name=requests&aggregation=hour&{functions}{filter}");
        let told = stack.get(&path).await?;
        let told = told["data"].as_array().context("buckets")?;
        ensure!(told.len() == 3, "{told:?}");
        for (hour, bucket) in told.iter().enumerate() {
            let expected = model(&sent, &hosts, hour as u64);
            for (name, value) in expected {
                let own = bucket[name].as_f64().with_context(|| format!("{name} of {bucket}"))?;
                ensure!(
                    (own - value).abs() < 1e-9 * value.abs().max(1.0),
                    "seed {seed}, hour {hour}, {hosts:?}, {name}: {own} is not {value}"
                );
            }
        }
    }
    let path = "/v1/json/metrics/aggregations?metric_name=requests&tag=host%3Db&functions=avg,max,min,sum,count";
    let mut told = stack.get(path).await?;
    // While a batch is on its way rows may be asked instead.
    for _ in 0..50 {
        if told["from"] == "roll-up" {
            break;
        }
        told = stack.get(path).await?;
    }
    ensure!(told["from"] == "roll-up", "{told}");
    for (hour, bucket) in told["data"].as_array().context("buckets")?.iter().enumerate() {
        let expected = model(&sent, &["b"], hour as u64);
        let same = |name: &str, value: f64| {
            bucket[name].as_f64().is_none_or(|own| (own - value).abs() < 1e-9 * value.abs().max(1.0))
        };
        ensure!(expected.iter().all(|(name, value)| same(name, *value)), "hour {hour}: {bucket} is not {expected:?}");
        ensure!(bucket["count"].as_u64().is_some_and(|count| count > 0), "{bucket}");
    }
    let page = pages(&stack, "/v1/json/metrics?metric_name=requests&tag=host%3Da&limit=40&order=asc").await?;
    let values: Vec<_> = page.iter().filter_map(|point| point["value"].as_i64()).collect();
    ensure!(values == sent["a"].iter().map(|(_, value)| *value).collect::<Vec<_>>(), "{values:?}");
    let is_whole = |point: &Value| point["tags"] == json!({ "host": "a" }) && point["type"] == "sum";
    ensure!(page.iter().all(is_whole), "{:?}", page.first());
    Ok(())
}

fn model(sent: &BTreeMap<&str, Vec<(u64, i64)>>, hosts: &[&str], hour: u64) -> Vec<(&'static str, f64)> {
    let (mut values, mut rise, mut last) = (Vec::new(), 0, (0, 0));
    for host in hosts {
        let points = &sent[host];
        for (at, (minute, value)) in points.iter().enumerate().filter(|(_, (minute, _))| minute / 60 == hour) {
            values.push(*value);
            let before = at.checked_sub(1).map_or(*value, |at| points[at].1);
            rise += if *value < before { *value } else { value - before };
            // Of equal times the row that came last.
            last = last.max((*minute, 0));
            if last.0 == *minute {
                last.1 = *value;
            }
        }
    }
    values.sort_unstable();
    let (count, sum) = (values.len() as f64, values.iter().sum::<i64>() as f64);
    let middle = (values[(values.len() - 1) / 2] + values[values.len() / 2]) as f64 / 2.0;
    vec![
        ("avg", sum / count),
        ("max", values[values.len() - 1] as f64),
        ("min", values[0] as f64),
        ("sum", sum),
        ("count", count),
        ("last", last.1 as f64),
        ("rate", rise as f64 / 3_600.0),
        ("p50", middle),
    ]
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
