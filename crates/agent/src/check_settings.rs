use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use tidegate_model::Clock;

use crate::files::Source;
use crate::parse::{Format, Parser};
use crate::rows::Attributes;
use crate::settings::{Check, Lines, Settings, SettingsError, Start};

const FLUSH_MS: u64 = 1_000;
const QUEUE_BYTES_MIN: u64 = 1 << 20;

impl Settings {
    /// Checks every value; the first that cannot be is told with its place and its remedy.
    pub fn check(&self) -> Result<(), SettingsError> {
        let is_address = self.server.starts_with("http://") || self.server.starts_with("https://");
        if !is_address {
            let reason = format!("`{}` is not an address", self.server);
            return Err(wrong("server", reason, "write it like \"http://tidegate.example:4318\""));
        }
        if self.queue_bytes < QUEUE_BYTES_MIN {
            let reason = format!("{} bytes are too few", self.queue_bytes);
            return Err(wrong("queue_bytes", reason, "give it 1048576 or more"));
        }
        if self.look_ms == 0 || self.host.interval_seconds == 0 {
            let setting = if self.look_ms == 0 { "look_ms" } else { "host.interval_seconds" };
            return Err(wrong(setting, "it is 0".into(), "give it 1 or more"));
        }
        for (index, files) in self.files.iter().enumerate() {
            let place = format!("files[{index}]");
            if files.paths.is_empty() {
                return Err(wrong(&place, "it has no paths".into(), "write `paths = [\"/var/log/app/*.log\"]`"));
            }
            for pattern in files.paths.iter().chain(&files.exclude) {
                glob_pattern(&place, pattern)?;
            }
            parser(&place, &files.lines())?;
            first_line(&place, &files.first_line)?;
        }
        parser("stdin", &self.stdin.lines())?;
        for (index, watch) in self.processes.iter().enumerate() {
            if watch.name.is_empty() == watch.pid.is_none() {
                let place = format!("processes[{index}]");
                return Err(wrong(&place, "it says not which process".into(), "give it either `name` or `pid`"));
            }
        }
        self.checks.iter().enumerate().try_for_each(|(index, check)| check_check(index, check))
    }

    /// Makes readers of all log files.
    pub(crate) fn sources(&self, resource: &Attributes, clock: &Arc<dyn Clock>) -> Result<Vec<Source>, SettingsError> {
        let make = |(index, files): (usize, &crate::settings::Files)| {
            let place = format!("files[{index}]");
            Ok(Source {
                paths: files.paths.clone(),
                exclude: files.exclude.iter().map(|pattern| glob_pattern(&place, pattern)).collect::<Result<_, _>>()?,
                parser: parser(&place, &files.lines())?,
                first_line: first_line(&place, &files.first_line)?,
                flush_after: Duration::from_millis(files.flush_ms.unwrap_or(FLUSH_MS)),
                from_end: files.start == Start::End,
                service: files.service.clone(),
                resource: resource.clone(),
                clock: Arc::clone(clock),
            })
        };
        self.files.iter().enumerate().map(make).collect()
    }
}

pub(crate) fn parser(place: &str, lines: &Lines) -> Result<Parser, SettingsError> {
    let pattern = match (lines.format, lines.pattern.as_str()) {
        (Format::Regex, "") => {
            let remedy = "write `pattern = '^(?<time>\\S+) (?<level>\\w+) (?<message>.*)$'`";
            return Err(wrong(place, "format \"regex\" has no pattern".into(), remedy));
        }
        (Format::Regex, pattern) => Some(Regex::new(pattern).map_err(|error| not_an_expression(place, &error))?),
        (_, "") => None,
        _ => return Err(wrong(place, "it has a pattern".into(), "a pattern needs `format = \"regex\"`")),
    };
    if pattern.as_ref().is_some_and(|pattern| pattern.capture_names().flatten().next().is_none()) {
        return Err(wrong(place, "the pattern has no named group".into(), "name groups: `(?<message>.*)`"));
    }
    Ok(Parser { format: lines.format, pattern, zone: lines.utc_offset })
}

fn first_line(place: &str, text: &str) -> Result<Option<regex::bytes::Regex>, SettingsError> {
    if text.is_empty() {
        return Ok(None);
    }
    regex::bytes::Regex::new(text).map(Some).map_err(|error| not_an_expression(&format!("{place}.first_line"), &error))
}

fn glob_pattern(place: &str, text: &str) -> Result<glob::Pattern, SettingsError> {
    let remedy = "patterns know `*`, `**` as a whole folder, `?` and `[a-z]`";
    glob::Pattern::new(text).map_err(|error| wrong(place, format!("`{text}` is not a pattern: {error}"), remedy))
}

fn check_check(index: usize, check: &Check) -> Result<(), SettingsError> {
    let place = format!("checks[{index}]");
    if check.name.is_empty() {
        return Err(wrong(&place, "it has no name".into(), "write `name = \"web\"`"));
    }
    let kinds = [&check.http, &check.tcp, &check.process, &check.unit].into_iter().flatten().count();
    if kinds != 1 {
        let remedy = "give it one of `http = \"http://…\"`, `tcp = \"host:port\"`, `process = \"name\"`, `unit = \"name.service\"`";
        return Err(wrong(&place, format!("it says {kinds} ways to check"), remedy));
    }
    if check.interval_seconds == Some(0) || check.timeout_ms == Some(0) {
        return Err(wrong(&place, "an interval or a time-out is 0".into(), "give it 1 or more"));
    }
    Ok(())
}

fn not_an_expression(place: &str, error: &regex::Error) -> SettingsError {
    wrong(place, error.to_string(), "the syntax is that of the Rust crate `regex`: no look-around, no back references")
}

fn wrong(setting: &str, reason: String, remedy: &'static str) -> SettingsError {
    SettingsError::Value { setting: setting.to_owned(), reason, remedy }
}
