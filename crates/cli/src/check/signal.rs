//! What a recorded request carries, found from its content: no form of OTLP says it outside of the wire.

use anyhow::{Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tidegate_core::ingest::wire::{self, Reader, WireError};
use tidegate_model::Signal;

/// `scope_logs`, `scope_spans`, `scope_metrics` in a resource, and the items in a scope.
const LIST: u32 = wire::len(2);

/// Fields that only a log record has by number and type: its two times, its severity, its flags.
const OF_LOGS: [u32; 4] = [wire::fixed64(1), wire::fixed64(11), wire::varint(2), wire::fixed32(8)];
/// Those of a span: start, end, kind, flags.
const OF_SPANS: [u32; 4] = [wire::fixed64(7), wire::fixed64(8), wire::varint(6), wire::fixed32(16)];
/// A metric's name. A span's trace id looks the same, but a span has a start as well.
const NAME: u32 = wire::len(1);

/// The lists of an export request in JSON.
#[derive(Deserialize)]
struct Lists {
    #[serde(rename = "resourceLogs", alias = "resource_logs")]
    logs: Option<IgnoredAny>,
    #[serde(rename = "resourceSpans", alias = "resource_spans")]
    spans: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics", alias = "resource_metrics")]
    metrics: Option<IgnoredAny>,
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, IgnoredAny>,
}

/// Returns the signals of a request in JSON; none for `{}`.
pub(super) fn of_json(body: &[u8]) -> Result<Vec<Signal>> {
    let lists: Lists = serde_json::from_slice(body)?;
    let found = [(lists.logs, Signal::Logs), (lists.spans, Signal::Traces), (lists.metrics, Signal::Metrics)];
    let signals: Vec<Signal> = found.into_iter().filter_map(|(list, signal)| list.map(|_| signal)).collect();
    match lists.others.keys().next() {
        Some(other) if signals.is_empty() => {
            bail!("it has `{other}`, and none of resourceLogs, resourceSpans and resourceMetrics")
        }
        _ => Ok(signals),
    }
}

/// Returns the signal of one resource of a request in protobuf; nothing where it has no item.
pub(super) fn of_resource(resource: &[u8]) -> Result<Option<Signal>, WireError> {
    let mut reader = Reader::new(resource);
    let mut guess = None;
    while let Some(tag) = reader.tag()? {
        if tag != LIST {
            reader.skip(tag, 0)?;
            continue;
        }
        let mut scope = reader.message()?;
        while let Some(tag) = scope.tag()? {
            if tag != LIST {
                scope.skip(tag, 0)?;
                continue;
            }
            let (signal, is_sure) = of_item(scope.message()?)?;
            if is_sure {
                return Ok(Some(signal));
            }
            guess = guess.or(Some(signal));
        }
    }
    Ok(guess)
}

/// An item that has nothing of its own kind only is a metric when it has a name, and a log record's body otherwise.
fn of_item(mut item: Reader<'_>) -> Result<(Signal, bool), WireError> {
    let mut has_name = false;
    while let Some(tag) = item.tag()? {
        if OF_LOGS.contains(&tag) {
            return Ok((Signal::Logs, true));
        }
        if OF_SPANS.contains(&tag) {
            return Ok((Signal::Traces, true));
        }
        has_name |= tag == NAME;
        item.skip(tag, 0)?;
    }
    Ok((if has_name { Signal::Metrics } else { Signal::Logs }, false))
}

#[cfg(test)]
mod tests {
    use tidegate_load::Source;

    use super::*;

    #[test]
    fn every_signal_is_known_by_its_items() {
        for signal in Signal::ALL {
            let request = Source::new(3, 1_790_000_000_000_000_000).request(signal, 0, 7);
            let mut reader = Reader::new(&request);
            while reader.tag().expect("a request").is_some() {
                assert_eq!(of_resource(reader.bytes().expect("a resource")), Ok(Some(signal)));
            }
        }
    }

    #[test]
    fn json_names_its_signal() {
        let of = |text: &str| of_json(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(of("{\"resourceSpans\": []}"), Ok(vec![Signal::Traces]));
        assert_eq!(of("{\"resource_metrics\": [{}], \"other\": 1}"), Ok(vec![Signal::Metrics]));
        assert_eq!(of("{}"), Ok(vec![]));
        assert!(of("{\"spans\": []}").is_err_and(|error| error.contains("it has `spans`")));
    }
}
