use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rustix::process::Signal as Kill;
use serde_json::Value;

use super::{DAY, Server, documented, number};
use crate::{READY_WITHIN, account, eventually};

const USERS: [&str; 5] = ["ada", "bob", "eve", "ian", "joe"];
const MAIL: &str = "mail of <*> was given to <*> today";

/// The lines of one mail each, `from` to `to`.
fn mails(from: &[&str], to: &[&str]) -> Vec<String> {
    from.iter().flat_map(|a| to.iter().map(move |b| format!("mail of {a} was given to {b} today"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_follow_merges_hot_and_stored_and_past_every_death() -> Result<()> {
    let mut server = Server::start(&[]).await?;
    // Two users are too few to be a variable.
    server.send_lines("post", DAY, &mails(&USERS[..2], &USERS[..1])).await?;
    server.send_lines("post", DAY, &vec!["mail of ada was given to ada today".to_owned(); 6]).await?;
    let narrow = BTreeMap::from([
        ("mail of ada was given to ada today".to_owned(), 7),
        ("mail of bob was given to ada today".to_owned(), 1),
    ]);
    assert_eq!(agree(&server).await?, narrow);

    // Who it is from turns out to vary, and then to whom: templates are merged, and what they were merged into is.
    server.send_lines("post", DAY, &mails(&USERS[2..], &USERS[..1])).await?;
    assert_eq!(agree(&server).await?, BTreeMap::from([("mail of <*> was given to ada today".to_owned(), 11)]));
    server.send_lines("post", DAY + 1, &mails(&USERS, &USERS)).await?;
    assert_eq!(agree(&server).await?, BTreeMap::from([(MAIL.to_owned(), 36)]));
    let chained =
        "SELECT count() FROM log_template_merges WHERE into_id IN (SELECT template_id FROM log_template_merges)";
    ensure!(server.stack.number(chained).await? > 0, "no merge follows another");

    server.stack.signal_engine(Kill::KILL)?;
    assert_eq!(agree_soon(&server).await?, BTreeMap::from([(MAIL.to_owned(), 36)]));
    server.stack.kill_serve()?;
    restart(&mut server).await?;
    assert_eq!(agree(&server).await?, BTreeMap::from([(MAIL.to_owned(), 36)]));

    server.stack.stop()?;
    restart(&mut server).await?;
    eventually("every row is stored", async || Ok(account::hot_rows(&server.stack).await? == 0)).await?;
    assert_eq!(agree(&server).await?, BTreeMap::from([(MAIL.to_owned(), 36)]));
    // What was found just before the kill is not remembered; it is found again, and joins what is stored.
    server.send_lines("post", DAY + 2, &mails(&["kim", "max", "pia", "zoe"], &USERS[..1])).await?;
    server.send_lines("post", DAY + 2, &["free 7".to_owned()]).await?;
    let last = BTreeMap::from([(MAIL.to_owned(), 40), ("free <*>".to_owned(), 1)]);
    assert_eq!(agree(&server).await?, last);
    Ok(())
}

async fn restart(server: &mut Server) -> Result<()> {
    server.stack.start()?;
    server.stack.ready(READY_WITHIN).await?;
    Ok(())
}

/// Asks until an engine that died answers again.
async fn agree_soon(server: &Server) -> Result<BTreeMap<String, u64>> {
    eventually("the engine answers", async || Ok(server.stack.number("SELECT 1").await.is_ok())).await?;
    agree(server).await
}

/// Returns the counts by text, which all ways to ask for them must agree on.
async fn agree(server: &Server) -> Result<BTreeMap<String, u64>> {
    let recounted = recounted(server).await?;
    let sql = documented("How often each template came, merges resolved.")?;
    let mut by_sql = BTreeMap::new();
    for row in server.stack.query(&sql).await? {
        by_sql.insert(number(&row["template_id"])?, number(&row["records"])?);
    }
    ensure!(by_sql == recounted, "by SQL {by_sql:?}, recounted {recounted:?}");
    for (path, list) in [
        ("/api/v1/logs/patterns?minCount=0&limit=0", "/patterns"),
        ("/v2/logs/patterns?min_count=0&limit=0", "/data"),
        ("/api/v1/logs/INFO", "/body_templates"),
    ] {
        let answer = server.good(path).await?;
        let templates = answer.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut told = BTreeMap::new();
        for template in &templates {
            let count = template.get("total_count").unwrap_or(&template["count"]);
            told.insert(number(&template["template_id"])?, number(count)?);
        }
        ensure!(told == recounted, "{path} tells {told:?}, recounted {recounted:?}");
    }
    // By any id that a row ever had.
    for row in server.stack.query("SELECT DISTINCT template_id FROM logs").await? {
        let one = server.good(&format!("/api/v1/logs/patterns/INFO/{}", number(&row["template_id"])?)).await?;
        let root = number(&one["template_id"])?;
        ensure!(Some(&number(&one["total_count"])?) == recounted.get(&root), "{one} of {row}");
    }
    server.counts().await
}

/// Counts the raw rows by the id that theirs was merged into, step by step.
async fn recounted(server: &Server) -> Result<BTreeMap<u64, u64>> {
    let mut into = BTreeMap::new();
    for row in server.stack.query("SELECT template_id, into_id FROM log_template_merges").await? {
        into.insert(number(&row["template_id"])?, number(&row["into_id"])?);
    }
    let mut counts = BTreeMap::new();
    for row in server.stack.query("SELECT template_id, count() AS n FROM logs GROUP BY template_id").await? {
        let mut id = number(&row["template_id"])?;
        while let Some(wider) = into.get(&id) {
            id = *wider;
        }
        *counts.entry(id).or_default() += number(&row["n"])?;
    }
    Ok(counts)
}
