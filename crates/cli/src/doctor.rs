//! `tidegate doctor`: what a server on this machine would meet, line by line, and how to mend it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::serve::{FOLDER_VERSION, read_version};
use crate::settings::{self, Backend, Flags, Settings};

/// A sync that takes longer makes every acknowledgement slow.
const SYNC_SLOW_MS: u128 = 20;
const SYNC_BYTES: usize = 1 << 20;
const LIBRARY: &str = if cfg!(target_os = "macos") { "libchdb.dylib" } else { "libchdb.so" };

/// What `tidegate doctor` takes.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The settings file [default: ./tidegate.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder to look at [default: as in the settings]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

enum Verdict {
    Fine(String),
    /// Works, but: what, and how to mend it.
    Poor(String, String),
    /// A server would not work: why, and how to mend it.
    Broken(String, String),
}

use Verdict::{Broken, Fine, Poor};

/// Prints one line per check; fails when something is broken.
pub(crate) fn run(args: DoctorArgs, environment: &BTreeMap<String, String>) -> Result<()> {
    let values = args.data.map(|data| ("--data", "data", data)).into_iter().collect();
    let settings = settings::load(&Flags { file: args.config, values }, environment)?.settings;
    let is_new = !settings.data.exists();
    let mut checks =
        vec![("version", Fine(format!("tidegate {}, layout {FOLDER_VERSION}", env!("CARGO_PKG_VERSION"))))];
    if settings.storage.backend != Backend::ClickHouse {
        let program = engine_program(&settings);
        checks.push(("engine program", program_check(&program)));
        checks.push(("engine library", library(&settings, &program)));
        checks.push(("landlock", landlock()));
    }
    checks.push(("data folder", folder(&settings.data)));
    checks.push(("disk space", space(&settings)));
    checks.push(("disk sync", sync(&settings.data)));
    checks.extend(ports(&settings));
    checks.push(("open files", open_files()));
    if is_new {
        // A folder that was made only to be looked at goes again; it is empty.
        let _ = fs::remove_dir(&settings.data);
    }
    for (name, verdict) in &checks {
        print_line(name, verdict);
    }
    let broken = checks.iter().filter(|(_, verdict)| matches!(verdict, Broken(..))).count();
    if broken > 0 {
        bail!("{broken} of {} checks failed", checks.len())
    }
    Ok(())
}

fn print_line(name: &str, verdict: &Verdict) {
    match verdict {
        Fine(what) => println!("ok    {name:<16}{what}"),
        Poor(what, mend) => println!("warn  {name:<16}{what}\n{:22}→ {mend}", ""),
        Broken(what, mend) => println!("fail  {name:<16}{what}\n{:22}→ {mend}", ""),
    }
}

fn engine_program(settings: &Settings) -> PathBuf {
    if settings.engine.program.is_empty() {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name("tidegate-engine")
    } else {
        PathBuf::from(&settings.engine.program)
    }
}

fn program_check(program: &Path) -> Verdict {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            Fine(format!("{} at {}", String::from_utf8_lossy(&output.stdout).trim(), program.display()))
        }
        Ok(output) => {
            Broken(format!("{} ended with {}", program.display(), output.status), "build it again: make build".into())
        }
        Err(error) => Broken(
            format!("{}: {error}", program.display()),
            "build it with `make build`, or name it by engine.program (TIDEGATE_ENGINE)".into(),
        ),
    }
}

/// Looks where `tidegate-engine` looks: as named, beside it, in `lib` one and two folders up.
fn library(settings: &Settings, program: &Path) -> Verdict {
    let beside = program.parent().unwrap_or(Path::new("."));
    let places = if settings.engine.library.is_empty() {
        vec![beside.join(LIBRARY), beside.join("../lib").join(LIBRARY), beside.join("../../lib").join(LIBRARY)]
    } else {
        vec![PathBuf::from(&settings.engine.library)]
    };
    match places.iter().find_map(|place| Some((place.canonicalize().ok()?, fs::metadata(place).ok()?.len()))) {
        Some((place, bytes)) => Fine(format!("{} ({} MB)", place.display(), bytes / 1_000_000)),
        None => Broken(
            format!("{LIBRARY} is not beside {}, nor in lib", program.display()),
            "fetch it with `make libchdb`, or name it by engine.library (TIDEGATE_LIBCHDB)".into(),
        ),
    }
}

fn landlock() -> Verdict {
    if has_landlock() {
        return Fine("the engine is locked to its folders".into());
    }
    Poor(
        "this kernel has no Landlock; the engine is not locked to its folders".into(),
        "use Linux 5.13 or newer with landlock in its list of security modules".into(),
    )
}

/// Asks the kernel for rules, and does not lock this process by them.
#[cfg(target_os = "linux")]
fn has_landlock() -> bool {
    use landlock::{AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};

    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    strict.handle_access(AccessFs::Execute).and_then(Ruleset::create).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_landlock() -> bool {
    false
}

fn folder(path: &Path) -> Verdict {
    let mend = "name another folder with --data, or mend its owner".to_owned();
    match read_version(path) {
        Ok(Some(found)) if found > FOLDER_VERSION => Broken(
            format!("{} has layout {found}, newer than {FOLDER_VERSION}", path.display()),
            "start the newer Tidegate that wrote it".into(),
        ),
        Ok(Some(found)) => Fine(format!("{}, layout {found}", path.display())),
        Ok(None) => match fs::create_dir_all(path) {
            Ok(()) => Fine(format!("{}, empty or new", path.display())),
            Err(error) => Broken(format!("{} cannot be made: {error}", path.display()), mend),
        },
        Err(error) => Broken(format!("{error:#}"), mend),
    }
}

fn space(settings: &Settings) -> Verdict {
    let Ok(disk) = rustix::fs::statvfs(&settings.data) else {
        return Poor("the free space cannot be read".into(), "see the data folder's line above".into());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let (wanted, full) = (settings.buffer.disk_free_bytes_min, settings.buffer.wal_bytes);
    let told = format!("{} GB free", free / 1_000_000_000);
    if free < wanted {
        Broken(
            format!("{told}, less than buffer.disk_free_bytes_min: no write is taken"),
            "make room, or lower the setting".into(),
        )
    } else if free < wanted.saturating_add(full) {
        let mend = "the log cannot grow to buffer.wal_bytes while ClickHouse is away: make room, or lower the setting";
        Poor(told, mend.into())
    } else {
        Fine(told)
    }
}

fn sync(folder: &Path) -> Verdict {
    let file = folder.join("doctor.tmp");
    let measured = measure_sync(&file);
    // Nothing is left behind, whatever came of it.
    let _ = fs::remove_file(&file);
    match measured {
        Ok(ms) if ms > SYNC_SLOW_MS => Poor(
            format!("writing and syncing 1 MB takes {ms} ms: no acknowledgement is faster"),
            "use a local disk; a network file system or a busy disk is slow here".into(),
        ),
        Ok(ms) => Fine(format!("writing and syncing 1 MB takes {ms} ms")),
        Err(error) => Broken(
            format!("{} cannot be written: {error}", file.display()),
            "mend the folder's owner or the disk".into(),
        ),
    }
}

fn measure_sync(file: &Path) -> std::io::Result<u128> {
    let mut file = File::create(file)?;
    let began = Instant::now();
    file.write_all(&vec![0xa5; SYNC_BYTES])?;
    file.sync_data()?;
    Ok(began.elapsed().as_millis())
}

fn ports(settings: &Settings) -> Vec<(&'static str, Verdict)> {
    let listen = &settings.listen;
    let doors = [
        ("http", &listen.http, "--http"),
        ("otlp-http", &listen.otlp_http, "--otlp-http"),
        ("otlp-grpc", &listen.otlp_grpc, "--otlp-grpc"),
        ("clickhouse-http", &listen.clickhouse_http, "--clickhouse-http"),
    ];
    let named = doors.into_iter().filter(|(_, address, _)| !address.is_empty());
    named.map(|(name, address, flag)| (name, port(address, flag))).collect()
}

fn port(address: &str, flag: &str) -> Verdict {
    match TcpListener::bind(address) {
        Ok(_) => Fine(format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Poor(
            format!("{address} is in use, perhaps by a running Tidegate"),
            format!("stop the other program, or choose another address with {flag}"),
        ),
        Err(error) => Broken(format!("{address}: {error}"), format!("choose another address with {flag}")),
    }
}

fn open_files() -> Verdict {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit >= 4_096 {
        return Fine(format!("at most {limit}"));
    }
    Poor(format!("at most {limit}: with many connections and parts that is little"), "raise it: ulimit -n 65536".into())
}
