//! CPU time and memory of processes, from `/proc`.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time, user and system, that a process has used; `None` when it is gone.
#[must_use]
pub fn cpu(pid: u32) -> Option<Duration> {
    let fields = stat(pid)?;
    let ticks: u64 = fields.get(11..13)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1_000 / clock_ticks_per_second()))
}

/// Returns the CPU time that this process's children used which have ended.
#[must_use]
pub fn ended_children_cpu() -> Option<Duration> {
    let fields = stat(std::process::id())?;
    let ticks: u64 = fields.get(13..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1_000 / clock_ticks_per_second()))
}

/// Returns the CPU time of the calling thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// Returns the CPU time of this process.
#[must_use]
pub fn own_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// Returns the resident memory of a process, and of it what no file backs, in bytes.
#[must_use]
pub fn resident(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    Some((kib("VmRSS:")? << 10, kib("RssAnon:")? << 10))
}

/// Finds a child process by its program's name.
#[must_use]
pub fn child(parent: u32, program: &str) -> Option<u32> {
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // The kernel keeps 15 bytes of a program's name.
    let name = &program[..program.len().min(15)];
    let is_child = |pid: &u32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.trim_end() == name && stat(*pid).is_some_and(|fields| fields.get(1) == Some(&parent.to_string()))
    };
    pids.into_iter().find(is_child)
}

/// The fields of `/proc/PID/stat` behind the program's name, which may hold spaces: state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
