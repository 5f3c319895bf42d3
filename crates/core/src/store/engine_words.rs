//! What the engine process says: its ready line on stdout, its log on stderr.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// What the engine says when it is ready.
pub(super) struct Ready {
    pub(super) address: String,
    pub(super) version: Option<String>,
    /// How far the kernel keeps it in its folders.
    pub(super) landlock: Option<String>,
}

/// Reads `{"event":"ready","http":"127.0.0.1:PORT",…}`.
pub(super) fn ready_line(line: &str) -> Option<Ready> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = (line["event"] == "ready").then(|| line["http"].as_str())??.to_owned();
    let [version, landlock] = ["version", "landlock"].map(|name| line[name].as_str().map(str::to_owned));
    Some(Ready { address, version, landlock })
}

/// Passes its log lines on; returns the last one that was more than information.
pub(super) async fn forward_logs(stderr: impl AsyncRead + Unpin) -> Option<String> {
    let mut last_words = None;
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
        let level = parsed["level"].as_str().unwrap_or("WARN").to_ascii_uppercase();
        let line = for_people(&parsed).unwrap_or(line);
        match level.as_str() {
            "TRACE" | "DEBUG" => tracing::debug!(target: "tidegate_engine", line, "the engine says"),
            "INFO" => tracing::info!(target: "tidegate_engine", line, "the engine says"),
            _ => {
                tracing::warn!(target: "tidegate_engine", line, "the engine says");
                last_words = Some(line);
            }
        }
    }
    last_words
}

/// Writes `{"fields":{"message":"it failed","error":"no disk"}}` as `it failed, error: no disk`.
fn for_people(line: &Value) -> Option<String> {
    let fields = line["fields"].as_object()?;
    let mut text = fields.get("message")?.as_str()?.to_owned();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "message") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!(", {name}: {value}"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_complaint_is_told_in_words() {
        let log = r#"{"level":"ERROR","fields":{"message":"the engine cannot run","error":"no library","code":3}}
{"level":"INFO","fields":{"message":"the engine has stopped"}}
"#;
        let told = forward_logs(log.as_bytes()).await;
        assert_eq!(told.as_deref(), Some("the engine cannot run, code: 3, error: no library"));
        assert_eq!(forward_logs("not JSON".as_bytes()).await.as_deref(), Some("not JSON"));
    }
}
