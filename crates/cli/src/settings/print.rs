use std::fmt::Write as _;

use toml::{Table, Value};

use super::sources::Loaded;
use super::tree::{Settings, explained};

/// Settings that are never shown.
const SECRETS: [&str; 8] = [
    "clickhouse.password",
    "clickhouse.reader_password",
    "exports.webhook_secret",
    "alerts.webhook_secret",
    "alerts.slack_url",
    "alerts.smtp_server",
    "s3.secret_access_key",
    "tracing.postgres_url",
];

/// Returns the whole tree as TOML that can be used as a file: what each setting does, its default, where its value
/// came from. Passwords are left out.
pub(crate) fn commented(loaded: &Loaded) -> Result<String, toml::ser::Error> {
    let (now, defaults) = (Table::try_from(&loaded.settings)?, Table::try_from(Settings::default())?);
    let mut text = String::from("# Every setting of Tidegate. A line that begins with # is at its default.\n");
    for (key, value) in now.iter().filter(|(_, value)| !value.is_table()) {
        write_setting(&mut text, key, key, value, &defaults[key], loaded);
    }
    for (section, table) in &now {
        let (Value::Table(table), Value::Table(defaults)) = (table, &defaults[section]) else { continue };
        text.push('\n');
        write_about(&mut text, section);
        writeln!(text, "[{section}]").expect("a String takes all text");
        for (key, value) in table {
            write_setting(&mut text, &format!("{section}.{key}"), key, value, &defaults[key], loaded);
        }
    }
    Ok(text)
}

fn write_setting(text: &mut String, path: &str, key: &str, value: &Value, default: &Value, loaded: &Loaded) {
    text.push('\n');
    write_about(text, path);
    let shown = if SECRETS.contains(&path) { Value::String(String::new()) } else { value.clone() };
    let line = match loaded.sources.get(path) {
        None => format!("# {key} = {shown}"),
        Some(from) if SECRETS.contains(&path) => format!("# {key} is set and not shown; from {from}"),
        Some(from) => format!("{key} = {shown} # from {from}; default {default}"),
    };
    writeln!(text, "{line}").expect("a String takes all text");
}

fn write_about(text: &mut String, path: &str) {
    for line in explained(path).unwrap_or_default() {
        writeln!(text, "#{line}").expect("a String takes all text");
    }
}
