use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::Told;
use super::duckdb::{Column, Duckdb, back, identifier, table_name, text};
use super::server::Migration;
use super::source::{Place, Source};

/// The table in DuckDB that says which files it has.
pub(super) const LEDGER: &str = "tidegate_mirror";

/// What `tidegate migrate apply` is told.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The dataset
    dataset: String,
    /// The table of the dataset, where several are moved
    #[arg(long)]
    table_name: Option<String>,
    /// The DuckDB file [default: the one that the rows came from]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Its table [default: the one that the rows came from]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
}

/// A file of the mirror.
struct Outgoing {
    folder: PathBuf,
    first: u64,
    last: u64,
    rows: u64,
}

/// Loads every file that DuckDB does not have, in order, each in a transaction with its line in the ledger.
pub(super) async fn run(told: &Told, args: &ApplyArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.dataset, args.table_name.as_deref()).await?;
    let mirror = migration.mirror.clone().context("nothing is mirrored\n  begin with `tidegate migrate mirror`")?;
    let source: Source = serde_json::from_value(migration.source.clone()).context("read the migration's source")?;
    let (file, table) = target(args, &source)?;
    let columns = told.duckdb.columns(&file, &table).await?;
    let target = Target { duckdb: &told.duckdb, file: &file, table: &table, columns, source: &source };
    target.prepare().await?;
    let mut rows = 0;
    for outgoing in outgoing(Path::new(&mirror.folder), mirror.mirrored)? {
        rows += target.load(&migration, &outgoing).await?;
    }
    let asked = json!({ "row": mirror.mirrored });
    let migration = told.server.step(&migration, "applied", asked).await?;
    if told.json {
        println!("{}", json!({ "migration": migration.id, "loaded": rows, "applied": mirror.mirrored }));
    } else {
        println!("{rows} rows loaded into {table} of {}, which has all up to row {}", file.display(), mirror.mirrored);
    }
    Ok(())
}

fn target(args: &ApplyArgs, source: &Source) -> Result<(PathBuf, String)> {
    let known = match &source.place {
        Place::Duckdb { file, table, .. } => Some((file.clone(), table.clone())),
        Place::Parquet { .. } | Place::Postgres(_) => None,
    };
    let file = args.to.clone().or_else(|| known.as_ref().map(|(file, _)| file.clone()));
    let table = args.table.clone().or_else(|| known.map(|(_, table)| table));
    file.zip(table).context("name the DuckDB file with --to, and its table with --table")
}

/// Finds the files of the mirror, the oldest first.
fn outgoing(folder: &Path, mirrored: u64) -> Result<Vec<Outgoing>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // None was written yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("list the mirror's folder {}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        let manifest = folder.join("manifest.json");
        // What is still written has another name, and no place in DuckDB yet.
        if folder.extension().is_some() {
            continue;
        }
        let manifest = fs::read(&manifest).with_context(|| format!("read {}", manifest.display()))?;
        let manifest: Value = serde_json::from_slice(&manifest)?;
        let number =
            |name: &str| manifest[name].as_u64().with_context(|| format!("{} has no {name}", folder.display()));
        let (first, last, rows) = (number("first_seq")?, number("last_seq")?, number("rows")?);
        if last <= mirrored {
            found.push(Outgoing { folder, first, last, rows });
        }
    }
    found.sort_by_key(|outgoing| outgoing.first);
    Ok(found)
}

/// A table of DuckDB that gets rows.
struct Target<'a> {
    duckdb: &'a Duckdb,
    file: &'a Path,
    table: &'a str,
    columns: Vec<Column>,
    source: &'a Source,
}

impl Target<'_> {
    async fn prepare(&self) -> Result<()> {
        let ledger = identifier(LEDGER);
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {ledger} (migration VARCHAR, target VARCHAR, first_row UBIGINT, last_row UBIGINT, \
                 row_count UBIGINT, after_rowid BIGINT, last_rowid BIGINT, PRIMARY KEY (migration, first_row)); \
             SELECT migration, first_row, row_count, after_rowid FROM {ledger} WHERE last_rowid IS NULL AND target = {}",
            text(self.table),
        );
        // What a crash left: the rows are there, and where they end is not noted.
        for row in self.duckdb.write(self.file, &sql).await?.iter().flatten() {
            let number = |name: &str| row[name].as_i64().with_context(|| format!("the ledger has no {name}"));
            let place = (row["migration"].as_str().unwrap_or_default(), number("first_row")?);
            let sql = self.ended(place, (number("after_rowid")?, number("row_count")?));
            self.duckdb.write(self.file, &sql).await?;
        }
        Ok(())
    }

    /// Notes where loaded rows ended: DuckDB numbers them when they are committed.
    fn ended(&self, (migration, first): (&str, i64), (after, rows): (i64, i64)) -> String {
        let (ledger, table) = (identifier(LEDGER), table_name(self.table));
        format!(
            "UPDATE {ledger} SET last_rowid = (SELECT max(r) FROM (SELECT rowid AS r FROM {table} \
                 WHERE rowid > {after} ORDER BY rowid LIMIT {rows})) \
             WHERE migration = {} AND first_row = {first}",
            text(migration),
        )
    }

    /// Loads a file, unless the ledger has it; returns the rows that came.
    async fn load(&self, migration: &Migration, outgoing: &Outgoing) -> Result<u64> {
        let (ledger, table) = (identifier(LEDGER), table_name(self.table));
        let known = format!(
            "SELECT count(*) AS n FROM {ledger} WHERE migration = {} AND first_row = {}",
            text(&migration.id),
            outgoing.first
        );
        let answers = self.duckdb.read(self.file, &known).await?;
        if answers.iter().flatten().find_map(|row| row["n"].as_u64()) != Some(0) {
            return Ok(0);
        }
        let rows = outgoing.folder.join("rows.parquet").display().to_string();
        let described = format!("DESCRIBE SELECT * FROM read_parquet({})", text(&rows));
        let there = self.duckdb.run(None, &described).await?;
        let there: Vec<&str> = there.iter().flatten().filter_map(|row| row["column_name"].as_str()).collect();
        let (mut own, mut given) = (Vec::new(), Vec::new());
        for column in &self.columns {
            let Some(name) = self.source.name_of(&column.name).filter(|name| there.contains(name)) else { continue };
            own.push(identifier(&column.name));
            given.push(back(column, &identifier(name)));
        }
        let after = format!("SELECT coalesce(max(rowid), -1) AS n FROM {table}");
        let answers = self.duckdb.read(self.file, &after).await?;
        let after =
            answers.iter().flatten().find_map(|row| row["n"].as_i64()).context("DuckDB does not tell its rows")?;
        let sql = format!(
            "BEGIN; INSERT INTO {table} ({}) SELECT {} FROM read_parquet({}) ORDER BY _seq; \
             INSERT INTO {ledger} VALUES ({}, {}, {}, {}, {}, {after}, NULL); COMMIT; {}",
            own.join(", "),
            given.join(", "),
            text(&rows),
            text(&migration.id),
            text(self.table),
            outgoing.first,
            outgoing.last,
            outgoing.rows,
            self.ended((&migration.id, i64::try_from(outgoing.first)?), (after, i64::try_from(outgoing.rows)?)),
        );
        self.duckdb.write(self.file, &sql).await.with_context(|| format!("load {rows}"))?;
        Ok(outgoing.rows)
    }
}

/// Says whether a file of DuckDB ever got rows from us.
pub(super) async fn is_ledger_there(duckdb: &Duckdb, file: &Path) -> Result<bool> {
    let sql = format!("SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = {}", text(LEDGER));
    let answers = duckdb.read(file, &sql).await?;
    match answers.iter().flatten().find_map(|row| row["n"].as_u64()) {
        Some(tables) => Ok(tables > 0),
        None => bail!("DuckDB does not list its tables"),
    }
}
