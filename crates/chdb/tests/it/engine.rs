//! Starts engines for tests.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a long secret";

/// A running engine; killed on drop.
pub(crate) struct Engine {
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: Option<JoinHandle<String>>,
    pub(crate) ready: serde_json::Value,
    pub(crate) folder: PathBuf,
    _owned: Option<TempDir>,
}

impl Engine {
    /// Starts an engine on a folder of its own.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let owned = tempfile::tempdir().unwrap();
        let mut engine = Self::start_on(owned.path().join("data"), arguments).unwrap();
        engine._owned = Some(owned);
        engine
    }

    /// Starts an engine on this folder; the exit code and stderr of one that ends instead.
    pub(crate) fn start_on(folder: PathBuf, arguments: &[&str]) -> Result<Self, (ExitStatus, String)> {
        let mut child = command().arg("--path").arg(&folder).args(arguments).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            return Err((child.wait().unwrap(), stderr.join().unwrap()));
        }
        let ready = serde_json::from_str(&line).unwrap();
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, stderr: Some(stderr), ready, folder, _owned: None })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    pub(crate) fn address(&self) -> &str {
        self.ready["http"].as_str().unwrap()
    }

    /// Reads a field of `/proc/<pid>/status`.
    pub(crate) fn status_field(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    }

    pub(crate) fn resident_mib(&self) -> u64 {
        self.status_field("VmRSS").trim_end_matches(" kB").trim().parse::<u64>().unwrap() >> 10
    }

    /// Closes the engine's standard input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin.take();
    }

    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end; returns its status and all that it wrote to stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = within("the engine ends", || self.child.try_wait().unwrap());
        (status, self.stderr.take().unwrap().join().unwrap())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The engine's command, with both users and libchdb found.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-engine"));
    command
        .args([
            "--default-access",
            "full",
            "--password-env",
            "FULL_PASSWORD",
            "--reader-password-env",
            "READER_PASSWORD",
        ])
        .env("FULL_PASSWORD", PASSWORD)
        .env("READER_PASSWORD", PASSWORD)
        .env("TIDEGATE_LIBCHDB", library())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn library() -> PathBuf {
    let path = std::env::var_os("TIDEGATE_LIBCHDB")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../lib/libchdb.so"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make libchdb`", path.display());
    path
}

/// Waits until the condition gives a value, for at most 20 seconds.
#[expect(clippy::disallowed_methods, reason = "the condition is in another process, which cannot wake this one")]
pub(crate) fn within<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
