use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_load::Stack;

use crate::receiver::Receiver;
use crate::{READY_WITHIN, eventually, started};

/// The last number that each service said.
const LAST: &str =
    "SELECT service_name AS service, toFloat64(argMax(body, timestamp)) AS value FROM logs GROUP BY service_name";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_told_once_also_over_a_kill_is_silent_and_ends() -> Result<()> {
    let receiver = Receiver::start().await?;
    let url = format!("http://{}/hook", receiver.address);
    let settings = [
        ("TIDEGATE_ALERTS__DEFAULTS", "false"),
        ("TIDEGATE_ALERTS__WEBHOOK_URL", url.as_str()),
        ("TIDEGATE_ALERTS__WEBHOOK_SECRET", "s3cret"),
    ];
    let (_folder, mut stack) = started(&settings).await?;
    let rule = json!({ "name": "high", "sql": LAST, "above": 10, "recovers_at": 5, "every": "1s",
        "labels": { "team": "x" }, "summary": "{service} says {value}" });
    ask(&stack, Method::PUT, "/admin/alerts/rules/high", &rule, 201).await?;
    say(&stack, "a", "50").await?;
    let statuses = || -> Vec<String> {
        // The first is refused, the second gets no answer: what is sent again has the number of before.
        receiver
            .deliveries()
            .iter()
            .skip(2)
            .map(|one| {
                format!(
                    "{} {}",
                    one.body["labels"]["service"].as_str().unwrap_or(""),
                    one.body["status"].as_str().unwrap_or("")
                )
            })
            .collect()
    };
    eventually("it is told that a fires", async || Ok(statuses() == ["a firing"])).await?;
    let all = receiver.deliveries();
    ensure!(
        all.iter().all(|one| one.headers["x-tidegate-delivery"] == all[0].headers["x-tidegate-delivery"]),
        "{all:?}"
    );
    let told = &all[2].body;
    ensure!(told["summary"] == "a says 50" && told["labels"]["team"] == "x" && told["severity"] == "warning", "{told}");

    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    // Between the threshold and where it recovers a goes on firing; b comes to it.
    say(&stack, "a", "7").await?;
    say(&stack, "b", "11").await?;
    eventually("it is told that b fires", async || Ok(statuses() == ["a firing", "b firing"])).await?;
    say(&stack, "a", "5").await?;
    eventually("it is told that a is over", async || Ok(statuses().last().is_some_and(|last| last == "a resolved")))
        .await?;

    let matchers = json!([{ "label": "service", "value": "a" }]);
    let silence = json!({ "matchers": matchers, "to": "2200-01-01T00:00:00Z", "comment": "we know" });
    let made = ask(&stack, Method::POST, "/admin/alerts/silences", &silence, 201).await?;
    say(&stack, "a", "60").await?;
    let is_silent = async || {
        let listed = stack.get("/admin/alerts").await?;
        let of_a = |alert: &&Value| alert["labels"]["service"] == "a" && alert["state"] == "firing";
        Ok(listed["alerts"].as_array().into_iter().flatten().find(of_a).is_some_and(|alert| alert["silenced"] == true))
    };
    eventually("a fires in silence", is_silent).await?;
    say(&stack, "b", "0").await?;
    eventually("it is told that b is over", async || Ok(statuses().last().is_some_and(|last| last == "b resolved")))
        .await?;
    let number = made["silence"]["number"].as_i64().context("a number")?;
    ask(&stack, Method::DELETE, &format!("/admin/alerts/silences/{number}"), &Value::Null, 204).await?;
    let all = ["a firing", "b firing", "a resolved", "b resolved", "a firing"];
    eventually("what was silent is told", async || Ok(statuses() == all)).await?;

    let changes = "SELECT attributes['alert.label.service'] AS service, attributes['alert.from'] AS was, \
                   attributes['alert.to'] AS is FROM events WHERE event_name = 'alert_state' ORDER BY timestamp";
    let expected = ["a ok firing", "b ok firing", "a firing ok", "a ok firing", "b firing ok"];
    eventually("every change is an event, once", async || {
        let rows = stack.query(changes).await?;
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let told = |row: &Value| ["service", "was", "is"].map(|name| text(row, name)).join(" ");
        Ok(rows.iter().map(told).collect::<Vec<_>>() == expected)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_compared_with_the_same_hour_of_the_weeks_before() -> Result<()> {
    const HOUR: u64 = 3_600;
    const WEEK: u64 = 7 * 24 * HOUR;
    let (_folder, stack) = started(&[("TIDEGATE_ALERTS__DEFAULTS", "false")]).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let middle = now - now % HOUR + HOUR / 2;
    // Ten to fourteen records at the usual times, a hundred now.
    let mut records = Vec::new();
    for week in 1..=4 {
        for (at, shift) in [0, 20 * 60, 40 * 60].into_iter().enumerate() {
            let moment = middle - 20 * 60 - week * WEEK + shift - 60;
            records.extend((0..10 + (week + at as u64) % 5).map(|_| moment));
        }
    }
    records.extend((0..100).map(|_| now - 30));
    send(&stack, "shop", records.iter().map(|at| (at * 1_000_000_000, "x")).collect()).await?;
    let count = "SELECT count() AS value FROM logs WHERE timestamp > {now:DateTime64(9)} - INTERVAL 5 MINUTE \
                 AND timestamp <= {now:DateTime64(9)}";
    let rule = json!({ "name": "odd", "sql": count, "anomaly": { "deviations": 4 } });
    let tried = ask(&stack, Method::POST, "/admin/alerts/try", &rule, 200).await?;
    let series = &tried["series"][0];
    ensure!(series["value"] == 100.0 && series["judgement"] == "bad", "{tried}");
    ensure!(series["usual"]["median"].as_f64().is_some_and(|median| (11.0..=13.0).contains(&median)), "{tried}");
    let rule = json!({ "name": "odd", "sql": count, "anomaly": { "deviations": 4, "least": 200 } });
    let tried = ask(&stack, Method::POST, "/admin/alerts/try", &rule, 200).await?;
    ensure!(tried["series"][0]["judgement"] == "good", "{tried}");
    let blind =
        json!({ "name": "odd", "sql": "SELECT count() AS value FROM logs WHERE timestamp > now()", "anomaly": {} });
    let refused = ask(&stack, Method::POST, "/admin/alerts/try", &blind, 400).await?;
    ensure!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("{now:DateTime64(9)}")), "{refused}");
    Ok(())
}

async fn say(stack: &Stack, service: &str, body: &str) -> Result<()> {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    send(stack, service, vec![(now, body)]).await
}

async fn send(stack: &Stack, service: &str, records: Vec<(u64, &str)>) -> Result<()> {
    let record = |(at, body): &(u64, &str)| json!({ "timeUnixNano": at.to_string(), "body": { "stringValue": body } });
    let request = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] },
        "scopeLogs": [{ "logRecords": records.iter().map(record).collect::<Vec<_>>() }],
    }] });
    let url = format!("http://{}/v1/logs", stack.otlp_http);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(request.to_string());
    let answer = request.send().await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);
    Ok(())
}

async fn ask(stack: &Stack, method: Method, path: &str, body: &Value, expected: u16) -> Result<Value> {
    let request = reqwest::Client::new().request(method, format!("http://{}{path}", stack.http));
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await?;
    let (status, text) = (answer.status().as_u16(), answer.text().await?);
    ensure!(status == expected, "{path}: {status} {text}");
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}
