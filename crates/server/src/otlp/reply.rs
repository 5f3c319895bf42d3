use bytes::Bytes;
use tidegate_core::ingest::wire::Writer;
use tidegate_core::ingest::{Admitted, Encoding};
use tidegate_model::Signal;

use crate::errors::Failure;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Refused rows that one message spells out; all are counted.
const SPELLED_OUT_MAX: usize = 5;

/// Writes an `Export…ServiceResponse`: empty, or with the rows that were refused.
pub(super) fn success(encoding: Encoding, signal: Signal, admitted: &Admitted) -> Bytes {
    let rejected = admitted.rejected.total();
    let message = (rejected > 0).then(|| message(admitted));
    match encoding {
        Encoding::Json => {
            let partial = message.map(|text| {
                // proto3 JSON writes 64-bit numbers as text.
                serde_json::json!({ "partialSuccess": { rejected_name(signal): rejected.to_string(), "errorMessage": text } })
            });
            partial.map_or_else(|| Bytes::from_static(b"{}"), |partial| partial.to_string().into())
        }
        Encoding::Protobuf => {
            let mut writer = Writer::new();
            if let Some(text) = message {
                writer.message(1, |partial| {
                    partial.uint(1, rejected);
                    partial.bytes(2, text.as_bytes());
                });
            }
            writer.into_bytes().into()
        }
    }
}

/// Writes a `google.rpc.Status`, with `RetryInfo` where a retry may pass.
pub(super) fn status(encoding: Encoding, failure: &Failure) -> Bytes {
    let code = i32::from(failure.grpc_code());
    let text = text(failure);
    match encoding {
        Encoding::Json => {
            let details: Vec<_> = failure
                .retry_after_ms
                .map(|ms| serde_json::json!({ "@type": RETRY_INFO, "retryDelay": format!("{}.{:03}s", ms / 1_000, ms % 1_000) }))
                .into_iter()
                .collect();
            serde_json::json!({ "code": code, "message": text, "details": details }).to_string().into()
        }
        Encoding::Protobuf => {
            let mut writer = Writer::new();
            writer.int(1, i64::from(code));
            writer.bytes(2, text.as_bytes());
            if let Some(ms) = failure.retry_after_ms {
                writer.message(3, |any| {
                    any.bytes(1, RETRY_INFO.as_bytes());
                    any.message(2, |info| {
                        info.message(1, |delay| {
                            delay.uint(1, ms / 1_000);
                            delay.uint(2, ms % 1_000 * 1_000_000);
                        });
                    });
                });
            }
            writer.into_bytes().into()
        }
    }
}

/// Returns what a failure says in one line.
pub(super) fn text(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{}; {hint}", failure.message),
        None => failure.message.clone(),
    }
}

fn message(admitted: &Admitted) -> String {
    let total = admitted.rejected.total();
    let spelled: Vec<_> = admitted.rejected.listed.iter().take(SPELLED_OUT_MAX).map(ToString::to_string).collect();
    let more = if total > spelled.len() as u64 { ", …" } else { "" };
    format!("{total} refused: {}{more}", spelled.join(", "))
}

const fn rejected_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "rejectedLogRecords",
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::ingest::{Reason, Rejection};
    use tidegate_model::ErrorKind;

    use super::*;

    fn check(json: &Bytes, expected: &Expect) {
        expected.assert_eq(std::str::from_utf8(json).expect("JSON is UTF-8"));
    }

    #[test]
    fn a_whole_success_is_an_empty_message() {
        let admitted = Admitted { accepted: 3, ..Admitted::default() };
        assert!(success(Encoding::Protobuf, Signal::Logs, &admitted).is_empty());
        check(&success(Encoding::Json, Signal::Logs, &admitted), &expect!["{}"]);
    }

    #[test]
    fn refused_rows_are_counted_and_named() {
        let mut admitted = Admitted { accepted: 1, ..Admitted::default() };
        admitted.rejected.push(Rejection::new(7, Reason::InvalidUtf8, "the body is not UTF-8"));
        check(
            &success(Encoding::Json, Signal::Traces, &admitted),
            &expect![[
                r#"{"partialSuccess":{"errorMessage":"1 refused: row 7: the body is not UTF-8","rejectedSpans":"1"}}"#
            ]],
        );
        let bytes = success(Encoding::Protobuf, Signal::Traces, &admitted);
        assert_eq!(&bytes[..6], [0x0a, 0x2b, 0x08, 0x01, 0x12, 0x27]);
    }

    #[test]
    fn an_overload_says_when_to_come_again() {
        let failure = Failure { retry_after_ms: Some(1_500), ..Failure::new(ErrorKind::Overloaded, "the log is full") };
        check(
            &status(Encoding::Json, &failure),
            &expect![[
                r#"{"code":8,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}],"message":"the log is full"}"#
            ]],
        );
        let bytes = status(Encoding::Protobuf, &failure);
        assert_eq!(bytes[..2], [0x08, 0x08]);
        assert!(bytes.windows(RETRY_INFO.len()).any(|window| window == RETRY_INFO.as_bytes()));
    }
}
