use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{DAY, Server, number};
use crate::{READY_WITHIN, stack};

const MASKS: &str = "TIDEGATE_TEMPLATES__MASKS";

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masks_are_words_of_templates_and_those_of_before_stay_readable() -> Result<()> {
    let mut server = Server::start(&[(MASKS, "[{ name = 'ORDER', regex = 'order-[a-z0-9]+' }]")]).await?;
    let lines = ["sent order-7 to ada", "sent order-abc, order-d to ada", "sent 7 to ada"].map(str::to_owned);
    server.send_lines("shop", DAY, &lines).await?;
    assert_eq!(server.counts().await?, counts(&[("sent <ORDER> to ada", 2), ("sent <*> to ada", 1)]));

    server.stack.stop()?;
    server.stack.add_env(&[(MASKS, "[{ name = 'PARCEL', regex = 'order-[a-z0-9]+' }]")]);
    server.stack.start()?;
    server.stack.ready(READY_WITHIN).await?;
    server.send_lines("shop", DAY, &lines[..1]).await?;
    let expected = counts(&[("sent <ORDER> to ada", 2), ("sent <PARCEL> to ada", 1), ("sent <*> to ada", 1)]);
    assert_eq!(server.counts().await?, expected);
    let texts = "SELECT t.template AS text, count() AS n FROM logs AS l JOIN log_templates AS t USING (template_id) \
                 GROUP BY text";
    let mut by_sql = BTreeMap::new();
    for row in server.stack.query(texts).await? {
        by_sql.insert(row["text"].as_str().unwrap_or_default().to_owned(), number(&row["n"])?);
    }
    assert_eq!(by_sql, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_of_a_structured_body_is_the_line() -> Result<()> {
    let server = Server::start(&[("TIDEGATE_TEMPLATES__MESSAGE_FIELDS", "msg, text")]).await?;
    let text = |text: &str| json!({ "stringValue": text });
    let pair = |key: &str, value: &str| json!({ "key": key, "value": text(value) });
    let bodies = [
        text("user 42 logged in"),
        text(r#"{"level":"info","msg":"user 42 logged in","user":42}"#),
        text(r#"{"text":"user 7 logged in","message":"not this"}"#),
        json!({ "kvlistValue": { "values": [pair("level", "info"), pair("msg", "user 9 logged in")] } }),
        text(r#"{"message":"no setting names it"}"#),
    ];
    server.send("shop", DAY, &bodies).await?;
    assert_eq!(server.counts().await?, counts(&[("user <*> logged in", 4), ("{\"message\": <*>}", 1)]));
    Ok(())
}

#[test]
fn a_mask_that_cannot_be_used_stops_the_start_and_is_named() -> Result<()> {
    let bad = "[{ name = 'ORDER', regex = 'order-[0-9' }]";
    let (_folder, mut stack) = stack(&[(MASKS, bad)])?;
    stack.start()?;
    ensure!(!stack.wait()?.success(), "the server should not start");
    let log = stack.log_tail();
    for part in ["masks[0] (ORDER): the expression cannot be used", "unclosed character class", MASKS] {
        ensure!(log.contains(part), "{part} is not in {log}");
    }
    Ok(())
}
