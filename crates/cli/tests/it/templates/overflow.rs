use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{DAY, Server, number};

/// More lines, each of its own shape, than templates are remembered twice: room is made once, at first.
const LINES: u64 = 36_000;
const LINES_PER_REQUEST: u64 = 2_000;
const TEMPLATES_MAX: u64 = 16_384;

/// Spells a number in letters, so that nothing looks like a value.
fn word(mut number: u64) -> String {
    let mut text = String::from("q");
    while number > 0 {
        text.extend(char::from_digit(u32::try_from(number % 16).unwrap_or(0) + 16, 36));
        number /= 16;
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attack_of_distinct_lines_is_counted_under_a_stated_overflow() -> Result<()> {
    let server = Server::start(&[]).await?;
    for first in (0..LINES / LINES_PER_REQUEST).map(|request| request * LINES_PER_REQUEST) {
        let line = |at: u64| format!("{} {}", word(at), word(at.wrapping_mul(2_654_435_761) % 1_000_003));
        let lines: Vec<String> = (first..first + LINES_PER_REQUEST).map(line).collect();
        server.send_lines("attacker", DAY, &lines).await?;
    }
    let one = async |sql: &str| server.stack.number(sql).await;
    let overflowed = one("SELECT count() FROM logs WHERE template_id = 1").await?;
    assert_eq!(one("SELECT count() FROM logs").await?, LINES);
    ensure!(overflowed >= LINES - 2 * TEMPLATES_MAX, "{overflowed} lines overflowed");
    ensure!(one("SELECT uniqExact(template_id) FROM log_templates").await? <= 2 * TEMPLATES_MAX);
    assert_eq!(one("SELECT sum(records) FROM catalog_signals WHERE template_id = 1").await?, overflowed);
    assert_eq!(one("SELECT sum(records) FROM catalog_signals WHERE signal = 'logs'").await?, LINES);

    let answer = server.good("/api/v1/logs/patterns?minCount=2").await?;
    let first = &answer["patterns"][0];
    assert_eq!((&first["template"], number(&first["total_count"])?), (&json!("__overflow__"), overflowed));
    assert_eq!(answer["exact"], json!(false), "{answer}");
    ensure!(answer["cap"].as_str().is_some_and(|cap| cap.contains("limits")), "{answer}");
    let metrics = server.text("/metrics").await?;
    let line = format!("tidegate_log_lines_overflowed {overflowed}");
    ensure!(metrics.lines().any(|told| told == line), "no {line:?} in {metrics}");
    let remembered = metrics.lines().find_map(|line| line.strip_prefix("tidegate_log_templates "));
    ensure!(remembered.context("a gauge")?.parse::<u64>()? <= TEMPLATES_MAX, "{metrics}");
    Ok(())
}
