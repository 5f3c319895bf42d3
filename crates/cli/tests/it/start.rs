use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal as Kill;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tidegate_load::{Stack, Wire, free_addresses};
use tidegate_model::Signal;

use crate::fleet::{Fleet, Habit};
use crate::{READY_WITHIN, account, eventually, stack, started};

const PLANS: &[(Wire, Signal, Habit)] =
    &[(Wire::Http, Signal::Logs, Habit::Key), (Wire::Grpc, Signal::Traces, Habit::Key)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_a_newer_program_is_refused_with_both_numbers() -> Result<()> {
    let (_folder, mut stack) = started(&[]).await?;
    let fleet = Fleet::start(&stack, PLANS, 3);
    eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 5)).await?;
    let sent = fleet.stop().await?;
    stack.stop()?;

    let version = stack.data().join("version");
    let ours = fs::read(&version)?;
    fs::write(&version, "77")?;
    refused(&mut stack, "its layout 77, this program knows 1").await?;
    fs::write(&version, ours)?;

    let segment = newest_segment(&stack.data().join("wal"))?;
    let ours = fs::read(&segment)?;
    let mut newer = ours.clone();
    newer[8..12].copy_from_slice(&78_u32.to_le_bytes());
    fs::write(&segment, newer)?;
    refused(&mut stack, "has version 78 of the write-ahead log's format, this program knows version 1").await?;
    fs::write(&segment, ours)?;

    run_in_catalog(stack.data(), "INSERT INTO _sqlx_migrations VALUES (79, 'later', 0, 1, x'00', 0)").await?;
    refused(&mut stack, "its migration 79, this program knows 9").await?;
    run_in_catalog(stack.data(), "DELETE FROM _sqlx_migrations WHERE version = 79").await?;

    // Refused means untouched: everything is there when the right program comes.
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    account::settle(&stack, &sent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_flush_at_once_and_costs_no_row() -> Result<()> {
    for signal in [Kill::TERM, Kill::INT] {
        let (_folder, mut stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "3600000")]).await?;
        let fleet = Fleet::start(&stack, PLANS, 4);
        eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 20)).await?;
        let sent = fleet.stop().await?;
        // An engine that answers nothing keeps the flush for its ten seconds.
        eventually("an engine to hold", async || Ok(stack.signal_engine(Kill::STOP)?)).await?;
        let engine = stack.engine_pid().context("an engine")?;
        stack.signal_serve(Kill::TERM)?;
        eventually("the stop has begun", async || Ok(stack.log_tail().contains("stopping: no request"))).await?;
        stack.signal_serve(signal)?;
        let status = stack.wait()?;
        Command::new("kill").args(["-KILL", &engine.to_string()]).status()?;
        ensure!(status.code() == Some(6), "{signal:?}: {status}\n{}", stack.log_tail());
        stack.start()?;
        stack.ready(READY_WITHIN).await?;
        account::settle(&stack, &sent).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_from_the_terminal_stops_the_server_and_not_its_engine_first() -> Result<()> {
    let (_folder, mut stack) = stack(&[("TIDEGATE_BATCH__AGE_MS", "3600000")])?;
    stack.wrap(["setsid"]);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    eventually("a query is answered", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let fleet = Fleet::start(&stack, PLANS, 8);
    eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 20)).await?;
    fleet.stop().await?;
    // As the terminal does: to the whole group, of which the server is the first.
    let group = stack.serve_pid().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    rustix::process::kill_process_group(group.context("a server")?, Kill::INT)?;
    let status = stack.wait()?;
    let log = stack.log_tail();
    ensure!(status.success() && log.contains("\"rows_in_the_log\":0"), "{status}\n{log}");
    ensure!(!log.contains("the engine is down"), "{log}");
    Ok(())
}

/// The kernel's answer where Landlock is not built in, given by a filter that the server inherits.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_landlock_the_engine_runs_and_the_log_says_so() -> Result<()> {
    let (_folder, mut stack) = stack(&[])?;
    let stack = std::thread::spawn(move || {
        deny_landlock()?;
        stack.start()?;
        Ok::<_, anyhow::Error>(stack)
    });
    let mut stack = stack.join().map_err(|_| anyhow::anyhow!("the thread that starts the server"))??;
    stack.ready(READY_WITHIN).await?;
    eventually("a query is answered", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let log = stack.log_tail();
    ensure!(log.contains("the engine is not locked to its folders") && log.contains("unavailable"), "{log}");
    Ok(())
}

/// Debian's server is of 2018; wherever none, or a current one, is installed this proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_and_rows_wait_in_the_log() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [address] = free_addresses()?;
    let Some(_old) = old_server(folder.path(), address.port())? else {
        eprintln!("NOT RUN: no clickhouse-server is installed here");
        return Ok(());
    };
    let url = format!("http://{address}");
    let version = async || reqwest::get(format!("{url}/?query=SELECT%20version()")).await?.text().await;
    eventually("the old server answers", async || Ok(version().await.is_ok())).await?;
    let version = version().await?.trim().to_owned();
    if !version.starts_with("1") && !version.starts_with("20.") {
        eprintln!("NOT RUN: the clickhouse-server installed here is {version}, which is not old");
        return Ok(());
    }
    let (_folder, mut stack) = stack(&[("STORAGE_BACKEND", "clickhouse"), ("CLICKHOUSE_URL", &url)])?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let expected = format!("ClickHouse {version} is too old, Tidegate needs 26.2 or newer");
    let told =
        async || Ok(stack.get("/ready").await?["schema"]["why"].as_str().is_some_and(|why| why.contains(&expected)));
    eventually("the reason is told", told).await?;
    let fleet = Fleet::start(&stack, PLANS, 5);
    eventually("rows are acknowledged", async || Ok(fleet.acked_requests() >= 5)).await?;
    fleet.stop().await?;
    ensure!(account::hot_rows(&stack).await? > 0, "rows went to a server that was refused");
    let answer = stack.query("SELECT count() FROM logs").await;
    ensure!(answer.as_ref().is_err_and(|error| error.to_string().contains(&expected)), "{answer:?}");
    Ok(())
}

/// Starts, and expects an end by itself that says this.
async fn refused(stack: &mut Stack, part: &str) -> Result<()> {
    stack.start()?;
    let Err(error) = stack.ready(READY_WITHIN).await else { bail!("it started in spite of: {part}") };
    let told = error.to_string();
    ensure!(told.contains("exit status: 1") && told.contains(part), "{part:?} is not told: {told}");
    Ok(())
}

fn newest_segment(wal: &Path) -> Result<std::path::PathBuf> {
    let names = fs::read_dir(wal)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_segment = |path: &&std::path::PathBuf| path.display().to_string().contains("/segment-");
    names.iter().filter(is_segment).max().cloned().context("a segment")
}

pub(crate) async fn run_in_catalog(data: &Path, sql: &'static str) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(data.join("catalog.sqlite"));
    let mut connection = options.connect().await?;
    sqlx::query(sql).execute(&mut connection).await?;
    Ok(sqlx::Connection::close(connection).await?)
}

#[cfg(target_os = "linux")]
fn deny_landlock() -> Result<()> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into_iter().collect();
    let enosys = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, enosys, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}

/// A server that ends with the test.
struct OldServer(Child);

impl Drop for OldServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn old_server(folder: &Path, port: u16) -> Result<Option<OldServer>> {
    let path = folder.display();
    let config = format!(
        "<yandex><logger><level>none</level><log>{path}/log</log><errorlog>{path}/errors</errorlog></logger>\
         <listen_host>127.0.0.1</listen_host><http_port>{port}</http_port><path>{path}/data/</path>\
         <tmp_path>{path}/tmp/</tmp_path><mark_cache_size>1000000</mark_cache_size>\
         <users_config>{path}/users.xml</users_config><default_profile>default</default_profile>\
         <default_database>default</default_database></yandex>"
    );
    let users = "<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password/>\
                 <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>\
                 </users></yandex>";
    fs::write(folder.join("config.xml"), config)?;
    fs::write(folder.join("users.xml"), users)?;
    for name in ["data", "tmp"] {
        fs::create_dir(folder.join(name))?;
    }
    let mut command = Command::new("clickhouse-server");
    command.arg(format!("--config-file={path}/config.xml")).current_dir(folder);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => Ok(Some(OldServer(child))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
