use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal as Kill, kill_process};
use tidegate_load::{Stack, now_unix_nanos};
use tokio::task::JoinHandle;

use crate::draws::{Draws, setting};
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

const AGENTS: usize = 3;
const ROUNDS: u64 = 14;
const LOGS: [&str; 2] = ["renamed", "copied"];

/// A real `tidegate agent`; killed when dropped.
struct Agent {
    name: String,
    dir: PathBuf,
    child: Option<Child>,
}

impl Agent {
    fn new(name: &str, parent: &Path, server: SocketAddr, collected: &str) -> Result<Self> {
        let dir = parent.join(name);
        fs::create_dir_all(dir.join("logs"))?;
        let settings = format!(
            "server = \"http://{server}\"\ndata = \"{}\"\nlook_ms = 100\nqueue_bytes = 8388608\n{}",
            dir.join("data").display(),
            collected.replace("LOGS", &dir.join("logs").display().to_string())
        );
        fs::write(dir.join("agent.toml"), settings)?;
        let mut agent = Self { name: name.to_owned(), dir, child: None };
        agent.start()?;
        Ok(agent)
    }

    fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.dir.join("agent.log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("agent").arg("--config").arg(self.dir.join("agent.toml"));
        self.child = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to stop; says whether it left with code 0.
    fn stop(&mut self) -> Result<bool> {
        let Some(mut child) = self.child.take() else { return Ok(true) };
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id is not 0")?;
        kill_process(pid, Kill::TERM)?;
        Ok(child.wait()?.success())
    }

    fn told(&self) -> String {
        fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It is gone already when this fails; a test's end has nobody to tell.
        let _ = self.kill();
    }
}

/// A program that writes a log, and what turns its files over.
struct Program {
    path: PathBuf,
    copies: bool,
    draws: Draws,
    lines: u64,
    turns: u64,
}

impl Program {
    fn new(agent: &Agent, log: &str, seed: u64) -> Self {
        let path = agent.dir.join("logs").join(format!("{log}.log"));
        Self { path, copies: log == "copied", draws: Draws(seed), lines: 0, turns: 0 }
    }

    /// Writes until stopped; returns itself.
    async fn run(mut self, stopped: Arc<AtomicBool>) -> Result<Self> {
        while !stopped.load(Ordering::SeqCst) {
            self.write()?;
            if self.draws.one_in(25) {
                self.turn()?;
            }
            tokio::time::sleep(Duration::from_micros(2_000 + self.draws.below(30_000))).await;
        }
        Ok(self)
    }

    /// Writes some lines, the last one in two steps.
    fn write(&mut self) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        for _ in 0..1 + self.draws.below(20) {
            let line = format!("line {} {}\n", self.lines, "x".repeat(usize::try_from(self.draws.below(200))?));
            let cut = usize::try_from(self.draws.below(line.len() as u64))?;
            file.write_all(&line.as_bytes()[..cut])?;
            file.write_all(&line.as_bytes()[cut..])?;
            self.lines += 1;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        self.turns += 1;
        let old = self.path.with_extension(format!("log.{}", self.turns));
        if self.copies {
            fs::copy(&self.path, old)?;
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
        } else {
            fs::rename(&self.path, old)?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_a_fleet_is_stored_once_and_in_order_whoever_dies() -> Result<()> {
    let rounds = setting("TIDEGATE_FLEET_ROUNDS", ROUNDS);
    let seed = setting("TIDEGATE_FLEET_SEED", now_unix_nanos());
    eprintln!("TIDEGATE_FLEET_SEED={seed} TIDEGATE_FLEET_ROUNDS={rounds}");
    let mut draws = Draws(seed);
    let (folder, mut stack) = started(SMALL_BATCHES).await?;
    let start = |n: usize| {
        let collected = format!(
            "[host]\nenabled = false\n[resource]\n\"test.agent\" = \"agent-{n}\"\n\
             [[files]]\npaths = [\"LOGS/*.log*\"]\nservice = \"fleet\"\n"
        );
        Agent::new(&format!("agent-{n}"), folder.path(), stack.otlp_http, &collected)
    };
    let mut agents = (0..AGENTS).map(start).collect::<Result<Vec<_>>>()?;
    let stopped = Arc::new(AtomicBool::new(false));
    let mut programs: Vec<JoinHandle<Result<Program>>> = Vec::new();
    for (n, agent) in agents.iter().enumerate() {
        for (m, log) in LOGS.iter().enumerate() {
            let program = Program::new(agent, log, seed ^ (n * 8 + m + 1) as u64);
            programs.push(tokio::spawn(program.run(Arc::clone(&stopped))));
        }
    }
    for round in 1..=rounds {
        // Chance, not a wait for something: the kills should fall anywhere between two deliveries.
        tokio::time::sleep(Duration::from_millis(draws.below(600))).await;
        let victim = usize::try_from(draws.below(AGENTS as u64 + 2))?;
        let away = Duration::from_millis(draws.below(300));
        if victim < AGENTS || draws.one_in(3) {
            let agent = &mut agents[victim % AGENTS];
            agent.kill()?;
            tokio::time::sleep(away).await;
            agent.start()?;
        }
        if victim >= AGENTS {
            stack.kill_serve()?;
            tokio::time::sleep(away).await;
            stack.start()?;
            stack.ready(READY_WITHIN).await?;
        }
        eprintln!("round {round}: killed {}", if victim < AGENTS { "an agent" } else { "the server" });
    }
    stopped.store(true, Ordering::SeqCst);
    let mut written = Vec::new();
    for program in programs {
        written.push(program.await??);
    }
    settled(&stack, &agents, &written).await?;
    truncated_files_begin_anew(&stack, &agents, &mut written).await?;
    for agent in &mut agents {
        ensure!(agent.stop()?, "{} did not end well: {}", agent.name, agent.told());
    }
    Ok(())
}

/// All lines are delivered, so that none is lost with what is cut off.
async fn truncated_files_begin_anew(stack: &Stack, agents: &[Agent], written: &mut [Program]) -> Result<()> {
    for program in written.iter_mut() {
        program.write()?;
    }
    settled(stack, agents, written).await?;
    for program in written.iter_mut() {
        OpenOptions::new().write(true).open(&program.path)?.set_len(0)?;
        program.write()?;
    }
    settled(stack, agents, written).await
}

/// Waits until as many lines are stored as were written, and looks at each of them.
async fn settled(stack: &Stack, agents: &[Agent], written: &[Program]) -> Result<()> {
    let total: u64 = written.iter().map(|program| program.lines).sum();
    let count = "SELECT count() FROM logs WHERE service_name = 'fleet'";
    let (mut stored, mut outcome) = (0, Ok(()));
    // As long as there are more and more of them, a busy machine only takes longer.
    while stored < total && outcome.is_ok() {
        let seen = stored;
        outcome = eventually("more lines are stored", async || Ok(stack.number(count).await? > seen)).await;
        stored = stack.number(count).await?;
    }
    let told: Vec<String> = agents.iter().map(Agent::told).collect();
    ensure!(outcome.is_ok() && stored == total, "{stored} of {total} lines are stored\n{}", told.join("\n"));
    for (n, agent) in agents.iter().enumerate() {
        for (m, log) in LOGS.iter().enumerate() {
            each_line_once(stack, agent, log, written[n * LOGS.len() + m].lines).await?;
        }
    }
    eprintln!("{total} lines, each once and in order");
    Ok(())
}

/// Each number is there once; in each file, in the order of storing, they only grow, and so does the position.
async fn each_line_once(stack: &Stack, agent: &Agent, log: &str, lines: u64) -> Result<()> {
    let sql = format!(
        "SELECT attributes['log.file.path'] AS path, groupArray(toUInt64(splitByChar(' ', body)[2])) AS numbers \
         FROM (SELECT attributes, body FROM logs WHERE service_name = 'fleet' \
         AND resource_attributes['test.agent'] = '{}' AND attributes['log.file.path'] LIKE '%/{log}.log%' ORDER BY _seq) \
         GROUP BY path",
        agent.name
    );
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    for row in stack.query(&sql).await? {
        let path = row["path"].as_str().context("a path")?.to_owned();
        let mut last = None;
        for number in row["numbers"].as_array().context("numbers")? {
            let number = number.as_u64().or_else(|| number.as_str()?.parse().ok()).context("a number")?;
            ensure!(last.is_none_or(|last| last < number), "{path}: line {number} came after {last:?}");
            last = Some(number);
            let before = seen.insert(number, path.clone());
            ensure!(before.is_none(), "line {number} is there twice: of {before:?} and of {path}");
        }
    }
    ensure!(seen.len() as u64 == lines, "{}/{log}: {} of {lines} lines are stored", agent.name, seen.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_tells_of_its_machine_its_processes_and_changes_of_services() -> Result<()> {
    let (folder, stack) = started(SMALL_BATCHES).await?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?;
    let collected = format!(
        "[host]\ninterval_seconds = 1\n[[processes]]\nname = \"tidegate\"\n\
         [[checks]]\nname = \"till\"\ntcp = \"{port}\"\ninterval_seconds = 1\n\
         [[checks]]\nname = \"api\"\nhttp = \"http://{}/health\"\nexpect_status = 200\ninterval_seconds = 1\n\
         [[checks]]\nname = \"nothing\"\nprocess = \"no-such-program\"\ninterval_seconds = 1\n",
        stack.http
    );
    let mut agent = Agent::new("agent", folder.path(), stack.otlp_http, &collected)?;
    let names = [
        ("system.cpu_percent", "short"),
        ("system.memory.used", "short"),
        ("system.cpu.load_avg.1min", "short"),
        ("system.network.bytes_sent", "short"),
        ("system.memory.usage", "otel"),
        ("system.cpu.utilization", "otel"),
        ("process.memory.usage", "watched"),
        ("tidegate.agent.rows.sent", "own"),
    ];
    for (name, kind) in names {
        let sql = format!("SELECT count() FROM metric_series WHERE metric_name = '{name}'");
        eventually(&format!("{name} ({kind})"), async || Ok(stack.number(&sql).await? > 0)).await?;
    }
    let state = async |service: &str, status: &str, before: &str| {
        let sql = format!(
            "SELECT count() FROM logs WHERE event_name = 'service_status' AND attributes['service.check.name'] = '{service}' \
             AND attributes['service.check.status'] = '{status}' AND attributes['service.check.status.before'] = '{before}'"
        );
        eventually(&format!("{service} is {status}"), async || Ok(stack.number(&sql).await? == 1)).await
    };
    state("till", "up", "unknown").await?;
    state("api", "up", "unknown").await?;
    state("nothing", "down", "unknown").await?;
    drop(listener);
    state("till", "down", "up").await?;
    ensure!(agent.stop()?, "it did not end well: {}", agent.told());

    let status = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["agent", "--config"])
        .arg(agent.dir.join("agent.toml"))
        .args(["status", "--json"])
        .output()?;
    let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
    ensure!(status["queued_rows"] == 0 && status["sent_rows"].as_u64() > Some(20), "{status}");
    // It is the same agent after a restart, and another session.
    let identities = "SELECT uniqExact(resource_attributes['agent.id']) FROM logs WHERE event_name = 'service_status'";
    let sessions = "SELECT uniqExact(resource_attributes['session.id']) FROM logs WHERE event_name = 'service_status'";
    agent.start()?;
    eventually("two sessions", async || Ok(stack.number(sessions).await? == 2)).await?;
    ensure!(stack.number(identities).await? == 1, "the identity changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_standard_input_are_stored_and_a_server_runs_an_agent_of_its_own() -> Result<()> {
    let (folder, mut stack) = started(SMALL_BATCHES).await?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["agent", "--stdin", "--server", &format!("http://{}", stack.otlp_http), "--data"])
        .arg(folder.path().join("piped"))
        .stdin(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("it has an input")?.write_all(b"one\ntwo\nhalf")?;
    ensure!(child.wait()?.success(), "it ends with its input");
    let stored = stack.query("SELECT body FROM logs WHERE service_name = 'stdin' ORDER BY _seq").await?;
    let bodies: Vec<_> = stored.iter().filter_map(|row| row["body"].as_str()).collect();
    ensure!(bodies == ["one", "two", "half"], "{bodies:?}");

    stack.stop()?;
    stack.add_args(&["--with-agent"]);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let by_its_own =
        "SELECT uniqExact(resource_attributes['agent.id']) FROM metric_series WHERE metric_name = 'system.uptime'";
    eventually("its own agent measures", async || Ok(stack.number(by_its_own).await? == 1)).await?;
    let (_, is_clean) = stack.stop()?;
    ensure!(is_clean, "{}", stack.log_tail());
    Ok(())
}
