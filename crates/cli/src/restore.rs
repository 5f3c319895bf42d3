//! `tidegate restore`: a backup becomes a data folder that `tidegate serve` starts on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use tidegate_core::backup::{self, BackupManifest, clickhouse_place};
use tidegate_core::catalog::Catalog;
use tidegate_core::store::{Engine, EngineData, Store};
use tidegate_core::verify::{self, TableReport};
use tidegate_core::world::SystemClock;
use tidegate_model::limits::ENGINE_READY_MS;

use crate::serve::{self, DataFolder, open_buffer, start_engine};
use crate::settings::{self, Backend, Flags, S3, Settings};

/// What `tidegate restore` takes.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup's folder, or s3://BUCKET/PATH with the server and the key of `[s3]`; those that it refers to must lie
    /// beside it
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The data folder that it becomes: empty, or made
    #[arg(long, value_name = "DIR")]
    data: String,
    /// Recount every batch in ClickHouse and hash its rows again
    #[arg(long)]
    verify: bool,
    /// The settings file [default: ./tidegate.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Restores a backup; a folder in which that failed is not served.
pub(crate) async fn run(args: RestoreArgs, environment: &BTreeMap<String, String>) -> Result<()> {
    let values = vec![("--data", "data", args.data)];
    let mut settings = settings::load(&Flags { file: args.config, values }, environment)?.settings;
    if settings.storage.backend != Backend::Embedded {
        bail!("only the embedded ClickHouse can be restored into; leave `storage.backend` at \"embedded\"");
    }
    // The engine is for this process alone.
    settings.listen.clickhouse_http.clear();
    let staged = Staged::beside(&settings.data);
    let from = match args.from.strip_prefix("s3://") {
        Some(path) => fetch(&settings, path, &staged).await?,
        None => Path::new(&args.from).canonicalize().with_context(|| format!("find the backup {}", args.from))?,
    };
    rebuild(&settings, &from, args.verify, &|line| println!("{line}")).await?;
    println!("start it: tidegate serve --data {}", settings.data.display());
    Ok(())
}

/// What was made of a backup.
pub(crate) struct Rebuilt {
    /// How long the tables took to be there again.
    pub(crate) took: Duration,
    pub(crate) proved: Option<Proved>,
}

/// What was proved of it.
pub(crate) struct Proved {
    pub(crate) took: Duration,
    /// Stored rows that were recounted.
    pub(crate) rows: u64,
}

/// Makes the data folder of the settings of a backup that lies in a folder, each of its files checked before.
pub(crate) async fn rebuild(
    settings: &Settings,
    from: &Path,
    is_proved: bool,
    say: &(dyn Fn(String) + Sync),
) -> Result<Rebuilt> {
    let began = Instant::now();
    let checked = from.to_owned();
    let chain = tokio::task::spawn_blocking(move || backup::check_chain(&checked)).await??;
    let manifest = chain.first().context("a chain has its newest")?;
    ensure!(
        manifest.database == settings.clickhouse.database,
        "the backup is of the database `{}`, the settings name `{}`; set `clickhouse.database` to the former",
        manifest.database,
        settings.clickhouse.database
    );
    say(format!("{}: every file is what was written, {:.1} s", manifest.name, began.elapsed().as_secs_f64()));

    let folder = DataFolder::restoring(&settings.data)?;
    let began = Instant::now();
    backup::copy_states(from, folder.path())?;
    let place = from.parent().context("a backup lies in a folder of backups")?;
    let (engine, store) = start_engine(settings, EngineData::Folder(folder.engine()), Some(place))?;
    let rebuilt = async {
        fill(&engine, &store, manifest).await?;
        let took = began.elapsed();
        say(format!("restored, {:.1} s", took.as_secs_f64()));
        let proved = if is_proved { Some(prove(settings, &folder, &store, manifest, say).await?) } else { None };
        anyhow::Ok(Rebuilt { took, proved })
    };
    let rebuilt = rebuilt.await;
    engine.stop().await;
    let rebuilt = rebuilt.with_context(|| {
        let data = settings.data.display();
        format!("{data} is not restored, and is not served; remove it before the next try")
    })?;
    folder.restored()?;
    Ok(rebuilt)
}

/// What was read from an S3 server; it goes in any case.
struct Staged(PathBuf);

impl Staged {
    fn beside(data: &Path) -> Self {
        let mut name = data.as_os_str().to_owned();
        name.push(".staged");
        Self(name.into())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.0.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.0)
        {
            eprintln!("{} could not be removed, it is needed no more: {error}", self.0.display());
        }
    }
}

/// Reads a backup, and those that it refers to, from a bucket; returns the folder that it is in.
async fn fetch(settings: &Settings, path: &str, staged: &Staged) -> Result<PathBuf> {
    let (bucket, key) = path.trim_end_matches('/').split_once('/').context("name a backup as s3://BUCKET/PATH/NAME")?;
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    let s3 = S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned(), ..settings.s3.clone() };
    settings::check_s3(&s3)?;
    let bucket = serve::bucket(&s3)?.context("name a bucket")?;
    let began = Instant::now();
    backup::fetch_chain(&bucket, name, &staged.0).await?;
    println!("{}: every object is what was written, {:.1} s", bucket.url(name), began.elapsed().as_secs_f64());
    staged.0.join(name).canonicalize().context("find what was read")
}

/// Lets a new engine read the tables.
async fn fill(engine: &Engine, store: &Store, manifest: &BackupManifest) -> Result<()> {
    let ready = engine.ready(Duration::from_millis(ENGINE_READY_MS)).await;
    ready.map_err(|status| anyhow!("the engine does not start: {:?}", status.state))?;
    store.read_backup(&clickhouse_place(&manifest.name)).await.context("read the tables back")
}

/// Proves that rows are as many and have the values that they had, and that the log goes as far as it went.
async fn prove(
    settings: &Settings,
    folder: &DataFolder,
    store: &Store,
    manifest: &BackupManifest,
    say: &(dyn Fn(String) + Sync),
) -> Result<Proved> {
    let began = Instant::now();
    let catalog = Catalog::open(&folder.catalog()).await.context("open the restored catalog")?;
    let clock = Arc::new(SystemClock::start());
    let (buffer, recovery) = open_buffer(settings, folder, &catalog, clock).await?;
    let reports = verify::verify(&buffer, &catalog, store).await;
    let tails = buffer.status();
    buffer.close().await?;
    drop(buffer);
    catalog.close().await;
    let reports = reports?;
    for told in &manifest.tables {
        let tail = tails.iter().find(|tail| tail.table == told.table);
        let (stored, head) = tail.map_or((0, 0), |tail| (tail.stored.0, tail.head.0));
        ensure!(
            stored == told.stored.0 && head >= told.head.0,
            "{} has {stored} stored rows and {head} in all, the backup had {} and {}",
            told.table,
            told.stored.0,
            told.head.0
        );
    }
    tell_differences(&reports, say)?;
    let sum = |count: fn(&TableReport) -> u64| reports.iter().map(count).sum::<u64>();
    say(format!(
        "verified, {:.1} s: {} rows of {} batches recounted, {} manifests hashed, {} rows in the log",
        began.elapsed().as_secs_f64(),
        sum(|report| report.rows),
        sum(|report| report.batches),
        sum(|report| report.manifests),
        recovery.rows
    ));
    Ok(Proved { took: began.elapsed(), rows: sum(|report| report.rows) })
}

fn tell_differences(reports: &[TableReport], say: &(dyn Fn(String) + Sync)) -> Result<()> {
    let wrong: Vec<_> = reports.iter().filter(|report| !report.is_exact()).collect();
    for report in &wrong {
        say(serde_json::to_string(report)?);
    }
    ensure!(wrong.is_empty(), "{} tables are not what the catalog says", wrong.len());
    Ok(())
}
