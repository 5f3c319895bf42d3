use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{DAY, HOUR, Server, documented, number};
use crate::{READY_WITHIN, account, eventually};

const PATH: &str = "/api/v1/logs/patterns/events";

/// Templates, and how often each came in each hour of the day.
const COUNTS: [(&str, &[u64]); 6] = [
    // Steady, then ten times as often, which goes on.
    ("disk {} is slow", &[10, 12, 9, 11, 10, 100, 95, 10]),
    // As often as the noise of its counts has it.
    ("cache {} missed", &[40, 20, 44, 25, 38, 58, 30, 41]),
    // Once, then nothing, then many.
    ("link {} went down", &[1, 0, 0, 0, 0, 0, 25, 0]),
    // Too few hours before it.
    ("user {} logged in", &[0, 0, 0, 0, 0, 1, 2, 60]),
    // Many, but not twice as many.
    ("job {} has ended", &[50, 50, 50, 50, 50, 50, 50, 95]),
    ("probe {} failed", &[3, 3, 3, 3, 3, 9, 3, 3]),
];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    hour: u64,
    kind: String,
    template: String,
    count: u64,
}

/// What a reader may set.
#[derive(Debug, Clone, Copy)]
struct Rule {
    hours: u64,
    hours_min: u64,
    count_min: u64,
    factor_min: f64,
    score_min: f64,
}

const USUAL: Rule = Rule { hours: 24, hours_min: 3, count_min: 10, factor_min: 2.0, score_min: 3.5 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_templates_and_jumps_are_those_of_a_plain_recount() -> Result<()> {
    let mut server = Server::start(&[]).await?;
    send(&server).await?;
    check_all(&server).await?;
    server.stack.stop()?;
    server.stack.start()?;
    server.stack.ready(READY_WITHIN).await?;
    eventually("every row is stored", async || Ok(account::hot_rows(&server.stack).await? == 0)).await?;
    check_all(&server).await
}

async fn send(server: &Server) -> Result<()> {
    for hour in 0..8 {
        let lines: Vec<String> = COUNTS
            .iter()
            .flat_map(|(form, counts)| (0..counts[hour]).map(|n| form.replace("{}", &n.to_string())))
            .collect();
        let second = DAY + hour as u64 * HOUR + 60;
        server.send_lines(if hour == 7 { "late" } else { "early" }, second, &lines).await?;
    }
    // Who is refused turns out to vary in the fourth hour: one template, new in the second.
    for (hour, user) in (1..).zip(["ada", "bob", "eve", "ian"]) {
        server.send_lines("early", DAY + hour * HOUR, &[format!("logon of {user} was refused")]).await?;
    }
    Ok(())
}

async fn check_all(server: &Server) -> Result<()> {
    check(server, "", USUAL, (0, 24)).await?;
    check(server, "hours=2&min_hours=1", Rule { hours: 2, hours_min: 1, ..USUAL }, (0, 24)).await?;
    check(server, "min_count=1&min_factor=1.5", Rule { count_min: 1, factor_min: 1.5, ..USUAL }, (0, 24)).await?;
    check(server, "min_score=1.25&min_factor=0", Rule { score_min: 1.25, factor_min: 0.0, ..USUAL }, (0, 24)).await?;
    let window = format!("from={}&to={}", DAY + 5 * HOUR, DAY + 7 * HOUR);
    check(server, &window, USUAL, (5, 7)).await?;

    let first = "disk <*> is slow";
    let jumps = server.good(&format!("{PATH}?kind=count_jump&from={}&to={}", DAY + 5 * HOUR, DAY + 6 * HOUR)).await?;
    let numbers = ["kind", "template", "count", "median", "mad", "previous_hours", "first_seen", "services", "exact"];
    let told: BTreeMap<_, _> = numbers.iter().map(|name| (*name, jumps["data"][0][*name].clone())).collect();
    let expected = json!({ "kind": "count_jump", "template": first, "count": 100, "median": 10.0, "mad": 1.0,
        "previous_hours": 5, "first_seen": "2026-01-31T05:01:00Z", "services": ["early"], "exact": true });
    assert_eq!((json!(told), &jumps["total"]), (expected, &json!(1)));
    let score = jumps["data"][0]["score"].as_f64().context("a score")?;
    assert!((score - 90.0 / 10.0_f64.sqrt()).abs() < 1e-9, "{score}");

    let late = server.good(&format!("{PATH}?service=late&kind=new_template")).await?;
    assert_eq!(late["total"], json!(5), "what `late` sent is new there: {late}");
    pages_add_up(server).await?;
    sql_agrees(server).await?;
    refusals_are_told(server).await
}

/// Compares an answer with a recount over what was sent.
async fn check(server: &Server, query: &str, rule: Rule, (from, to): (u64, u64)) -> Result<()> {
    let answer = server.good(&format!("{PATH}?limit=0&{query}")).await?;
    let told: BTreeSet<Event> = items(&answer)?.iter().map(event).collect::<Result<_>>()?;
    let expected: BTreeSet<Event> =
        recounted(rule).into_iter().filter(|event| (from..to).contains(&event.hour)).collect();
    ensure!(told == expected, "{query}: told {told:#?}\nexpected {expected:#?}");
    assert_eq!(answer["total"], json!(expected.len()), "{answer}");
    Ok(())
}

fn event(item: &Value) -> Result<Event> {
    let text = |name: &str| item[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {item}"));
    let hour = text("hour")?;
    let digits = hour.strip_prefix("2026-01-31T").and_then(|rest| rest.get(..2)).context("an hour of the day")?;
    Ok(Event {
        hour: digits.parse()?,
        kind: text("kind")?,
        template: text("template")?,
        count: number(&item["count"])?,
    })
}

fn recounted(rule: Rule) -> Vec<Event> {
    let refused: &[u64] = &[0, 1, 1, 1, 1, 0, 0, 0];
    let mut events = Vec::new();
    for (form, counts) in COUNTS.into_iter().chain([("logon of {} was refused", refused)]) {
        let template = form.replace("{}", "<*>");
        let began = counts.iter().position(|count| *count > 0).unwrap_or(0);
        for hour in (began..counts.len()).filter(|hour| counts[*hour] > 0) {
            let told = |kind: &str| Event {
                hour: hour as u64,
                kind: kind.into(),
                template: template.clone(),
                count: counts[hour],
            };
            if hour == began {
                events.push(told("new_template"));
            }
            let first = began.max(hour.saturating_sub(usize::try_from(rule.hours).unwrap_or(0)));
            if is_jump(counts[hour], &counts[first..hour], rule) {
                events.push(told("count_jump"));
            }
        }
    }
    events
}

fn is_jump(count: u64, past: &[u64], rule: Rule) -> bool {
    if (past.len() as u64) < rule.hours_min || count < rule.count_min {
        return false;
    }
    let past: Vec<f64> = past.iter().map(|count| *count as f64).collect();
    let middle = median(past.clone());
    let mad = median(past.iter().map(|count| (count - middle).abs()).collect());
    let score = (count as f64 - middle) / (1.4826 * mad).max(middle.sqrt()).max(1.0);
    count as f64 >= rule.factor_min * middle && score >= rule.score_min
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] }
}

async fn pages_add_up(server: &Server) -> Result<()> {
    let all = server.good(&format!("{PATH}?limit=0")).await?;
    let mut paged = Vec::new();
    while paged.len() < items(&all)?.len() {
        let page = server.good(&format!("{PATH}?limit=2&offset={}", paged.len())).await?;
        assert_eq!(page["total"], all["total"], "{page}");
        ensure!(!items(&page)?.is_empty(), "a page ends early: {page}");
        paged.extend(items(&page)?.iter().cloned());
    }
    assert_eq!(&json!(paged), &all["data"]);
    Ok(())
}

async fn sql_agrees(server: &Server) -> Result<()> {
    let answer = server.good(&format!("{PATH}?limit=0")).await?;
    let key = |item: &Value| Ok((number(&item["template_id"])?, item["kind"].to_string(), number(&item["count"])?));
    let told: Vec<_> = items(&answer)?.iter().map(key).collect::<Result<_>>()?;
    let rows = server.stack.query(&documented("New templates and count jumps, the newest first.")?).await?;
    let by_sql: Vec<_> = rows.iter().map(key).collect::<Result<_>>()?;
    ensure!(!told.is_empty() && told == by_sql, "told {told:?}\nby SQL {by_sql:?}");
    Ok(())
}

async fn refusals_are_told(server: &Server) -> Result<()> {
    for (query, part) in [
        ("kind=none", "`kind` is one of all, new_template, count_jump"),
        ("hours=9999999", "`hours` is at most"),
        ("hours=2&min_hours=3", "`min_hours` is at least 1 and at most `hours`"),
        ("min_hours=0", "`min_hours` is at least 1"),
        ("min_score=-1", "`min_score` is a number from 0"),
        ("min_factor=nan", "`min_factor` is a number from 0"),
        ("factor=2", "`factor` is not known here"),
    ] {
        let (status, answer) = server.get(&format!("{PATH}?{query}")).await?;
        ensure!(status == 400 && answer["error"].as_str().is_some_and(|text| text.contains(part)), "{query}: {answer}");
    }
    Ok(())
}

fn items(answer: &Value) -> Result<&Vec<Value>> {
    answer["data"].as_array().context("a list")
}
