use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// The user's DuckDB program. A file is read by the version that wrote it, and nothing of DuckDB is built in here.
#[derive(Debug, Clone)]
pub(super) struct Duckdb {
    program: PathBuf,
}

/// A column of a table of DuckDB.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
}

impl Duckdb {
    pub(super) const fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Returns the program's version.
    pub(super) async fn version(&self) -> Result<String> {
        let answers = self.run(None, "SELECT version() AS version").await?;
        let version = answers.first().and_then(|rows| rows.first()?["version"].as_str());
        version.map(str::to_owned).context("DuckDB does not tell its version")
    }

    /// Runs statements on a file that is only read, or on none; returns the rows of each that has some.
    pub(super) async fn read(&self, file: &Path, sql: &str) -> Result<Vec<Vec<Value>>> {
        self.run(Some((file, true)), sql).await
    }

    /// Runs statements on a file.
    pub(super) async fn write(&self, file: &Path, sql: &str) -> Result<Vec<Vec<Value>>> {
        self.run(Some((file, false)), sql).await
    }

    /// Runs statements on a file, or on none; the first that fails ends all.
    pub(super) async fn run(&self, file: Option<(&Path, bool)>, sql: &str) -> Result<Vec<Vec<Value>>> {
        let mut command = Command::new(&self.program);
        command.args(["-init", "/dev/null", "-batch", "-bail", "-json"]);
        if matches!(file, Some((_, true))) {
            command.arg("-readonly");
        }
        command.arg(file.map_or_else(|| Path::new(":memory:"), |(file, _)| file));
        command.args(["-c", sql]).stdin(Stdio::null());
        let program = self.program.display().to_string();
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        let output = output.map_err(|error| {
            anyhow!("the DuckDB program `{program}` cannot be started: {error}\n  install it (`pip install duckdb-cli`), or name it with --duckdb")
        })?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || said.contains("Error:") {
            let hint = if said.contains("lock") {
                "\n  stop the program that has the file open for writing, or move a copy of it"
            } else {
                ""
            };
            bail!("DuckDB refuses: {}{hint}", said.trim());
        }
        let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Vec<Value>>();
        answers.collect::<Result<_, _>>().context("read DuckDB's answer")
    }

    /// Lists the columns of a table; a view has no rows of its own, and is none.
    pub(super) async fn columns(&self, file: &Path, table: &str) -> Result<Vec<Column>> {
        let (schema, name) = table.split_once('.').unwrap_or(("main", table));
        let sql = format!(
            "SELECT column_name AS name, data_type AS kind FROM duckdb_columns() \
             WHERE table_name = {} AND schema_name = {} AND database_name = current_database() \
                 AND table_oid IN (SELECT table_oid FROM duckdb_tables()) ORDER BY column_index",
            text(name),
            text(schema),
        );
        let answers = self.read(file, &sql).await?;
        let column = |row: &Value| {
            Some(Column { name: row["name"].as_str()?.to_owned(), kind: row["kind"].as_str()?.to_owned() })
        };
        let columns: Vec<_> = answers.iter().flatten().filter_map(column).collect();
        if columns.is_empty() {
            let known = self.read(file, "SELECT schema_name || '.' || table_name AS name FROM duckdb_tables()").await?;
            let known: Vec<_> = known.iter().flatten().filter_map(|row| row["name"].as_str()).collect();
            bail!("{} has no table `{table}`\n  name one with --table: there are {}", file.display(), known.join(", "));
        }
        Ok(columns)
    }
}

/// A type that a dataset's column has an equal of, and Parquet too.
fn is_plain(kind: &str) -> bool {
    const PLAIN: [&str; 15] = [
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "FLOAT",
        "DOUBLE",
        "VARCHAR",
        "DATE",
        "UUID",
        "JSON",
    ];
    PLAIN.contains(&kind) || kind.starts_with("DECIMAL(") || kind.starts_with("TIMESTAMP")
}

/// What is written to Parquet of a column, with a word about it where that is another type.
pub(super) fn forth(column: &Column) -> (String, Option<&'static str>) {
    let (name, kind) = (identifier(&column.name), column.kind.as_str());
    let is_list = kind.strip_suffix("[]").is_some_and(is_plain);
    let is_map = kind.strip_prefix("MAP(VARCHAR, ").and_then(|rest| rest.strip_suffix(')')).is_some_and(is_plain);
    if is_plain(kind) || is_list || is_map {
        return (name, None);
    }
    match kind {
        "HUGEINT" | "UHUGEINT" => (format!("CAST({name} AS DECIMAL(38, 0))"), Some("as decimal of 38 digits")),
        "BLOB" => (format!("hex({name})"), Some("as hexadecimal text")),
        kind if is_nested(kind) => (format!("CAST(to_json({name}) AS VARCHAR)"), Some("as JSON")),
        _ => (format!("CAST({name} AS VARCHAR)"), Some("as text")),
    }
}

/// What is written back to such a column.
pub(super) fn back(column: &Column, given: &str) -> String {
    match column.kind.as_str() {
        "BLOB" => format!("unhex({given})"),
        kind if is_nested(kind) && forth(column).1.is_some() => format!("CAST(CAST({given} AS JSON) AS {kind})"),
        kind => format!("CAST({given} AS {kind})"),
    }
}

fn is_nested(kind: &str) -> bool {
    ["STRUCT(", "MAP("].iter().any(|word| kind.starts_with(word)) || kind.ends_with(']')
}

/// Quotes a name.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes the name of a table, with its schema where it has one.
pub(super) fn table_name(table: &str) -> String {
    table.split('.').map(identifier).collect::<Vec<_>>().join(".")
}

/// Quotes a text.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_parquet_or_a_dataset_lacks_are_written_as_others() {
        let column = |kind: &str| Column { name: "a\"b".into(), kind: kind.into() };
        for kind in ["INTEGER", "DECIMAL(18,4)", "TIMESTAMP WITH TIME ZONE", "INTEGER[]", "MAP(VARCHAR, DOUBLE)"] {
            assert_eq!(forth(&column(kind)), ("\"a\"\"b\"".to_owned(), None), "{kind}");
        }
        for kind in ["STRUCT(a INTEGER)", "INTEGER[][]", "INTEGER[3]", "MAP(INTEGER, DOUBLE)", "STRUCT(x DATE)[]"] {
            assert_eq!(forth(&column(kind)).1, Some("as JSON"), "{kind}");
            assert!(back(&column(kind), "x").contains("AS JSON) AS "), "{kind}");
        }
        for kind in ["ENUM('a', 'b')", "INTERVAL", "TIME", "BIT"] {
            assert_eq!(forth(&column(kind)).1, Some("as text"), "{kind}");
        }
        assert_eq!(back(&column("BLOB"), "x"), "unhex(x)");
    }
}
