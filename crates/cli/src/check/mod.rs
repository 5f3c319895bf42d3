//! `tidegate check`: is this telemetry within its limits? For a pipeline that builds software, before it is released.
//!
//! It looks at what is sent to a temporary Tidegate, at recorded files, or at a running server, prints a report, and
//! ends with 0, 1 (a warning) or 2 (critical). A check that could not be made ends with another code (`docs/errors.md`),
//! so it is never taken for a verdict. It keeps nothing but what `--output` and `--save` name.
//!
//! | file | does |
//! |---|---|
//! | `own.rs` | the temporary server: what is sent to it, what is in files |
//! | `recorded.rs`, `signal.rs` | recorded requests: their forms, and which signal they carry |
//! | `observed.rs` | reads what the catalogue tells |
//! | `session.rs` | sessions to compare with, and to save |
//! | `thresholds.rs` | what is allowed: defaults, a file, flags |
//! | `findings.rs` | what is not, and the verdict |
//! | `report.rs` | the report, for a person and for a program |

mod findings;
mod observed;
mod own;
mod recorded;
mod report;
mod session;
mod signal;
mod thresholds;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use self::observed::{Observed, Wanted};
use self::own::{Feed, FileOutcome, OwnOptions, OwnServer};
use self::report::Report;
use self::session::Baseline;
use self::thresholds::{Given, Thresholds};
use crate::catalogue::WindowArgs;
use crate::client::Client;
use crate::span;

/// Items of each list that a person reads.
const TEXT_ITEMS: usize = 10;

/// What `tidegate check` is told.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Recorded OTLP: protobuf, JSON, one JSON request a line, the collector's file exporter; also gzip, zstd
    #[arg(conflicts_with_all = ["run_for", "idle", "server", "otlp_http", "otlp_grpc"])]
    files: Vec<PathBuf>,
    /// Listen for OTLP for so long, such as 30s; Ctrl+C ends it early
    #[arg(long = "for", value_name = "TIME", value_parser = span::parse)]
    run_for: Option<Duration>,
    /// Listen for OTLP until nothing came for so long
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    idle: Option<Duration>,
    /// Check what this running server has, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", conflicts_with_all = ["run_for", "idle"])]
    server: Option<String>,
    /// Address of OTLP/HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR", conflicts_with = "server")]
    otlp_http: Option<String>,
    /// Address of OTLP/gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR", conflicts_with = "server")]
    otlp_grpc: Option<String>,
    /// The settings file of the temporary server [default: ./tidegate.toml if it exists]
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    config: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Compare with a session: a file that `--save` wrote, or, with --server, a session's name
    #[arg(long, value_name = "SESSION", conflicts_with_all = ["last", "from", "to"])]
    compare: Option<String>,
    /// Save what was found as a session's file, such as main.json.gz
    #[arg(long, value_name = "FILE", alias = "session-export", conflicts_with_all = ["last", "from", "to"])]
    save: Option<PathBuf>,
    /// Only what this service sends
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// How the report is written
    #[arg(long, short, value_enum, default_value_t = ReportFormat::Text, alias = "report-format")]
    format: ReportFormat,
    /// Write the report to this file
    #[arg(long, short, value_name = "FILE", alias = "report-output")]
    output: Option<PathBuf>,
    /// Items of each list; 0 is all [default: 10 as text, all as JSON]
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
}

/// The thresholds of the command line.
#[derive(Debug, Args)]
struct LimitArgs {
    /// A TOML file of thresholds
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
    /// Warn from this number on, such as metric_series=500 or attribute.user.id=50; may be repeated
    #[arg(long, value_name = "NAME=N", value_parser = thresholds::given)]
    warn: Vec<Given>,
    /// Critical from this number on; may be repeated
    #[arg(long, value_name = "NAME=N", value_parser = thresholds::given)]
    fail: Vec<Given>,
    /// An attribute that must not come; may be repeated
    #[arg(long, value_name = "KEY")]
    forbid: Vec<String>,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

/// Checks, reports, and returns what the program ends with.
pub(crate) async fn run(args: CheckArgs, environment: &BTreeMap<String, String>) -> Result<ExitCode> {
    let thresholds = args.limits.load()?;
    let baseline = args.compare.as_deref().map(|text| Baseline::open(text, args.server.is_some())).transpose()?;
    if let Some(path) = &args.save {
        session::session_name(path)?;
    }
    let began = Instant::now();
    let (observed, files) = match &args.server {
        Some(url) => (args.look(&Client::new(url)?, baseline.as_ref()).await?, Vec::new()),
        None => args.look_at_own(baseline.as_ref(), environment).await?,
    };
    let findings = findings::judge(&observed, &thresholds);
    let verdict = findings::verdict(&findings);
    let limit = args.limit.unwrap_or(if args.format == ReportFormat::Text { TEXT_ITEMS } else { 0 });
    let seconds = began.elapsed().as_secs();
    let report = Report { observed: &observed, findings: &findings, verdict, files: &files, seconds, limit };
    args.write(&report)?;
    Ok(verdict.into())
}

impl LimitArgs {
    fn load(&self) -> Result<Thresholds> {
        let loaded = Thresholds::load(self.thresholds.as_deref(), &self.warn, &self.fail);
        let mut thresholds = loaded.map_err(anyhow::Error::msg)?;
        thresholds.forbidden_attributes.extend(self.forbid.iter().cloned());
        Ok(thresholds)
    }
}

impl CheckArgs {
    async fn look_at_own(
        &self,
        baseline: Option<&Baseline>,
        environment: &BTreeMap<String, String>,
    ) -> Result<(Observed, Vec<FileOutcome>)> {
        ensure!(
            self.window.is_everything(),
            "--last, --from and --to narrow a server's telemetry: give --server as well"
        );
        let feed = match (self.files.as_slice(), self.run_for, self.idle) {
            ([], None, None) => {
                bail!("name what to check: --for 30s listens, FILE… reads recorded OTLP, --server URL asks a server")
            }
            ([], run_for, idle) => Feed::Listen { run_for, idle },
            (files, ..) => Feed::Files(files),
        };
        let options = OwnOptions {
            config: self.config.clone(),
            otlp_http: self.otlp_http.clone(),
            otlp_grpc: self.otlp_grpc.clone(),
            environment,
        };
        let own = OwnServer::start(&options, &feed).await?;
        let outcome = async {
            let files = own.fed(&feed).await?;
            Ok((self.look(&Client::new(&own.url)?, baseline).await?, files))
        };
        let outcome = outcome.await;
        own.stopped(outcome).await
    }

    /// Reads what the server's catalogue tells, and saves it where that is asked for.
    async fn look(&self, client: &Client, baseline: Option<&Baseline>) -> Result<Observed> {
        let service = self.service.as_deref();
        let wanted = Wanted { window: self.window.parameters(), service, baseline };
        let observed = observed::observe(client, &wanted).await?;
        if let Some(path) = &self.save {
            session::save(client, path, service).await?;
        }
        Ok(observed)
    }

    fn write(&self, report: &Report<'_>) -> Result<()> {
        let mut text = Vec::new();
        match self.format {
            ReportFormat::Text => report.write_text(&mut text)?,
            ReportFormat::Json => report.write_json(&mut text)?,
        }
        match &self.output {
            Some(path) => write_whole(path, &text).with_context(|| format!("write the report {}", path.display())),
            None => std::io::stdout().lock().write_all(&text).context("write the report"),
        }
    }
}

/// Writes a file that appears only once it is whole.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    std::fs::write(&draft, bytes)?;
    std::fs::rename(draft, path)
}
