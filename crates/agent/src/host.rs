//! The machine's metrics, under short names and under OpenTelemetry's; and those of watched processes.

use std::collections::HashMap;
use std::ffi::OsStr;

use sysinfo::{Disks, Networks, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::rows::{Number, Point, Value};
use crate::settings::{Names, ProcessWatch};

const BYTES: &str = "By";
const ONE: &str = "1";

/// What is asked for at each turn; what is needed for differences is kept between them.
pub(crate) struct Host {
    names: Names,
    system: System,
    disks: Disks,
    networks: Networks,
    watched: Vec<Watched>,
}

/// A watched process, or all of a name, as of the last turn.
struct Watched {
    watch: ProcessWatch,
    /// Processes by id, and when each began.
    seen: HashMap<u32, u64>,
    restarts: u64,
    is_first_turn: bool,
}

impl Host {
    pub(crate) fn new(names: Names, watches: &[ProcessWatch]) -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        let watched = |watch: &ProcessWatch| Watched {
            watch: watch.clone(),
            seen: HashMap::new(),
            restarts: 0,
            is_first_turn: true,
        };
        Self {
            names,
            system,
            disks: Disks::new(),
            networks: Networks::new(),
            watched: watches.iter().map(watched).collect(),
        }
    }

    /// Returns the machine's metrics as of now.
    pub(crate) fn machine(&mut self) -> Vec<Point> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.disks.refresh(true);
        self.networks.refresh(true);
        let processes = count_processes();
        let mut points = Vec::with_capacity(64);
        if self.names != Names::Otel {
            self.short(processes, &mut points);
        }
        if self.names != Names::Short {
            self.otel(processes, &mut points);
        }
        points
    }

    /// The names of older collectors, each with its unit as a tag too.
    fn short(&self, processes: u64, points: &mut Vec<Point>) {
        let (system, load) = (&self.system, System::load_average());
        let (total, available) = (system.total_memory(), system.available_memory());
        let (swap_total, swap_used) = (system.total_swap(), system.used_swap());
        let (disk_total, disk_free) = self.root_disk();
        let (read, written) = self.disk_io();
        let (sent, received) = self.network();
        let used = total.saturating_sub(available);
        let disk_used = disk_total.saturating_sub(disk_free);
        let mut gauge = |name, unit, tag: &str, value| points.push(Point::gauge(name, unit, value).with("unit", tag));
        gauge("system.cpu_percent", "%", "percent", Number::Double(f64::from(system.global_cpu_usage())));
        gauge("system.memory.used", BYTES, "bytes", Number::Int(used));
        gauge("system.memory.free", BYTES, "bytes", Number::Int(available));
        gauge("system.memory.percent", "%", "percent", percent(used, total));
        gauge("system.swap.used", BYTES, "bytes", Number::Int(swap_used));
        gauge("system.swap.free", BYTES, "bytes", Number::Int(swap_total.saturating_sub(swap_used)));
        gauge("system.swap.percent", "%", "percent", percent(swap_used, swap_total));
        gauge("system.disk.used", BYTES, "bytes", Number::Int(disk_used));
        gauge("system.disk.free", BYTES, "bytes", Number::Int(disk_free));
        gauge("system.disk.percent", "%", "percent", percent(disk_used, disk_total));
        gauge("system.processes.count", "{process}", "count", Number::Int(processes));
        gauge("system.uptime", "s", "seconds", Number::Int(System::uptime()));
        gauge("system.cpu.load_avg.1min", ONE, "load", Number::Double(load.one));
        gauge("system.cpu.load_avg.5min", ONE, "load", Number::Double(load.five));
        gauge("system.cpu.load_avg.15min", ONE, "load", Number::Double(load.fifteen));
        let mut sum = |name, value| points.push(Point::sum(name, BYTES, Number::Int(value)).with("unit", "bytes"));
        sum("system.disk.io.read_bytes", read);
        sum("system.disk.io.write_bytes", written);
        sum("system.network.bytes_sent", sent);
        sum("system.network.bytes_recv", received);
    }

    /// OpenTelemetry's semantic conventions for systems.
    fn otel(&self, processes: u64, points: &mut Vec<Point>) {
        let (system, load) = (&self.system, System::load_average());
        let (total, available) = (system.total_memory(), system.available_memory());
        for (index, cpu) in system.cpus().iter().enumerate() {
            let value = Number::Double(f64::from(cpu.cpu_usage()) / 100.0);
            let mut point = Point::gauge("system.cpu.utilization", ONE, value);
            point.attributes.push(("cpu.logical_number".into(), Value::Int(i64::try_from(index).unwrap_or(i64::MAX))));
            points.push(point);
        }
        points.push(Point::gauge("system.cpu.logical.count", "{cpu}", Number::Int(system.cpus().len() as u64)));
        points.push(Point::gauge("system.cpu.load_average.1m", "{thread}", Number::Double(load.one)));
        points.push(Point::gauge("system.cpu.load_average.5m", "{thread}", Number::Double(load.five)));
        points.push(Point::gauge("system.cpu.load_average.15m", "{thread}", Number::Double(load.fifteen)));
        let used = total.saturating_sub(available);
        let states = |key: &str, name, unit, values: [(&str, Number); 2]| {
            values.map(|(state, value)| Point::gauge(name, unit, value).with(key, state))
        };
        let memory = "system.memory.state";
        points.extend(states(
            memory,
            "system.memory.usage",
            BYTES,
            [("used", Number::Int(used)), ("free", Number::Int(available))],
        ));
        points.extend(states(
            memory,
            "system.memory.utilization",
            ONE,
            [("used", ratio(used, total)), ("free", ratio(available, total))],
        ));
        points.push(Point::gauge("system.memory.limit", BYTES, Number::Int(total)));
        points.extend(states(
            "system.paging.state",
            "system.paging.usage",
            BYTES,
            [("used", Number::Int(system.used_swap())), ("free", Number::Int(system.free_swap()))],
        ));
        self.otel_disks(points);
        for (name, data) in sorted(&self.networks) {
            let point = |value, direction| {
                let sum = Point::sum("system.network.io", BYTES, Number::Int(value));
                sum.with("network.interface.name", name).with("network.io.direction", direction)
            };
            points.push(point(data.total_received(), "receive"));
            points.push(point(data.total_transmitted(), "transmit"));
        }
        points.push(Point::gauge("system.process.count", "{process}", Number::Int(processes)));
        if self.names == Names::Otel {
            points.push(Point::gauge("system.uptime", "s", Number::Int(System::uptime())));
        }
    }

    fn otel_disks(&self, points: &mut Vec<Point>) {
        for disk in self.disks.list() {
            let (mount, device) = (disk.mount_point().to_string_lossy(), disk.name().to_string_lossy());
            let (total, free) = (disk.total_space(), disk.available_space());
            for (state, bytes) in [("used", total.saturating_sub(free)), ("free", free)] {
                let place = |point: Point| {
                    let point = point.with("system.device", &device).with("system.filesystem.mountpoint", &mount);
                    point.with("system.filesystem.state", state)
                };
                points.push(place(Point::gauge("system.filesystem.usage", BYTES, Number::Int(bytes))));
                points.push(place(Point::gauge("system.filesystem.utilization", ONE, ratio(bytes, total))));
            }
        }
        // Points of one name stand together: they become one metric.
        points.sort_by_key(|point| point.name);
        for (device, usage) in self.devices() {
            for (direction, bytes) in [("read", usage.0), ("write", usage.1)] {
                let sum = Point::sum("system.disk.io", BYTES, Number::Int(bytes));
                points.push(sum.with("system.device", device).with("disk.io.direction", direction));
            }
        }
    }

    /// The disk that holds `/`; where there is none, the first.
    fn root_disk(&self) -> (u64, u64) {
        let disks = self.disks.list();
        let root = disks.iter().find(|disk| disk.mount_point() == "/").or(disks.first());
        root.map_or((0, 0), |disk| (disk.total_space(), disk.available_space()))
    }

    /// Bytes read and written by device: one may be mounted at many places.
    fn devices(&self) -> Vec<(&str, (u64, u64))> {
        let mut devices: Vec<(&str, (u64, u64))> = Vec::new();
        for disk in self.disks.list() {
            let (Some(name), usage) = (disk.name().to_str(), disk.usage()) else { continue };
            if devices.iter().all(|(known, _)| *known != name) {
                devices.push((name, (usage.total_read_bytes, usage.total_written_bytes)));
            }
        }
        devices
    }

    fn disk_io(&self) -> (u64, u64) {
        self.devices().iter().fold((0, 0), |sum, (_, usage)| (sum.0 + usage.0, sum.1 + usage.1))
    }

    /// Bytes sent and received by all interfaces but the loopback.
    fn network(&self) -> (u64, u64) {
        let real = self.networks.list().iter().filter(|(name, _)| name.as_str() != "lo");
        real.fold((0, 0), |sum, (_, data)| (sum.0 + data.total_transmitted(), sum.1 + data.total_received()))
    }

    /// Returns what the watched processes cost; with none nothing is looked at.
    pub(crate) fn processes(&mut self) -> Vec<Point> {
        if self.watched.is_empty() {
            return Vec::new();
        }
        self.refresh_processes();
        let system = &self.system;
        let mut points: Vec<Point> = self.watched.iter_mut().flat_map(|watched| watched.points(system)).collect();
        points.sort_by_key(|point| point.name);
        points
    }

    /// Says whether a process of this name runs.
    pub(crate) fn is_running(&mut self, name: &str) -> bool {
        self.refresh_processes();
        matching(&self.system, &ProcessWatch { name: name.to_owned(), pid: None }).next().is_some()
    }

    fn refresh_processes(&mut self) {
        let kind =
            ProcessRefreshKind::nothing().with_cpu().with_memory().with_exe(UpdateKind::OnlyIfNotSet).without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    }
}

impl Watched {
    fn points(&mut self, system: &System) -> Vec<Point> {
        let found: Vec<&Process> = matching(system, &self.watch).collect();
        let now: HashMap<u32, u64> =
            found.iter().map(|process| (process.pid().as_u32(), process.start_time())).collect();
        let begun = now.iter().filter(|(pid, start)| self.seen.get(pid) != Some(start)).count() as u64;
        if !std::mem::replace(&mut self.is_first_turn, false) {
            self.restarts += begun;
        }
        self.seen = now;
        let name = if self.watch.name.is_empty() {
            found.first().map(|process| process.name().to_string_lossy().into_owned()).unwrap_or_default()
        } else {
            self.watch.name.clone()
        };
        let tagged = |mut point: Point| {
            point.attributes.push(("process.executable.name".into(), Value::Text(name.clone())));
            if let Some(pid) = self.watch.pid {
                point.attributes.push(("process.pid".into(), Value::Int(i64::from(pid))));
            }
            point
        };
        let cpu: f64 = found.iter().map(|process| f64::from(process.cpu_usage())).sum::<f64>() / 100.0;
        let memory = found.iter().map(|process| process.memory()).sum();
        vec![
            tagged(Point::gauge("process.cpu.utilization", ONE, Number::Double(cpu))),
            tagged(Point::gauge("process.memory.usage", BYTES, Number::Int(memory))),
            tagged(Point::gauge("process.count", "{process}", Number::Int(found.len() as u64))),
            tagged(Point::sum("process.restarts", "{restart}", Number::Int(self.restarts))),
        ]
    }
}

fn matching<'a>(system: &'a System, watch: &'a ProcessWatch) -> impl Iterator<Item = &'a Process> {
    let is_it = move |process: &&Process| match watch.pid {
        Some(pid) => process.pid() == Pid::from_u32(pid),
        // The kernel keeps 15 bytes of a name; the program's file has all of it.
        None => {
            process.name() == OsStr::new(&watch.name)
                || process.exe().and_then(|exe| exe.file_name()) == Some(OsStr::new(&watch.name))
        }
    };
    system.processes().values().filter(is_it)
}

/// Counts processes without looking into any.
fn count_processes() -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let is_process = |name: &OsStr| name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    entries.filter_map(Result::ok).filter(|entry| is_process(&entry.file_name())).count() as u64
}

fn sorted(networks: &Networks) -> Vec<(&str, &sysinfo::NetworkData)> {
    let mut list: Vec<_> = networks.list().iter().map(|(name, data)| (name.as_str(), data)).collect();
    list.sort_unstable_by_key(|(name, _)| *name);
    list
}

fn percent(part: u64, whole: u64) -> Number {
    match ratio(part, whole) {
        Number::Double(ratio) => Number::Double(ratio * 100.0),
        whole @ Number::Int(_) => whole,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits of its parts")]
fn ratio(part: u64, whole: u64) -> Number {
    Number::Double(if whole == 0 { 0.0 } else { part as f64 / whole as f64 })
}
