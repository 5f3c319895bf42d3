use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Caller, of_dataset, shown};

/// What `tidegate datasets retention` is told.
#[derive(Debug, Args)]
pub(super) struct RetentionArgs {
    /// The dataset, or a built-in table
    slug: String,
    /// Rows go when they are so old
    #[arg(long, value_name = "HOURS")]
    max_age_hours: Option<u64>,
    /// The oldest partitions go while a table takes more bytes than this
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// How much longer a row may stay until its whole partition goes [default: 1440]
    #[arg(long, value_name = "MINUTES")]
    grace_minutes: Option<u64>,
    /// Partitions go to the cold volume when they are so old
    #[arg(long, value_name = "HOURS")]
    cold_after_hours: Option<u64>,
    /// Keep everything, whatever the settings say
    #[arg(long, conflicts_with_all = ["max_age_hours", "max_bytes"])]
    keep_all: bool,
    /// Forget what was decided: the settings hold again
    #[arg(long, conflicts_with_all = ["max_age_hours", "max_bytes", "grace_minutes", "cold_after_hours", "keep_all"])]
    forget: bool,
    /// Tell what would go: by these rules, or without any by those that hold or will hold; decides nothing
    #[arg(long, conflicts_with = "forget")]
    preview: bool,
    /// Only this table of the dataset
    #[arg(long)]
    table: Option<String>,
}

/// What `tidegate datasets quota` is told.
#[derive(Debug, Args)]
pub(super) struct QuotaArgs {
    /// The dataset, or logs, spans, metrics; with --tenant a tenant
    slug: String,
    /// The name is a tenant's: the limits are those of all its datasets together
    #[arg(long)]
    tenant: bool,
    /// Rows a second
    #[arg(long, value_name = "ROWS")]
    rows_per_second: Option<u64>,
    /// Bytes of request bodies a second
    #[arg(long, value_name = "BYTES")]
    bytes_per_second: Option<u64>,
    /// Bytes that its tables take in ClickHouse
    #[arg(long, value_name = "BYTES")]
    stored_bytes: Option<u64>,
    /// Forget what was decided: the settings hold again
    #[arg(long, conflicts_with_all = ["rows_per_second", "bytes_per_second", "stored_bytes"])]
    forget: bool,
}

/// What `tidegate datasets lifecycle` is told.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Remove what is past its retention and move what is old, now
    Run {
        /// Only of this dataset or built-in table
        slug: Option<String>,
        /// Tell what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List runs with what each did, the newest first
    Runs {
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
    },
    /// Tell when a run was last, and whether a row is past its retention
    Status,
    /// Read partitions of a table, so that the cache of the cold volume has them
    Prewarm {
        /// The dataset, or a built-in table
        slug: String,
        /// The first UTC day, as 2026-01-31
        from: String,
        /// The last one [default: the first]
        to: Option<String>,
        /// The table of the dataset [default: records]
        #[arg(long)]
        table: Option<String>,
    },
}

pub(super) async fn retention(caller: &Caller, args: &RetentionArgs) -> Result<()> {
    let path = of_dataset("/admin/datasets", &args.slug, "/retention");
    let parameters: Vec<_> = args.table.iter().map(|table| ("tableName", table.clone())).collect();
    if args.forget {
        caller.ask(Method::DELETE, &path, &parameters, None).await?;
    }
    let rules = numbers([("maxAgeHours", args.max_age_hours), ("maxTotalBytes", args.max_bytes)]);
    let mut body =
        numbers([("deleteGraceMinutes", args.grace_minutes), ("coldStorageAfterHours", args.cold_after_hours)]);
    let decides = args.keep_all || !rules.is_empty() || !body.is_empty();
    body.insert("rules".to_owned(), Value::Object(rules));
    if args.preview {
        let body = decides.then_some(Value::Object(body));
        let answer = caller.ask(Method::POST, &format!("{path}/preview"), &parameters, body.as_ref()).await?;
        caller.print(&answer, "tables", &["table", "rows", "bytes", "partitions", "oldest", "before"]);
        return Ok(());
    }
    let answer = if decides {
        caller.ask(Method::PUT, &path, &parameters, Some(&Value::Object(body))).await?
    } else {
        caller.ask(Method::GET, &path, &parameters, None).await?
    };
    print_retention(caller, answer);
    Ok(())
}

fn print_retention(caller: &Caller, mut answer: Value) {
    if !caller.json {
        for table in answer["tables"].as_array_mut().into_iter().flatten() {
            let policy = table["policy"].clone();
            table["maxAgeHours"] = policy["rules"]["maxAgeHours"].clone();
            table["maxTotalBytes"] = policy["rules"]["maxTotalBytes"].clone();
            table["deleteGraceMinutes"] = policy["deleteGraceMinutes"].clone();
            table["coldStorageAfterHours"] = policy["coldStorageAfterHours"].clone();
            let partitions = table["partitions"].as_array().cloned().unwrap_or_default();
            let sum = |name: &str| partitions.iter().filter_map(|one| one[name].as_u64()).sum::<u64>();
            (table["rows"], table["bytes"]) = (json!(sum("rows")), json!(sum("bytes")));
            table["holdsFrom"] = table["pending"]["from"].clone();
            if table["pending"].is_object() {
                table["maxAgeHours"] = table["pending"]["policy"]["rules"]["maxAgeHours"].clone();
            }
            table["oldest"] = partitions.iter().filter_map(|one| one["first_time"].as_str()).min().into();
        }
    }
    let columns = [
        "table",
        "source",
        "maxAgeHours",
        "maxTotalBytes",
        "deleteGraceMinutes",
        "coldStorageAfterHours",
        "holdsFrom",
        "rows",
        "bytes",
        "oldest",
    ];
    caller.print(&answer, "tables", &columns);
}

pub(super) async fn quota(caller: &Caller, args: &QuotaArgs) -> Result<()> {
    let of = if args.tenant { "/admin/tenants" } else { "/admin/datasets" };
    let path = of_dataset(of, &args.slug, "/quota");
    if args.forget {
        caller.ask(Method::DELETE, &path, &[], None).await?;
    }
    let body = numbers([
        ("rowsPerSecond", args.rows_per_second),
        ("bytesPerSecond", args.bytes_per_second),
        ("storedBytes", args.stored_bytes),
    ]);
    let answer = if body.is_empty() {
        caller.ask(Method::GET, &path, &[], None).await?
    } else {
        caller.ask(Method::PUT, &path, &[], Some(&Value::Object(body))).await?
    };
    print_pairs(caller, &answer);
    Ok(())
}

pub(super) async fn run(caller: &Caller, command: Command) -> Result<()> {
    match command {
        Command::Run { slug, dry_run } => run_now(caller, slug, dry_run).await,
        Command::Runs { limit } => runs(caller, limit).await,
        Command::Status => {
            let status = caller.ask(Method::GET, "/admin/lifecycle/status", &[], None).await?;
            print_pairs(caller, &status);
            Ok(())
        }
        Command::Prewarm { slug, from, to, table } => {
            let mut body = json!({ "datasetSlug": slug, "fromShard": from });
            let given = [("toShard", to), ("tableName", table)];
            given.into_iter().filter_map(|(name, value)| Some((name, value?))).for_each(|(name, value)| {
                body[name] = json!(value);
            });
            let answer = caller.ask(Method::POST, "/admin/lifecycle/prewarm", &[], Some(&body)).await?;
            print_pairs(caller, &answer);
            Ok(())
        }
    }
}

async fn run_now(caller: &Caller, slug: Option<String>, dry_run: bool) -> Result<()> {
    let mut body = json!({ "dryRun": dry_run });
    if let Some(slug) = slug {
        body["datasetSlug"] = json!(slug);
    }
    let answer = caller.ask(Method::POST, "/admin/lifecycle/run", &[], Some(&body)).await?;
    let report = &answer["report"];
    let columns = ["table", "partition", "action", "reason", "rows", "bytes", "outcome", "note"];
    caller.print(if caller.json { &answer } else { report }, "steps", &columns);
    let failed = report["steps"].as_array().into_iter().flatten().filter(|step| step["outcome"] == "failed").count();
    if failed > 0 {
        bail!("{failed} steps failed; the next run tries them again");
    }
    Ok(())
}

async fn runs(caller: &Caller, limit: u32) -> Result<()> {
    let mut answer = caller.ask(Method::GET, "/admin/lifecycle/runs", &[("limit", limit.to_string())], None).await?;
    if !caller.json {
        for run in answer["runs"].as_array_mut().into_iter().flatten() {
            for name in ["rows_removed", "bytes_removed", "bytes_moved", "left"] {
                run[name] = run["report"][name].clone();
            }
        }
    }
    let columns =
        ["run", "began_at", "cause", "actor", "state", "rows_removed", "bytes_removed", "bytes_moved", "left", "error"];
    caller.print(&answer, "runs", &columns);
    Ok(())
}

fn print_pairs(caller: &Caller, answer: &Value) {
    if caller.json {
        println!("{answer:#}");
        return;
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        println!("{name:<18} {}", shown(value));
    }
}

fn numbers<const N: usize>(given: [(&str, Option<u64>); N]) -> Map<String, Value> {
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
}
