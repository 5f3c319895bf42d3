use serde_json::Value;

use crate::table::text;

const RESET: &str = "\u{1b}[0m";

/// Writes a record of the API as one line; what follows a line break is set in. Colours are for terminals only.
pub(super) fn line(record: &Value, has_colours: bool) -> String {
    let field = |name: &str| text(&cell(&record[name]));
    let kind = record.get("event_type").map(|kind| text(kind) + " ").unwrap_or_default();
    let (body, context) = match record.get("event_type") {
        Some(_) => ("details", "metadata"),
        None => ("message", "context"),
    };
    let level = format!("{:<5}", field("level"));
    let level = match colour(&field("level")).filter(|_| has_colours) {
        Some(colour) => format!("{colour}{level}{RESET}"),
        None => level,
    };
    let (source, context) = (field("source"), field(context));
    let behind = if context.is_empty() { String::new() } else { format!("  {context}") };
    format!("{} {level} {source} {kind}{}{behind}", field("timestamp"), field(body)).replace('\n', "\n    ")
}

/// Returns a value as a cell: objects and lists as JSON, none where they are empty.
pub(super) fn cell(value: &Value) -> Value {
    match value {
        Value::Object(members) if members.is_empty() => Value::String(String::new()),
        Value::Object(_) | Value::Array(_) => Value::String(value.to_string()),
        Value::Null => Value::String(String::new()),
        other => other.clone(),
    }
}

fn colour(level: &str) -> Option<&'static str> {
    match level {
        "FATAL" | "CRITICAL" | "EMERGENCY" | "ALERT" | "ERROR" => Some("\u{1b}[31m"),
        "WARN" | "WARNING" => Some("\u{1b}[33m"),
        "INFO" | "NOTICE" => Some("\u{1b}[32m"),
        "DEBUG" | "TRACE" => Some("\u{1b}[2m"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_a_line_and_nothing_of_it_reaches_the_terminal_raw() {
        let record = json!({
            "timestamp": "2026-01-31T09:00:00Z", "level": "ERROR", "source": "shop",
            "message": "disk \u{1b}[2J full\nof logs", "context": { "disk": "sda" },
        });
        let plain = "2026-01-31T09:00:00Z ERROR shop disk \u{fffd}[2J full\n    of logs  {\"disk\":\"sda\"}";
        assert_eq!(line(&record, false), plain);
        assert_eq!(line(&record, true), plain.replace("ERROR", "\u{1b}[31mERROR\u{1b}[0m"));
        let event = json!({
            "timestamp": "2026-01-31T09:00:00Z", "level": "INFO", "source": "shop", "event_type": "service_status",
            "details": { "up": false }, "metadata": {},
        });
        assert_eq!(line(&event, false), "2026-01-31T09:00:00Z INFO  shop service_status {\"up\":false}");
    }
}
