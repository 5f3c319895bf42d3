use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use tidegate_alerts::{Labels, Question, Rule};
use tidegate_core::query::{Format, ReadRequest, promql_instant};
use tidegate_model::UnixNanos;
use tidegate_model::limits::{ALERT_ASK_TIMEOUT_MS, ALERT_SERIES_MAX};

use crate::errors::Failure;
use crate::stages::Stages;

/// The column that is judged.
const VALUE: &str = "value";

/// Asks a rule's question as of a time; returns a value for each set of labels.
pub(super) async fn ask(stages: &Stages, rule: &Rule, at: UnixNanos) -> Result<BTreeMap<Labels, f64>, Failure> {
    let question = rule.question().map_err(|error| Failure::invalid(error.to_string()))?;
    let answered: Vec<(Labels, f64)> = match question {
        Question::Sql(sql) => by_sql(stages, sql, at).await?,
        Question::Promql(expression) => by_promql(stages, expression, at).await?,
    };
    if answered.len() > ALERT_SERIES_MAX {
        return Err(Failure::invalid(format!(
            "it answers with {} series, at most {ALERT_SERIES_MAX} are watched: aggregate them",
            answered.len()
        )));
    }
    let mut values = BTreeMap::new();
    for (labels, value) in answered {
        if values.insert(labels.clone(), value).is_some() {
            let labels = serde_json::to_string(&labels).unwrap_or_default();
            return Err(Failure::invalid(format!("two of its rows have the same labels {labels}: group by them")));
        }
    }
    Ok(values)
}

async fn by_promql(stages: &Stages, expression: &str, at: UnixNanos) -> Result<Vec<(Labels, f64)>, Failure> {
    let millis = at.0.div_euclid(1_000_000);
    let found = promql_instant(&stages.query, expression, (millis, stages.request_id())).await;
    let found = found.map_err(|error| Failure::of(error.kind(), &error))?;
    let named = |labels: &tidegate_promql::Labels| {
        labels.iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect()
    };
    Ok(found.iter().map(|(labels, value)| (named(labels), *value)).collect())
}

async fn by_sql(stages: &Stages, sql: &str, at: UnixNanos) -> Result<Vec<(Labels, f64)>, Failure> {
    let request = ReadRequest {
        sql: sql.to_owned(),
        params: vec![("now".to_owned(), at.to_string().replace('T', " ").replace('Z', ""))],
        format: Format::named("JSONEachRow").unwrap_or(Format::JSON),
        min_watermark: None,
        // One more than is watched, so that too many are seen.
        max_rows: None,
        timeout: Some(Duration::from_millis(ALERT_ASK_TIMEOUT_MS)),
        query_id: stages.request_id(),
    };
    let answer = stages.query.read(request).await.map_err(Failure::from)?;
    let text = answer.body.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    let text = text.await.map_err(Failure::from)?;
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(row).collect()
}

fn row(line: &[u8]) -> Result<(Labels, f64), Failure> {
    let mut row: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|error| Failure::invalid(format!("a row of its answer cannot be read: {error}")))?;
    let Some(value) = row.remove(VALUE) else {
        return Err(Failure::invalid("its answer has no column `value`: write `… AS value` for the number to judge"));
    };
    let value = match &value {
        Value::Null => f64::NAN,
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::Bool(is) => f64::from(u8::from(*is)),
        // 64-bit numbers and decimals come as text.
        Value::String(text) => {
            text.parse().map_err(|_| Failure::invalid(format!("the column `value` is no number, it has `{text}`")))?
        }
        other => return Err(Failure::invalid(format!("the column `value` is no number, it has {other}"))),
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok((row.into_iter().map(|(label, value)| (label, text(value))).collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_value_and_its_labels() {
        let labels = Labels::from([("host".to_owned(), "web-1".to_owned()), ("cpu".to_owned(), "3".to_owned())]);
        assert_eq!(row(br#"{"host":"web-1","cpu":3,"value":"12"}"#), Ok((labels, 12.0)));
        assert_eq!(row(br#"{"value":true}"#), Ok((Labels::new(), 1.0)));
        assert!(row(br#"{"value":null}"#).is_ok_and(|(_, value)| value.is_nan()));
        for (line, what) in
            [(&br#"{"n":1}"#[..], "no column `value`"), (br#"{"value":"x"}"#, "is no number"), (b"[", "cannot be read")]
        {
            assert!(row(line).expect_err(what).message.contains(what));
        }
    }
}
