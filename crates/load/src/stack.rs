use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as Kill, kill_process};
use serde_json::Value;

use crate::process;

const POLL: Duration = Duration::from_millis(20);
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where and how to start `tidegate serve`.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The program `tidegate`; `tidegate-engine` is beside it.
    pub program: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// Environment of the server: settings and the place of libchdb.
    pub env: Vec<(String, String)>,
    /// A program and its arguments that end by running the server in their own place.
    pub wrapper: Vec<String>,
}

/// The real `tidegate serve` with its engine, on ports that stay the same over restarts; killed when dropped.
#[derive(Debug)]
pub struct Stack {
    options: StackOptions,
    args: Vec<String>,
    serve: Option<Child>,
    client: reqwest::Client,
    /// The address of the API.
    pub http: SocketAddr,
    /// The address of OTLP/HTTP.
    pub otlp_http: SocketAddr,
    /// The address of OTLP/gRPC.
    pub otlp_grpc: SocketAddr,
    /// The address at which the engine is published.
    pub clickhouse: SocketAddr,
}

impl Stack {
    /// Chooses free ports; starts nothing yet.
    pub fn new(options: StackOptions) -> io::Result<Self> {
        let [http, otlp_http, otlp_grpc, clickhouse] = free_addresses()?;
        // Fails when it was called before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(QUERY_TIMEOUT).build().map_err(io::Error::other)?;
        Ok(Self { options, args: Vec::new(), serve: None, client, http, otlp_http, otlp_grpc, clickhouse })
    }

    /// Starts the server; its output is appended to `serve.log` beside the data folder.
    pub fn start(&mut self) -> io::Result<()> {
        if let Some(parent) = self.options.data.parent() {
            fs::create_dir_all(parent)?;
        }
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut words = self.options.wrapper.iter().map(OsStr::new).chain([self.options.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("serve").args(&self.args).arg("--data").arg(&self.options.data);
        command.args(["--http", &self.http.to_string(), "--otlp-http", &self.otlp_http.to_string()]);
        command.args(["--otlp-grpc", &self.otlp_grpc.to_string(), "--clickhouse-http", &self.clickhouse.to_string()]);
        command.envs(self.options.env.iter().map(|(name, value)| (name, value)));
        self.serve = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// Waits until a write would be acknowledged and a query answered; returns how long that took.
    pub async fn ready(&mut self, at_most: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let mut last = String::from("no answer");
        while began.elapsed() < at_most {
            if let Some(status) = self.serve.as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Err(io::Error::other(format!("the server ended by itself ({status}):\n{}", self.log_tail())));
            }
            match self.client.get(format!("http://{}/ready", self.http)).send().await {
                Ok(answer) if answer.status() == 200 => return Ok(began.elapsed()),
                Ok(answer) => last = answer.text().await.unwrap_or_default(),
                Err(_) => {}
            }
            tokio::time::sleep(POLL).await;
        }
        Err(io::Error::other(format!("not ready within {at_most:?}, it says: {last}\n{}", self.log_tail())))
    }

    /// Runs a user's query and returns its rows; any error is an `Err`, also one in the middle of the answer.
    pub async fn query(&self, sql: &str) -> io::Result<Vec<Value>> {
        let url = format!("http://{}/sql/read?format=json", self.http);
        let answer = self.client.post(url).body(sql.to_owned()).send().await.map_err(io::Error::other)?;
        let status = answer.status();
        let text = answer.text().await.map_err(io::Error::other)?;
        if status != 200 {
            return Err(io::Error::other(format!("{status}: {text}")));
        }
        rows_of(&text).ok_or_else(|| io::Error::other(format!("not an answer: {text}")))
    }

    /// Runs a query that answers one row with one number.
    pub async fn number(&self, sql: &str) -> io::Result<u64> {
        let rows = self.query(sql).await?;
        let value = rows.first().and_then(|row| row.as_object()?.values().next());
        value.and_then(as_u64).ok_or_else(|| io::Error::other(format!("not one number: {rows:?}")))
    }

    /// Asks a path of the API for JSON.
    pub async fn get(&self, path: &str) -> io::Result<Value> {
        let answer = self.client.get(format!("http://{}{path}", self.http)).send().await.map_err(io::Error::other)?;
        let text = answer.text().await.map_err(io::Error::other)?;
        serde_json::from_str(&text).map_err(|error| io::Error::other(format!("{path}: {error}: {text}")))
    }

    /// Runs a statement in the engine itself, past the hot tail, and returns the text of its answer.
    pub async fn clickhouse(&self, sql: &str) -> io::Result<String> {
        let url = format!("http://{}/", self.clickhouse);
        let answer = self.client.post(url).body(sql.to_owned()).send().await.map_err(io::Error::other)?;
        let status = answer.status();
        let text = answer.text().await.map_err(io::Error::other)?;
        if status == 200 { Ok(text) } else { Err(io::Error::other(format!("{status}: {text}"))) }
    }

    /// The server's process id.
    #[must_use]
    pub fn serve_pid(&self) -> Option<u32> {
        self.serve.as_ref().map(Child::id)
    }

    /// The engine's process id, when it runs.
    #[must_use]
    pub fn engine_pid(&self) -> Option<u32> {
        process::child(self.serve_pid()?, "tidegate-engine")
    }

    /// Kills the server at once (SIGKILL) and waits for its end.
    pub fn kill_serve(&mut self) -> io::Result<()> {
        let Some(mut serve) = self.serve.take() else { return Ok(()) };
        serve.kill()?;
        serve.wait().map(drop)
    }

    /// Sends a signal to the server; `false` when none runs.
    pub fn signal_serve(&self, signal: Kill) -> io::Result<bool> {
        self.serve_pid().map_or(Ok(false), |pid| signal_process(pid, signal))
    }

    /// Waits until the server has ended by itself; returns how.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.serve.take().ok_or(io::ErrorKind::NotFound)?.wait()
    }

    /// Sends a signal to the engine; `false` when none runs.
    pub fn signal_engine(&self, signal: Kill) -> io::Result<bool> {
        match self.engine_pid() {
            Some(pid) => signal_process(pid, signal),
            None => Ok(false),
        }
    }

    /// Asks the server to stop (SIGTERM); returns how long it took and whether it left with code 0.
    pub fn stop(&mut self) -> io::Result<(Duration, bool)> {
        let began = Instant::now();
        let Some(mut serve) = self.serve.take() else { return Ok((Duration::ZERO, true)) };
        signal_process(serve.id(), Kill::TERM)?;
        let status = serve.wait()?;
        Ok((began.elapsed(), status.success()))
    }

    /// Returns the end of what the server wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Adds settings to the environment of the next start.
    pub fn add_env(&mut self, settings: &[(&str, &str)]) {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.options.env.extend(settings);
    }

    /// Adds words to the command line of the next starts.
    pub fn add_args(&mut self, words: &[&str]) {
        self.args.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// Points the next start at another data folder.
    pub fn set_data(&mut self, data: &Path) {
        data.clone_into(&mut self.options.data);
    }

    /// Lets the next start run inside another program.
    pub fn wrap<const N: usize>(&mut self, wrapper: [&str; N]) {
        self.options.wrapper = wrapper.map(str::to_owned).to_vec();
    }

    /// Returns the data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.options.data
    }

    fn log_path(&self) -> PathBuf {
        self.options.data.with_extension("log")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let engine = self.engine_pid();
        // The processes are gone already when these fail; a test's end has nobody to tell.
        let _ = self.kill_serve();
        let _ = engine.map(|pid| signal_process(pid, Kill::KILL));
    }
}

/// Finds loopback addresses that nobody listens on.
pub fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    addresses.try_into().map_err(|_| io::Error::other("as many addresses as listeners"))
}

fn signal_process(pid: u32, signal: Kill) -> io::Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    match kill_process(pid, signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads `{"data": […]}` (ClickHouse's JSON), a bare array, or one object a line.
fn rows_of(text: &str) -> Option<Vec<Value>> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(rows)) => Some(rows),
        Ok(Value::Object(mut object)) => match object.remove("data").or_else(|| object.remove("rows")) {
            Some(Value::Array(rows)) => Some(rows),
            _ => None,
        },
        _ => text.lines().map(|line| serde_json::from_str(line).ok()).collect(),
    }
}

fn as_u64(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
