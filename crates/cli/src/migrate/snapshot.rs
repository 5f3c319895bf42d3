use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Told;
use super::apply::{LEDGER, is_ledger_there};
use super::duckdb::{Column, Duckdb, forth, identifier, table_name, text};
use super::files::Files;
use super::source::{Place, Source};

/// What was written of a table of DuckDB, beside the files.
const RECORD: &str = "snapshot.json";

/// Every file of it fits this.
const PATTERN: &str = "*.parquet";

/// Which rows of a table are in which file. A row is in one of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    file: PathBuf,
    table: String,
    /// The version that computed the hashes.
    duckdb: String,
    parts: Vec<Part>,
}

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    name: String,
    /// Rows with greater numbers of DuckDB's, up to the last.
    after: i64,
    last: i64,
    rows: u64,
    /// Of the values that are in the file.
    hash: String,
}

/// One table of one file.
struct Table<'a> {
    duckdb: &'a Duckdb,
    file: &'a Path,
    table: &'a str,
    columns: Vec<Column>,
    /// Rows that we brought ourselves are no rows of the source.
    has_ledger: bool,
}

/// Finds the files of a source; of a table of DuckDB, only what they would look like.
pub(super) async fn planned(told: &Told, source: &Source) -> Result<Files> {
    let Place::Duckdb { file, table, .. } = &source.place else { return taken(told, source).await };
    let own = Table::open(&told.duckdb, file, table).await?;
    let folder = std::env::temp_dir().join(format!("tidegate-plan-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let path = folder.join("plan.parquet");
    let sql =
        format!("COPY (SELECT {} FROM {} LIMIT 0) TO {} (FORMAT parquet)", own.list(), table_name(table), shown(&path));
    let outcome = async {
        told.duckdb.read(file, &sql).await?;
        let rows =
            own.number(&format!("SELECT count(*) AS n FROM {} WHERE {}", table_name(table), own.is_own())).await?;
        let files = Files::find(&folder, PATTERN, source)?;
        Ok(own.noted(files).with_unwritten(rows))
    };
    let outcome = outcome.await;
    // What is left of it is empty.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

/// Finds the files of a source; of a table of DuckDB, rows that are in none yet are written to one.
pub(super) async fn taken(told: &Told, source: &Source) -> Result<Files> {
    match &source.place {
        Place::Parquet { root, pattern } => {
            let (root, pattern, source) = (root.clone(), pattern.clone(), source.clone());
            let files = tokio::task::spawn_blocking(move || Files::find(&root, &pattern, &source)).await??;
            if files.files.is_empty() {
                bail!("there is no Parquet file at {}", source_shown(&files));
            }
            Ok(files)
        }
        Place::Postgres(origin) => bail!("{} of PostgreSQL is no folder of files", origin.table),
        Place::Duckdb { file, table, work } => {
            let own = Table::open(&told.duckdb, file, table).await?;
            fs::create_dir_all(work).with_context(|| format!("make the folder {}", work.display()))?;
            own.level(work).await?;
            Ok(own.noted(Files::find(work, PATTERN, source)?))
        }
    }
}

fn source_shown(files: &Files) -> String {
    files.source().shown()
}

impl<'a> Table<'a> {
    async fn open(duckdb: &'a Duckdb, file: &'a Path, table: &'a str) -> Result<Self> {
        let columns = duckdb.columns(file, table).await?;
        let has_ledger = is_ledger_there(duckdb, file).await?;
        Ok(Self { duckdb, file, table, columns, has_ledger })
    }

    /// Writes rows that are in no file yet into one more.
    async fn level(&self, work: &Path) -> Result<()> {
        let mut record = self.record(work).await?;
        let after = record.parts.last().map_or(-1, |part| part.last);
        self.check(&record).await?;
        let sql = format!("SELECT coalesce(max(rowid), -1) AS n FROM {}", table_name(self.table));
        let last = self.number_signed(&sql).await?;
        let among = self.among(after, last);
        let rows = self.number(&format!("SELECT count(*) AS n FROM {} WHERE {among}", table_name(self.table))).await?;
        if rows == 0 {
            return Ok(());
        }
        let name = format!("{:06}.parquet", record.parts.len() + 1);
        let (path, part) = (work.join(&name), work.join(format!("{name}.part")));
        let copy = format!(
            "COPY (SELECT {} FROM {} WHERE {among} ORDER BY rowid) TO {} (FORMAT parquet, COMPRESSION zstd)",
            self.list(),
            table_name(self.table),
            shown(&part),
        );
        // One process, so one state of the table: what was written is read back and compared.
        let sql = format!(
            "{copy}; {}; {}",
            self.summed(&among),
            summed(&format!("SELECT * FROM read_parquet({})", shown(&part)))
        );
        let answers = self.duckdb.read(self.file, &sql).await?;
        let sums: Vec<_> = answers.iter().flatten().filter_map(sum).collect();
        let [.., (own_rows, own), (written_rows, written)] = &sums[..] else {
            bail!("DuckDB does not tell what it wrote")
        };
        if (own_rows, own) != (written_rows, written) || *own_rows != rows {
            bail!(
                "what DuckDB wrote of `{}` is not what it has: {own_rows} rows and {written_rows}; nothing was sent",
                self.table
            );
        }
        File::open(&part)?.sync_all()?;
        fs::rename(&part, &path).with_context(|| format!("name {}", path.display()))?;
        record.parts.push(Part { name, after, last, rows, hash: own.clone() });
        self.write(work, &record)
    }

    /// Reads what was written before, and removes what a crash left.
    async fn record(&self, work: &Path) -> Result<Record> {
        let path = work.join(RECORD);
        let version = self.duckdb.version().await?;
        let fresh =
            Record { file: self.file.to_owned(), table: self.table.to_owned(), duckdb: version, parts: Vec::new() };
        let record = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh,
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        if (record.file.as_path(), record.table.as_str()) != (self.file, self.table) {
            bail!("{} has rows of another table; choose another folder with --work", work.display());
        }
        for entry in fs::read_dir(work)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // A file that got its name and is not in the record was not sent: it is written again.
            if name.contains(".parquet") && !record.parts.iter().any(|part| part.name == name) {
                fs::remove_file(work.join(&name)).with_context(|| format!("remove {name}"))?;
            }
        }
        Ok(record)
    }

    /// Looks whether the rows that were written are still what they were.
    async fn check(&self, record: &Record) -> Result<()> {
        let is_same_version = self.duckdb.version().await? == record.duckdb;
        for part in &record.parts {
            let answers = self.duckdb.read(self.file, &self.summed(&self.among(part.after, part.last))).await?;
            let found = answers.iter().flatten().find_map(sum).context("DuckDB does not tell what it has")?;
            if found.0 != part.rows || (is_same_version && found.1 != part.hash) {
                bail!(
                    "rows of `{}` were changed or removed since they were written to {}: {} rows then, {} now\n  \
                     abandon the migration, and begin again with another table and another --work",
                    self.table,
                    part.name,
                    part.rows,
                    found.0
                );
            }
        }
        Ok(())
    }

    fn write(&self, work: &Path, record: &Record) -> Result<()> {
        let (path, part) = (work.join(RECORD), work.join(format!("{RECORD}.part")));
        let written = || {
            let mut file = File::create(&part)?;
            file.write_all(serde_json::to_string_pretty(record)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            File::open(work)?.sync_all()
        };
        written().with_context(|| format!("write {}", path.display()))
    }

    /// The columns as they are written.
    fn list(&self) -> String {
        let own = self.columns.iter().map(|column| format!("{} AS {}", forth(column).0, identifier(&column.name)));
        own.collect::<Vec<_>>().join(", ")
    }

    fn among(&self, after: i64, last: i64) -> String {
        format!("rowid > {after} AND rowid <= {last} AND {}", self.is_own())
    }

    /// The condition of rows that did not come from us.
    fn is_own(&self) -> String {
        if !self.has_ledger {
            return "true".to_owned();
        }
        let (ledger, own, table) = (identifier(LEDGER), table_name(self.table), text(self.table));
        format!(
            "NOT EXISTS (SELECT 1 FROM {ledger} AS m WHERE m.target = {table} AND {own}.rowid > m.after_rowid AND {own}.rowid <= m.last_rowid)"
        )
    }

    fn summed(&self, among: &str) -> String {
        summed(&format!("SELECT {} FROM {} WHERE {among}", self.list(), table_name(self.table)))
    }

    async fn number(&self, sql: &str) -> Result<u64> {
        Ok(u64::try_from(self.number_signed(sql).await?)?)
    }

    async fn number_signed(&self, sql: &str) -> Result<i64> {
        let answers = self.duckdb.read(self.file, sql).await?;
        answers.iter().flatten().find_map(|row| row["n"].as_i64()).context("DuckDB does not answer with a number")
    }

    fn noted(&self, files: Files) -> Files {
        let notes = self.columns.iter().filter_map(|column| {
            let note = forth(column).1?;
            Some((column.name.clone(), format!("{} in DuckDB, {note}", column.kind)))
        });
        files.with_notes(notes.collect(), self.is_own())
    }
}

/// Counts rows, and adds up hashes of what they are as text: so the type in which a value is kept does not matter.
fn summed(rows: &str) -> String {
    format!("SELECT count(*) AS n, CAST(coalesce(sum(hash(CAST(e AS VARCHAR))), 0) AS VARCHAR) AS h FROM ({rows}) AS e")
}

fn sum(row: &Value) -> Option<(u64, String)> {
    Some((row["n"].as_u64()?, row["h"].as_str()?.to_owned()))
}

fn shown(path: &Path) -> String {
    text(&path.display().to_string())
}
