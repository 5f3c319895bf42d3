//! The agent's settings: one TOML file, every setting with a default, unknown ones refused with their line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::limits::AGENT_QUEUE_BYTES;
use serde::{Deserialize, Serialize};

use crate::parse::{Format, UtcOffset};

/// Why settings are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The text is not TOML, or names a setting that there is not; the message has the line.
    #[error("{0}")]
    Text(String),
    /// A value that cannot be.
    #[error("{setting}: {reason}\n  {remedy}")]
    Value {
        /// Which setting.
        setting: String,
        /// What is wrong with it.
        reason: String,
        /// How to mend it.
        remedy: &'static str,
    },
}

/// Every setting of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address of a server's OTLP over HTTP.
    pub server: String,
    /// The folder of the queue and of the agent's identity. Made when absent.
    pub data: PathBuf,
    /// Sent as `Authorization: Bearer …`; empty: nothing is sent.
    pub token: String,
    /// What the queue may take on the disk, in bytes.
    pub queue_bytes: u64,
    /// "zstd", or "none" for servers that do not know it.
    pub compression: Compression,
    /// How often files are looked at, in milliseconds.
    pub look_ms: u64,
    /// Attributes of the resource of everything that is sent.
    pub resource: BTreeMap<String, String>,
    /// The machine's metrics.
    pub host: Host,
    /// Log files.
    pub files: Vec<Files>,
    /// systemd's journal.
    pub journald: Journald,
    /// Lines that come in on standard input.
    pub stdin: Stdin,
    /// Processes whose cost is measured.
    pub processes: Vec<ProcessWatch>,
    /// Services that are looked after.
    pub checks: Vec<Check>,
}

/// How requests are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard, level 1.
    #[default]
    Zstd,
    /// Not at all.
    None,
}

/// Which names the machine's metrics have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// Both kinds.
    #[default]
    Both,
    /// OpenTelemetry's: `system.memory.usage{system.memory.state}`.
    Otel,
    /// Short ones: `system.cpu_percent`, `system.memory.used`, with their unit as a tag.
    Short,
}

/// The machine's metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Host {
    /// Whether they are collected.
    pub enabled: bool,
    /// How often, in seconds.
    pub interval_seconds: u64,
    /// Under which names: "both", "otel", "short".
    pub names: Names,
}

/// How lines become rows; the same for files, journal and standard input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lines {
    /// "text", "json", "logfmt", "regex", "syslog".
    pub format: Format,
    /// With "regex": an expression with named groups; `time`, `level`, `message` are known, others are attributes.
    pub pattern: String,
    /// The zone of times that do not say theirs.
    pub utc_offset: UtcOffset,
}

/// Log files that are read alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Patterns: `/var/log/app/*.log`, `**` for folders of any depth.
    pub paths: Vec<String>,
    /// Patterns of files that are left out, of whole paths or of names. Packed files always are.
    pub exclude: Vec<String>,
    /// `service.name` of the rows; empty: the file's name up to its first point.
    pub service: String,
    /// "beginning", or "end": what is there at the very first start is not read.
    pub start: Start,
    /// An expression that the first line of a record matches; lines between belong to it. Empty: a line is a record.
    pub first_line: String,
    /// How long the last record waits for more lines, in milliseconds.
    pub flush_ms: Option<u64>,
    /// See [`Lines`].
    pub format: Format,
    /// See [`Lines`].
    pub pattern: String,
    /// See [`Lines`].
    pub utc_offset: UtcOffset,
}

/// Where files that are there at the very first start are read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// From their first line.
    #[default]
    Beginning,
    /// Only what is written from then on.
    End,
}

/// systemd's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journald {
    /// Whether it is read.
    pub enabled: bool,
    /// Only these units; empty: all.
    pub units: Vec<String>,
    /// The program that reads it.
    pub journalctl: String,
}

/// Lines that come in on standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stdin {
    /// Whether they are read.
    pub enabled: bool,
    /// `service.name` of the rows.
    pub service: String,
    /// See [`Lines`].
    pub format: Format,
    /// See [`Lines`].
    pub pattern: String,
    /// See [`Lines`].
    pub utc_offset: UtcOffset,
}

/// A process, or all of one name, whose cost is measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessWatch {
    /// The program's name.
    pub name: String,
    /// Or one process's id.
    pub pid: Option<u32>,
}

/// A service that is looked after: one of `http`, `tcp`, `process`, `unit` says how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// The service's name in events and metrics.
    pub name: String,
    /// An address that must answer with a status of 2xx or 3xx, or with `expect_status`.
    pub http: Option<String>,
    /// The one status that is right.
    pub expect_status: Option<u16>,
    /// `host:port` that must take a connection.
    pub tcp: Option<String>,
    /// The name of a program of which a process must run.
    pub process: Option<String>,
    /// A systemd unit that must be active.
    pub unit: Option<String>,
    /// How often, in seconds.
    pub interval_seconds: Option<u64>,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: "http://127.0.0.1:4318".into(),
            data: "./tidegate-agent-data".into(),
            token: String::new(),
            queue_bytes: AGENT_QUEUE_BYTES,
            compression: Compression::Zstd,
            look_ms: 500,
            resource: BTreeMap::new(),
            host: Host::default(),
            files: Vec::new(),
            journald: Journald::default(),
            stdin: Stdin::default(),
            processes: Vec::new(),
            checks: Vec::new(),
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self { enabled: true, interval_seconds: 15, names: Names::Both }
    }
}

impl Default for Journald {
    fn default() -> Self {
        Self { enabled: false, units: Vec::new(), journalctl: "journalctl".into() }
    }
}

impl Default for Stdin {
    fn default() -> Self {
        Self {
            enabled: false,
            service: "stdin".into(),
            format: Format::Text,
            pattern: String::new(),
            utc_offset: UtcOffset::default(),
        }
    }
}

impl Files {
    pub(crate) fn lines(&self) -> Lines {
        Lines { format: self.format, pattern: self.pattern.clone(), utc_offset: self.utc_offset }
    }
}

impl Stdin {
    pub(crate) fn lines(&self) -> Lines {
        Lines { format: self.format, pattern: self.pattern.clone(), utc_offset: self.utc_offset }
    }
}

impl Settings {
    /// Reads settings; what is not said has its default. Values are checked by [`Settings::check`].
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| SettingsError::Text(error.to_string().trim_end().to_owned()))
    }

    /// Returns all settings as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("settings are tables, lists, numbers and text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Settings::from_toml(text).and_then(|settings| settings.check()).expect_err("it cannot be").to_string()
    }

    #[test]
    fn the_settings_of_the_documentation_are_settings() {
        let page = include_str!("../../../docs/agent.md");
        let (_, rest) = page.split_once("```toml\n").expect("the page has an example");
        let (example, _) = rest.split_once("```").expect("the example ends");
        let settings = Settings::from_toml(example).expect("it is read");
        settings.check().expect("its values can be");
        let Settings { files, processes, checks, resource, .. } = settings.clone();
        assert_eq!((files.len(), processes.len(), checks.len(), resource.len()), (1, 1, 1, 1));
        // What it shows beside these are the defaults.
        let mut plain = settings;
        (plain.files, plain.processes, plain.checks) = Default::default();
        plain.resource.clear();
        assert_eq!(plain, Settings::default());
    }

    #[test]
    fn effective_settings_are_read_back_as_they_are() {
        let settings = Settings::from_toml("[[files]]\npaths = ['/a/*.log']\nutc_offset = '-05:30'\n").unwrap();
        assert_eq!(Settings::from_toml(&settings.to_toml()).unwrap(), settings);
    }

    #[test]
    fn wrong_settings_are_told_with_their_place_and_a_remedy() {
        for (text, expected) in [
            ("server = 'x'\n[host]\nevery = 3\n", "line 3"),
            ("server = 'localhost:4318'", "write it like"),
            ("[[files]]\npaths = []", "files[0]: it has no paths"),
            ("[[files]]\npaths = ['/a']\nformat = 'regex'", "has no pattern"),
            ("[[files]]\npaths = ['/a']\nformat = 'regex'\npattern = '(x'", "unclosed group"),
            ("[[files]]\npaths = ['/a']\nformat = 'regex'\npattern = 'x'", "name groups"),
            ("[[files]]\npaths = ['/a**']", "is not a pattern"),
            ("[[files]]\npaths = ['/a']\nutc_offset = 'CET'", "distance from UTC"),
            ("[[checks]]\nname = 'a'", "it says 0 ways to check"),
            ("[[checks]]\nname = 'a'\ntcp = 'b:1'\nunit = 'c'", "it says 2 ways to check"),
            ("[[processes]]\n", "either `name` or `pid`"),
            ("queue_bytes = 5", "1048576"),
        ] {
            let told = refused(text);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
