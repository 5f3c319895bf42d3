use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Caller, of_dataset, shown};
use crate::client::encoded;

/// How often it is asked whether an export is done.
const POLL: Duration = Duration::from_millis(200);

/// What `tidegate datasets export` is told.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The dataset, or a built-in table
    slug: String,
    /// Only rows from then on, as 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only rows before then
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only rows of this UTC day, as 2026-01-31
    #[arg(long, value_name = "DAY", conflicts_with_all = ["from", "to"])]
    shard: Option<String>,
    /// A folder below the server's folder of exports
    #[arg(long, value_name = "DIR")]
    folder: Option<String>,
    /// Where it goes: local, s3, or another storage target of the server [default: the dataset's]
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// The table of the dataset [default: records]
    #[arg(long)]
    table: Option<String>,
    /// Do not wait for the files
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn export(caller: &Caller, args: &ExportArgs) -> Result<()> {
    let given = [
        ("from", &args.from),
        ("to", &args.to),
        ("shard", &args.shard),
        ("folder", &args.folder),
        ("storageTargetId", &args.target),
        ("tableName", &args.table),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
    let body = Value::Object(given.collect::<Map<_, _>>());
    let path = of_dataset("/admin/datasets", &args.slug, "/exports");
    let mut export = caller.ask(Method::POST, &path, &[], Some(&body)).await?;
    let one = format!("{path}/{}", encoded(&shown(&export["id"])));
    while !args.no_wait && ["queued", "running"].iter().any(|state| export["state"] == *state) {
        tokio::time::sleep(POLL).await;
        export = caller.ask(Method::GET, &one, &[], None).await?;
    }
    if export["state"] == "failed" {
        bail!("the export {} failed: {}", shown(&export["id"]), shown(&export["error"]));
    }
    if caller.json {
        println!("{export:#}");
    } else if export["manifest"].is_null() {
        println!("export {} is {}", shown(&export["id"]), shown(&export["state"]));
    } else {
        let manifest = &export["manifest"];
        println!("{} rows, {} bytes in {}", manifest["rows"], manifest["bytes"], shown(&export["folder"]));
    }
    Ok(())
}

pub(super) async fn targets(caller: &Caller) -> Result<()> {
    let answer = caller.ask(Method::GET, "/admin/storage-targets", &[], None).await?;
    caller.print(&answer, "targets", &["id", "kind", "config", "description", "createdAt"]);
    Ok(())
}

pub(super) async fn list(caller: &Caller, slug: &str, limit: u32) -> Result<()> {
    let path = of_dataset("/admin/datasets", slug, "/exports");
    let mut answer = caller.ask(Method::GET, &path, &[("limit", limit.to_string())], None).await?;
    if !caller.json {
        for export in answer["exports"].as_array_mut().into_iter().flatten() {
            for name in ["rows", "bytes"] {
                export[name] = export["manifest"][name].clone();
            }
        }
    }
    caller.print(&answer, "exports", &["id", "table_name", "state", "rows", "bytes", "created_at", "folder", "error"]);
    Ok(())
}
