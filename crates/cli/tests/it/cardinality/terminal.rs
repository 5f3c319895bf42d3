//! `tidegate cardinality`, `templates` and `services` against the telemetry of `telemetry.rs`.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::Api;

fn run(api: &Api, arguments: &[&str]) -> Result<Output> {
    let url = format!("http://{}", api.stack.http);
    Ok(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).args(["--url", &url]).output()?)
}

fn told(api: &Api, arguments: &[&str]) -> Result<String> {
    let output = run(api, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn check(api: &Api, arguments: &[&str], expected: &Expect) -> Result<()> {
    expected.assert_eq(&told(api, arguments)?);
    Ok(())
}

fn json(api: &Api, arguments: &[&str]) -> Result<Value> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
    Ok(serde_json::from_str(&told(api, &arguments)?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attributes_are_listed_by_their_distinct_values() -> Result<()> {
    let api = Api::start().await?;
    check(
        &api,
        &["cardinality", "--min", "2", "--limit", "1", "--format", "table"],
        &expect![[r#"
        ┌───────────────────────────────────────────────────────────────────────────────────┐
        │ key    cardinality   count   bytes   signals     scopes      last seen            │
        ╞═══════════════════════════════════════════════════════════════════════════════════╡
        │ user            12      13      81   log, span   attribute   2026-01-31T09:00:20Z │
        └───────────────────────────────────────────────────────────────────────────────────┘
        1 of 4 attributes; --limit 0 shows all
    "#]],
    )?;
    check(
        &api,
        &["cardinality", "--signal", "metric", "--sort", "key", "--reverse"],
        &expect![[r#"
        key,cardinality,count,bytes,signals,scopes,last seen
        service.name,2,8,128,metric,resource,2026-01-31T10:00:00Z
        route,1,1,7,metric,attribute,2026-01-31T09:00:00Z
        queue,2,4,24,metric,attribute,2026-01-31T10:00:00Z
        host,2,8,80,metric,resource,2026-01-31T10:00:00Z
    "#]],
    )?;
    check(
        &api,
        &["cardinality", "--per-name", "--min", "3"],
        &expect![[r#"
        signal,name,scope,key,cardinality,count,bytes
        log,INFO,attribute,user,12,12,75
    "#]],
    )?;
    let later = json(&api, &["cardinality", "--from", "2026-01-31T10:00:00Z"])?;
    assert_eq!(later["total"], json!(3), "{later}");
    assert_eq!(json(&api, &["cardinality", "--last", "1h"])?["total"], json!(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_attribute_is_told_with_who_sends_it_and_what_it_costs() -> Result<()> {
    let api = Api::start().await?;
    check(
        &api,
        &["cardinality", "user", "--format", "table"],
        &expect![[r#"
        user: 12 distinct values, 13 times, 81 B; of log, span; 2026-01-31T09:00:10Z to 2026-01-31T09:00:20Z
        without it: 13 attributes and 81 B less
        values: u1, u10, u11, u12, u2, u3, u4, u5, u6, u7

        What has it
        ┌────────────────────────────────────────────────────────┐
        │ signal   name           cardinality   count   services │
        ╞════════════════════════════════════════════════════════╡
        │ log      INFO                    12      12   shop     │
        │ span     GET /users/1             1       1   shop     │
        └────────────────────────────────────────────────────────┘

        Who sends it
        ┌──────────────────────────┐
        │ service   signal   count │
        ╞══════════════════════════╡
        │ shop      log         12 │
        │ shop      span         1 │
        └──────────────────────────┘
    "#]],
    )?;
    check(
        &api,
        &["cardinality", "host", "--service", "cart"],
        &expect![[r#"
        signal,name,cardinality,count,services
        metric,queue.size,1,1,cart
        span,checkout,1,1,cart
        log,UNSET,1,1,cart
    "#]],
    )?;
    let one = json(&api, &["cardinality", "queue"])?;
    assert_eq!(one["what_if"], api.good("/v2/cardinality/queue/what-if").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_and_services_are_listed_and_told_one_by_one() -> Result<()> {
    let api = Api::start().await?;
    let templates = json(&api, &["templates", "--min", "2"])?;
    let first = &templates["data"][0];
    let template = json!({ "id": first["id"], "count": 12, "severities": "INFO", "services": "shop",
        "template": "login of user <*>" });
    assert_eq!((&templates["total"], first), (&json!(1), &template));
    let id = first["id"].as_str().unwrap_or_default();
    for name in [id, "login of user <*>"] {
        let one = json(&api, &["templates", name])?;
        assert_eq!((&one["total_count"], &one["services"][0]["service"]), (&json!(12), &json!("shop")), "{one}");
    }
    check(
        &api,
        &["services"],
        &expect![[r#"
        service,metrics,series,span names,templates,attributes,data points,spans,log records,bytes
        cart,1,1,1,1,3,1,1,1,109
        shop,5,6,2,2,7,7,3,13,1071
    "#]],
    )?;
    check(
        &api,
        &["services", "--sort", "samples", "--limit", "1", "--format", "table"],
        &expect![[r#"
        ┌──────────────────────────────────────────────────────────────────────────────────────────────────────────────┐
        │ service   metrics   series   span names   templates   attributes   data points   spans   log records   bytes │
        ╞══════════════════════════════════════════════════════════════════════════════════════════════════════════════╡
        │ shop            5        6            2           2            7             7       3            13    1071 │
        └──────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
        1 of 2 services; --limit 0 shows all
    "#]],
    )?;
    check(
        &api,
        &["services", "cart", "--format", "table"],
        &expect![[r#"
        cart: 1 metrics (1 series), 1 span names, 1 templates, 3 attributes; 3 samples, 109 B

        What it sends
        ┌─────────────────────────────────────────────────────────┐
        │ signal   name         kind     samples   series   bytes │
        ╞═════════════════════════════════════════════════════════╡
        │ metric   queue.size   gauge          1        1      42 │
        │ span     checkout     CLIENT         1        0      34 │
        │ log      UNSET                       1        0      33 │
        └─────────────────────────────────────────────────────────┘

        Its attributes
        ┌────────────────────────────────────────────────────────┐
        │ key            cardinality   count   bytes   scopes    │
        ╞════════════════════════════════════════════════════════╡
        │ host                     1       3      30   resource  │
        │ queue                    1       1       6   attribute │
        │ service.name             1       3      48   resource  │
        └────────────────────────────────────────────────────────┘
    "#]],
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_is_refused_with_a_reason() -> Result<()> {
    let api = Api::start().await?;
    for (arguments, code, part) in [
        (vec!["cardinality", "none"], 4, "there is no attribute `none`"),
        (vec!["services", "none"], 4, "there is no service `none`"),
        (vec!["templates", "none"], 1, "there is no template `none`"),
        (vec!["cardinality", "--from", "yesterday"], 4, "`from` is a time"),
        (vec!["cardinality", "--per-name", "--limit", "2000"], 1, "at most 1000 rows"),
        (vec!["cardinality", "user", "--signal", "log"], 2, "cannot be used with"),
        (vec!["services", "--last", "1h", "--from", "2026-01-31"], 2, "cannot be used with"),
    ] {
        let output = run(&api, &arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        ensure!(said.contains(part), "{arguments:?} should say {part}: {said}");
    }
    Ok(())
}
