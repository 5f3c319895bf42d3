//! The lines of the bench. Each starts its own stack on an empty folder, unless it measures a stage in this process.
//!
//! | file | measures |
//! |---|---|
//! | `throughput.rs` | CPU a million rows of server and engine at a steady 50 k rows/s, a burst's rows/s, bytes stored, per signal, way in and size of request |
//! | `paced.rs` | latency of the ack at 10 k rows/s, memory at 100 k rows/s |
//! | `reading.rs` | ack to visible, what the hot tail costs a query |
//! | `restore.rs` | a backup, taken, restored and verified |
//! | `load/` | the loads that the requirements state, and reads meanwhile, each with its bar |
//! | `catalogue/` | reads of a catalogue that was filled to a stated size, each with its bar |
//! | `stages.rs` | receive, decode, WAL, batch encode, by themselves |
//! | `rows.rs` | JSON rows of a dataset, decoded by themselves |
//! | `datasets.rs` | rows of a dataset taken, read and loaded from a file, each with its bar |
//! | `log_search.rs` | searches in ten million log records, each with its bar |
//! | `roll_ups.rs` | counts and sums of millions of rows, from roll-ups and from rows |
//! | `lab.rs` | starting, pre-encoding, waiting until merges have settled |
//! | `parts.rs` | bytes of a table's active parts on disk |
//! | `report.rs` | tables and JSON |

mod catalogue;
mod datasets;
mod lab;
mod load;
mod log_search;
mod paced;
mod parts;
mod reading;
mod report;
mod restore;
mod roll_ups;
mod rows;
mod stages;
mod throughput;

use tidegate_load::{Encoding, Wire};
use tidegate_model::Signal;

pub(crate) use lab::Lab;
pub(crate) use report::Report;
use report::{Bar, Line, Measured};

/// What one line of the bench sends.
#[derive(Debug, Clone, Copy)]
struct Shape {
    signal: Signal,
    wire: Wire,
    rows: u64,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy)]
enum Measurement {
    Stages(Signal, u64),
    Rows(u64),
    Split(Shape),
    Throughput(Shape),
    Latency(Shape),
    Memory,
    Visible,
    HotTail,
    Dataset(datasets::Work),
    LogSearch,
    RollUps,
    Restore,
    Load(load::Load),
    Catalogue(catalogue::Size),
}

/// Returns the names of all lines, in order.
pub(crate) fn names() -> Vec<String> {
    all().into_iter().map(|(name, _)| name).collect()
}

/// Runs the lines that `only` names, whole or by a part of their names; a line that fails is told and the next one runs.
pub(crate) async fn run(lab: &Lab, only: &[String]) -> Report {
    let mut report = Report::default();
    let names = names();
    let chosen = |name: &str| {
        let names_it = |part: &String| if names.contains(part) { name == part } else { name.contains(part.as_str()) };
        only.is_empty() || only.iter().any(names_it)
    };
    for (name, measurement) in all().into_iter().filter(|(name, _)| chosen(name)) {
        eprintln!("» {name}");
        match measure(lab, &name, measurement).await {
            Ok(measured) => report.extend(measured),
            Err(error) => report.fail(&name, &error),
        }
    }
    report
}

async fn measure(lab: &Lab, name: &str, measurement: Measurement) -> anyhow::Result<Measured> {
    let line = match measurement {
        Measurement::Stages(signal, rows) => stages::run(lab, name, signal, rows).await?,
        Measurement::Rows(rows) => rows::run(lab, name, rows)?,
        Measurement::Split(shape) => stages::split(lab, name, shape).await?,
        Measurement::Throughput(shape) => throughput::run(lab, name, shape).await?,
        Measurement::Latency(shape) => paced::latency(lab, name, shape).await?,
        Measurement::Memory => paced::memory(lab, name).await?,
        Measurement::Visible => reading::visible(lab, name).await?,
        Measurement::HotTail => {
            return Ok(Measured { lines: reading::hot_tail(lab, name).await?, ..Measured::default() });
        }
        Measurement::Dataset(work) => return datasets::run(lab, name, work).await,
        Measurement::LogSearch => return log_search::run(lab, name).await,
        Measurement::RollUps => return roll_ups::run(lab, name).await,
        Measurement::Restore => restore::run(lab, name).await?,
        Measurement::Load(load) => return load::run(lab, name, load).await,
        Measurement::Catalogue(size) => return catalogue::run(lab, name, size).await,
    };
    Ok(line.into())
}

fn all() -> Vec<(String, Measurement)> {
    let mut all = Vec::new();
    for signal in Signal::ALL {
        for rows in [100, 1_000, 8_000] {
            all.push((format!("stages-{signal}-{rows}"), Measurement::Stages(signal, rows)));
        }
    }
    all.push(("stages-rows-1000".into(), Measurement::Rows(1_000)));
    for wire in [Wire::Http, Wire::Grpc] {
        let shape = Shape { signal: Signal::Logs, wire, rows: 1_000, encoding: Encoding::Plain };
        all.push((format!("split-{}", shape.name()), Measurement::Split(shape)));
    }
    for signal in Signal::ALL {
        for wire in [Wire::Http, Wire::Grpc] {
            for rows in [100, 1_000, 8_000] {
                let shape = Shape { signal, wire, rows, encoding: Encoding::Plain };
                all.push((shape.name(), Measurement::Throughput(shape)));
            }
        }
    }
    for wire in [Wire::Http, Wire::Grpc] {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let shape = Shape { signal: Signal::Logs, wire, rows: 1_000, encoding };
            all.push((shape.name(), Measurement::Throughput(shape)));
        }
    }
    for wire in [Wire::Http, Wire::Grpc] {
        for rows in [100, 1_000] {
            let shape = Shape { signal: Signal::Logs, wire, rows, encoding: Encoding::Plain };
            all.push((format!("latency-{}", shape.name()), Measurement::Latency(shape)));
        }
    }
    all.push(("memory-100k".into(), Measurement::Memory));
    all.push(("visible".into(), Measurement::Visible));
    all.push(("hot-tail".into(), Measurement::HotTail));
    all.extend(datasets::Work::ALL.map(|work| (work.name().to_owned(), Measurement::Dataset(work))));
    all.push(("log-search".into(), Measurement::LogSearch));
    all.push(("roll-ups".into(), Measurement::RollUps));
    all.push(("restore".into(), Measurement::Restore));
    all.extend(load::Load::ALL.map(|load| (load.name().to_owned(), Measurement::Load(load))));
    all.extend(catalogue::Size::ALL.map(|size| (size.name().to_owned(), Measurement::Catalogue(size))));
    all
}

impl Shape {
    fn name(self) -> String {
        let wire = if self.wire == Wire::Http { "http" } else { "grpc" };
        let name = format!("{}-{wire}-{}", self.signal, self.rows);
        if self.encoding == Encoding::Plain { name } else { format!("{name}-{}", self.encoding.name()) }
    }
}
