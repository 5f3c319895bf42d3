use axum::extract::Request;
use http::{Method, header};
use tidegate_model::UnixNanos;
use tidegate_model::limits::PROMQL_BODY_BYTES_MAX;
use tidegate_promql::duration_ms;

use crate::body;
use crate::cardinality::unix_seconds;
use crate::errors::Failure;
use crate::stages::Stages;

/// The parameters of a request: those of the query string, then those of a form.
#[derive(Debug)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    pub(super) async fn read(stages: &Stages, request: Request) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let parse = |bytes: &[u8]| form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>();
        let mut all = parse(parts.uri.query().unwrap_or_default().as_bytes());
        if parts.method == Method::POST {
            let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let body = body::read(&parts.headers, body, PROMQL_BODY_BYTES_MAX, stages.body_idle).await?;
            if !body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
                return Err(Failure::invalid(format!(
                    "the content type is `{kind}`: send the parameters as application/x-www-form-urlencoded"
                )));
            }
            all.extend(parse(&body));
        }
        Ok(Self(all))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::invalid(format!("invalid parameter \"{name}\": it is missing")))
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Reads a time, in milliseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let read = |text: &str| {
            let wrong = || {
                Failure::invalid(format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a valid timestamp"))
            };
            seconds_as_ms(text).or_else(|| rfc3339_ms(text)).ok_or_else(wrong)
        };
        self.text(name).map(read).transpose()
    }

    pub(super) fn needed_time(&self, name: &str) -> Result<i64, Failure> {
        self.needed(name)?;
        self.time(name)?.ok_or_else(|| Failure::invalid(format!("invalid parameter \"{name}\": it is missing")))
    }

    /// Reads a length of time, in milliseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Failure> {
        let read = |text: &str| {
            let wrong = || {
                Failure::invalid(format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a valid duration"))
            };
            seconds_as_ms(text).or_else(|| duration_ms(text)).ok_or_else(wrong)
        };
        self.text(name).map(read).transpose()
    }

    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let read = |text: &str| text.parse::<usize>();
        let limit = self.text("limit").map(read).transpose();
        let limit = limit.map_err(|_| Failure::invalid("invalid parameter \"limit\": it is no whole number"))?;
        Ok(limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX))
    }
}

/// Says a moment of the server's clock in milliseconds.
pub(super) const fn millis(now: UnixNanos) -> i64 {
    now.0 / 1_000_000
}

fn seconds_as_ms(text: &str) -> Option<i64> {
    let seconds: f64 = text.parse().ok()?;
    let millis = (seconds * 1_000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked in the same expression")]
    (millis.abs() < 9e15).then_some(millis as i64)
}

fn rfc3339_ms(text: &str) -> Option<i64> {
    let seconds = unix_seconds(text)?;
    let fraction = text.split_once('.').map_or("", |(_, behind)| behind);
    let digits: String = fraction.chars().take_while(char::is_ascii_digit).chain("000".chars()).take(3).collect();
    Some(seconds * 1_000 + digits.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_prometheus_reads_them() {
        let asked = |text: &str| Asked(vec![("time".into(), text.into())]).time("time").ok().flatten();
        assert_eq!(asked("1435781451.781"), Some(1_435_781_451_781));
        assert_eq!(asked("2015-07-01T20:10:51.781Z"), Some(1_435_781_451_781));
        assert_eq!(asked("2015-07-01T20:10:51Z"), Some(1_435_781_451_000));
        assert_eq!(asked("yesterday"), None);
        let step = |text: &str| Asked(vec![("step".into(), text.into())]).duration("step").ok().flatten();
        assert_eq!((step("15"), step("1m30s"), step("0.5"), step("x")), (Some(15_000), Some(90_000), Some(500), None));
    }
}
