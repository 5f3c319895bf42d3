use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::tree::{BackupTarget, S3, Settings};

/// The file that is read when none is named and it exists.
const FILE: &str = "tidegate.toml";
const PREFIX: &str = "TIDEGATE_";

/// Names that other tools' users know already, and the settings they mean.
const KNOWN_NAMES: [(&str, &str); 16] = [
    ("CLICKHOUSE_URL", "clickhouse.url"),
    ("CLICKHOUSE_HOST", "clickhouse.host"),
    ("CLICKHOUSE_PORT", "clickhouse.port"),
    ("CLICKHOUSE_USER", "clickhouse.user"),
    ("CLICKHOUSE_PASSWORD", "clickhouse.password"),
    ("CLICKHOUSE_DATABASE", "clickhouse.database"),
    ("CLICKHOUSE_SECURE", "clickhouse.secure"),
    ("CLICKHOUSE_VERIFY", "clickhouse.verify"),
    ("CLICKHOUSE_CA_CERT", "clickhouse.ca_cert"),
    ("STORAGE_BACKEND", "storage.backend"),
    ("TIDEGATE_LIBCHDB", "engine.library"),
    ("TIDEGATE_ENGINE", "engine.program"),
    ("TIDEGATE_DATA", "data"),
    ("AWS_ACCESS_KEY_ID", "s3.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "s3.secret_access_key"),
    ("TIDEGATE_POSTGRES", "tracing.postgres_url"),
];

/// Whether spans go to ClickHouse too, as an application of the tracing API knows it.
const USE_CLICKHOUSE: &str = "USE_CLICKHOUSE";

/// Why the settings cannot be used: which, from where, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsError(pub(crate) String);

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// What the command line says: a path (`listen.http`) and a value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// The file named by `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The flag's name, the setting's path, the value.
    pub(crate) values: Vec<(&'static str, &'static str, String)>,
}

/// The settings, and where each one that is not a default came from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// By path: "file ./tidegate.toml", "environment TIDEGATE_BATCH__ROWS", "flag --http".
    pub(crate) sources: BTreeMap<String, String>,
}

/// Lays the four places over each other; each later one wins.
pub(crate) fn load(flags: &Flags, environment: &BTreeMap<String, String>) -> Result<Loaded, SettingsError> {
    let defaults = Table::try_from(Settings::default()).map_err(|error| SettingsError(error.to_string()))?;
    let mut layers = Layers { merged: defaults, sources: BTreeMap::new() };
    layers.file(flags.file.as_deref())?;
    layers.environment(environment)?;
    for (flag, path, value) in &flags.values {
        layers.set(path, value, &format!("flag {flag}"))?;
    }
    let Layers { merged, sources } = layers;
    let settings: Settings = Value::Table(merged).try_into().map_err(|error: toml::de::Error| {
        let from: Vec<_> = sources.iter().map(|(path, from)| format!("{path} ({from})")).collect();
        SettingsError(format!("a setting cannot be used: {}; set are: {}", error.message(), from.join(", ")))
    })?;
    check(&settings)?;
    check_templates(&settings, &sources)?;
    Ok(Loaded { settings, sources })
}

struct Layers {
    merged: Table,
    sources: BTreeMap<String, String>,
}

impl Layers {
    fn file(&mut self, named: Option<&Path>) -> Result<(), SettingsError> {
        let path = named.unwrap_or(Path::new(FILE));
        if named.is_none() && !path.exists() {
            return Ok(());
        }
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError(format!("the settings file {shown} cannot be read: {error}")))?;
        let table: Table =
            text.parse().map_err(|error| SettingsError(format!("in the settings file {shown}: {error}")))?;
        // Checked by itself first, so that a mistake is told with its line.
        toml::from_str::<Settings>(&text)
            .map_err(|error| SettingsError(format!("in the settings file {shown}: {error}")))?;
        for (key, value) in table {
            let from = format!("file {shown}");
            match value {
                Value::Table(section) => {
                    for (name, value) in section {
                        self.put(&format!("{key}.{name}"), value, &from)?;
                    }
                }
                value => self.put(&key, value, &from)?,
            }
        }
        Ok(())
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) -> Result<(), SettingsError> {
        for (name, path) in KNOWN_NAMES {
            if let Some(value) = environment.get(name) {
                self.set(path, value, &format!("environment {name}"))?;
            }
        }
        for (name, value) in environment {
            let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) else {
                continue;
            };
            let path = format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase());
            self.set(&path, value, &format!("environment {name}"))?;
        }
        self.tracing_mode(environment)?;
        let names_a_server = ["clickhouse.url", "clickhouse.host"].iter().any(|path| self.sources.contains_key(*path));
        if names_a_server && !self.sources.contains_key("storage.backend") {
            self.set("storage.backend", "clickhouse", "a ClickHouse server is named")?;
        }
        Ok(())
    }

    /// Takes the mode of the tracing API from a name that says less than the setting, where there is a PostgreSQL.
    fn tracing_mode(&mut self, environment: &BTreeMap<String, String>) -> Result<(), SettingsError> {
        let has_postgres = self.slot("tracing.postgres_url", PREFIX)?.as_str().is_some_and(|url| !url.is_empty());
        let Some(text) = environment.get(USE_CLICKHOUSE).filter(|_| has_postgres) else { return Ok(()) };
        if self.sources.contains_key("tracing.mode") {
            return Ok(());
        }
        let mode = match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => "dual",
            "false" | "0" | "no" | "off" | "" => "postgres",
            _ => return Err(SettingsError(format!("{USE_CLICKHOUSE} must be true or false, it is `{text}`"))),
        };
        self.set("tracing.mode", mode, &format!("environment {USE_CLICKHOUSE}"))
    }

    /// Reads text as the kind of value that the setting has.
    fn set(&mut self, path: &str, text: &str, from: &str) -> Result<(), SettingsError> {
        let wrong = |kind: &str| SettingsError(format!("{path} must be {kind}, it is `{text}` ({from})"));
        let value = match self.slot(path, from)? {
            Value::Integer(_) => Value::Integer(text.replace('_', "").parse().map_err(|_| wrong("a whole number"))?),
            Value::Boolean(_) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Value::Boolean(true),
                "false" | "0" | "no" | "off" => Value::Boolean(false),
                _ => return Err(wrong("true or false")),
            },
            Value::Array(_) => list(text).map_err(|error| {
                let kind = format!("a list such as ['a', 'b'], or one item ({error})");
                wrong(&kind)
            })?,
            _ => Value::String(text.to_owned()),
        };
        self.put(path, value, from)
    }

    fn put(&mut self, path: &str, value: Value, from: &str) -> Result<(), SettingsError> {
        *self.slot(path, from)? = value;
        self.sources.insert(path.to_owned(), from.to_owned());
        Ok(())
    }

    fn slot(&mut self, path: &str, from: &str) -> Result<&mut Value, SettingsError> {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        let table = if section.is_empty() {
            Some(&mut self.merged)
        } else {
            self.merged.get_mut(section).and_then(Value::as_table_mut)
        };
        let slot = table.and_then(|table| table.get_mut(key)).filter(|slot| !slot.is_table());
        slot.ok_or_else(|| {
            SettingsError(format!("there is no setting `{path}` ({from}); `tidegate config` prints all there are"))
        })
    }
}

/// Reads a list: as in the file, or items of text with commas between.
fn list(text: &str) -> Result<Value, String> {
    if !text.trim_start().starts_with('[') {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()));
    }
    let table: Table = format!("list = {text}").parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    table.get("list").cloned().ok_or_else(|| "it is no list".to_owned())
}

/// Makes what the miner of templates is made of, so that a mistake is told at once, with its mask.
fn check_templates(settings: &Settings, sources: &BTreeMap<String, String>) -> Result<(), SettingsError> {
    settings.templates.of_miner().check().map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let from: Vec<_> = sources
            .iter()
            .filter(|(path, _)| path.starts_with("templates."))
            .map(|(path, from)| format!("{path} ({from})"))
            .collect();
        SettingsError(format!(
            "in the settings of templates: {error}{cause}; set are: {}; docs/templates.md says what can be set",
            from.join(", ")
        ))
    })
}

/// Checks how an S3 server is reached.
pub(crate) fn check_s3(s3: &S3) -> Result<(), SettingsError> {
    s3.mistake().map_or(Ok(()), |mistake| Err(SettingsError(mistake)))
}

/// Checks what a type cannot say.
fn check(settings: &Settings) -> Result<(), SettingsError> {
    let listen = &settings.listen;
    let doors = [
        ("listen.http", &listen.http),
        ("listen.otlp_http", &listen.otlp_http),
        ("listen.otlp_grpc", &listen.otlp_grpc),
        ("listen.clickhouse_http", &listen.clickhouse_http),
    ];
    for (path, address) in doors {
        if address.parse::<std::net::SocketAddr>().is_err()
            && !(path.ends_with("clickhouse_http") && address.is_empty())
        {
            return Err(SettingsError(format!(
                "{path} must be an address with a port, like 127.0.0.1:8080; it is `{address}`"
            )));
        }
    }
    if !settings.clickhouse.verify {
        let text = "clickhouse.verify cannot be false: name the authority of the server's certificate by \
                    clickhouse.ca_cert (CLICKHOUSE_CA_CERT), or speak plain http on a network that you trust";
        return Err(SettingsError(text.to_owned()));
    }
    let exports = &settings.exports;
    let is_address = ["http://", "https://"].iter().any(|scheme| exports.webhook_url.starts_with(scheme));
    if !exports.webhook_url.is_empty() && (!is_address || exports.webhook_secret.is_empty()) {
        let text = "exports.webhook_url must be an address like https://host/path, and exports.webhook_secret must be \
                    set with it: the messages are signed, so that the receiver can know them";
        return Err(SettingsError(text.to_owned()));
    }
    settings.alerts.options().map_err(SettingsError)?;
    settings.tracing.primary().map_err(SettingsError)?;
    check_s3(&settings.s3)?;
    if settings.backup.target == BackupTarget::S3 && settings.s3.bucket.is_empty() {
        let text = "backup.target is \"s3\", and s3.bucket names no bucket: set it with what else `[s3]` needs";
        return Err(SettingsError(text.to_owned()));
    }
    let lifecycle = &settings.lifecycle;
    let has_folder = !lifecycle.cold_folder.as_os_str().is_empty();
    if lifecycle.cold_s3 && (settings.s3.bucket.is_empty() || has_folder) {
        let text = "lifecycle.cold_s3 = true needs s3.bucket, and no lifecycle.cold_folder: there is one cold volume";
        return Err(SettingsError(text.to_owned()));
    }
    if lifecycle.cold_after_hours > 0 && !lifecycle.cold_s3 && !has_folder {
        let text = "lifecycle.cold_after_hours needs a cold volume: lifecycle.cold_folder or lifecycle.cold_s3";
        return Err(SettingsError(text.to_owned()));
    }
    if !settings.catalogue.enabled
        && let Some(signal) = settings.retain.dropped().first()
    {
        return Err(SettingsError(format!(
            "retain.{signal} = false keeps nothing but the catalogue, and catalogue.enabled is false: set one of them to true"
        )));
    }
    let positive = [
        ("batch.rows", settings.batch.rows),
        ("batch.bytes", settings.batch.bytes),
        ("batch.age_ms", settings.batch.age_ms),
        ("query.seconds", settings.query.seconds),
        ("buffer.sync_interval_ms", settings.buffer.sync_interval_ms),
        ("telemetry.interval_ms", settings.telemetry.interval_ms),
    ];
    match positive.iter().find(|(_, value)| *value == 0) {
        Some((path, _)) => Err(SettingsError(format!("{path} must be at least 1"))),
        None => Ok(()),
    }
}
