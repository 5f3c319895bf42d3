//! `tidegate backup`: a running server copies its log, catalog and tables as of one moment.

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::Table;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Client, encoded};

/// What `tidegate backup` takes.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The backup's name: a folder of that name in the server's `backup.folder` [default: the time]
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// An earlier backup there: what it has of ClickHouse is referred to, not written again
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// List the backups that there are
    #[arg(long, conflicts_with_all = ["to", "base"])]
    list: bool,
    /// Restore a backup on trial, beside the server, and verify it [default: the newest]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["to", "base", "list"])]
    drill: Option<String>,
    /// The server's address
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

#[derive(Deserialize)]
struct Backups {
    backups: Vec<Backup>,
}

#[derive(Deserialize)]
struct Backup {
    name: String,
    base: Option<String>,
    began_at: String,
    held_ms: u64,
    files: u64,
    bytes: u64,
    tables: Vec<BackupTable>,
}

#[derive(Deserialize)]
struct BackupTable {
    head: u64,
}

/// Takes a backup, or lists those that there are.
pub(crate) async fn run(args: BackupArgs) -> Result<()> {
    let client = Client::new(&args.url)?;
    if args.list {
        let Backups { backups } = client.get("/admin/backups", &[]).await?;
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
        table.set_header(["name", "base", "begun", "rows", "files", "bytes"]);
        for it in &backups {
            let counts = [it.rows(), it.files, it.bytes].map(|count| count.to_string());
            let words = [it.name.clone(), it.base.clone().unwrap_or_default(), it.began_at.clone()];
            table.add_row(words.into_iter().chain(counts));
        }
        println!("{table}");
        return Ok(());
    }
    if let Some(name) = args.drill {
        return drill(&client, name).await;
    }
    let taken: Backup = client.post("/admin/backups", &json!({ "name": args.to, "base": args.base })).await?;
    let (rows, Backup { name, files, bytes, held_ms, .. }) = (taken.rows(), &taken);
    println!("{name}: {rows} rows in {files} files of {bytes} bytes; batches waited for {held_ms} ms");
    Ok(())
}

#[derive(Deserialize)]
struct Drill {
    good: bool,
    rows: u64,
    restore_ms: u64,
    verify_ms: u64,
    error: Option<String>,
}

async fn drill(client: &Client, name: String) -> Result<()> {
    let name = if name.is_empty() {
        let Backups { backups } = client.get("/admin/backups", &[]).await?;
        backups
            .last()
            .map(|newest| newest.name.clone())
            .context("there is no backup; take one with `tidegate backup`")?
    } else {
        name
    };
    let path = format!("/admin/backups/{}/drill", encoded(&name));
    let Drill { good, rows, restore_ms, verify_ms, error } = client.post(&path, &json!({})).await?;
    ensure!(good, "the backup {name} cannot be restored: {}", error.unwrap_or_default());
    println!("{name} is good: {rows} rows restored in {restore_ms} ms and verified in {verify_ms} ms");
    Ok(())
}

impl Backup {
    fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.head).sum()
    }
}
