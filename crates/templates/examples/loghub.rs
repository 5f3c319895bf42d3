//! Scores the miner on labelled corpora:
//! `cargo run --release -p tidegate-templates --example loghub -- FOLDER [ORDERS]` takes every `*_2k.log_structured.csv` of a folder (columns `Content` and `EventId`) and prints a line per set.
//!
//! - GA, FGA: grouping accuracy (Zhu et al., ICSE-SEIP 2019) and the F1 of exactly right groups (Jiang et al., ISSTA
//!   2024) of the final grouping, merges resolved: what a user who queries sees. `ingest` is the same of the ids as
//!   they were given line by line, merges not resolved.
//! - `warm`: lines per CPU second of a miner that has seen the set, which is then repeated; `cold`: of new miners that
//!   see the set once each, so that every template is found, and every merge made, within the 2,000 lines.
//! - With ORDERS, the means over that many shuffles of each set's lines follow.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use tidegate_templates::{Miner, Settings, TemplateId};

const SUFFIX: &str = "_2k.log_structured.csv";
const WARM_PASSES: usize = 300;
const COLD_PASSES: usize = 300;

struct Labelled {
    body: String,
    event: String,
}

#[derive(Default, Clone, Copy)]
struct Score {
    accuracy: f64,
    f1: f64,
    found: usize,
    labelled: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().ok_or("give the folder of *_2k.log_structured.csv")?;
    let orders: u64 = args.next().map_or(Ok(0), |number| number.parse())?;
    println!("{:12} {:>6} {:>6} {:>9}   ingest GA/FGA  {:>9} {:>9}", "set", "GA", "FGA", "found", "warm/s", "cold/s");
    let (mut scores, mut shuffled, mut warm, mut cold) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for path in sets(Path::new(&folder))? {
        let rows = read(&path)?;
        let (score, at_ingest) = mine(&rows)?;
        let speed = (warm_ns(&rows)?, cold_ns(&rows)?);
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(SUFFIX, "");
        println!(
            "{name:12} {:6.3} {:6.3} {:4}/{:4}     {:.3}/{:.3}   {:8.2}M {:8.2}M",
            score.accuracy,
            score.f1,
            score.found,
            score.labelled,
            at_ingest.accuracy,
            at_ingest.f1,
            1e3 / speed.0,
            1e3 / speed.1,
        );
        scores.push((score, at_ingest));
        warm.push(speed.0);
        cold.push(speed.1);
        for order in 1..=orders {
            shuffled.push(mine(shuffle(rows.iter().collect(), order))?.0);
        }
    }
    let mean = |of: &dyn Fn(&(Score, Score)) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
    println!(
        "{:12} {:6.3} {:6.3} {:9}     {:.3}/{:.3}",
        "mean",
        mean(&|s| s.0.accuracy),
        mean(&|s| s.0.f1),
        "",
        mean(&|s| s.1.accuracy),
        mean(&|s| s.1.f1),
    );
    println!("lines per CPU second, all sets as a whole: warm {:.2} M, cold {:.2} M", whole(&warm), whole(&cold));
    println!("lines per CPU second, median of the sets:  warm {:.2} M, cold {:.2} M", median(warm), median(cold));
    if !shuffled.is_empty() {
        let mean = |of: fn(&Score) -> f64| shuffled.iter().map(of).sum::<f64>() / shuffled.len() as f64;
        println!("mean of {orders} shuffles: GA {:.3} FGA {:.3}", mean(|s| s.accuracy), mean(|s| s.f1));
    }
    Ok(())
}

fn sets(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    let mut sets: Vec<PathBuf> = paths.into_iter().filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect();
    sets.sort();
    if sets.is_empty() { Err(format!("no *{SUFFIX} in {}", folder.display()).into()) } else { Ok(sets) }
}

fn read(path: &Path) -> Result<Vec<Labelled>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(path)?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name).ok_or(format!("no column {name}"));
    let (body, event) = (column("Content")?, column("EventId")?);
    let rows = reader.records().map(|row| {
        let row = row?;
        Ok(Labelled { body: row[body].to_owned(), event: row[event].to_owned() })
    });
    rows.collect()
}

/// Returns the scores with merges resolved, and of the ids as they were given.
fn mine<'a>(rows: impl IntoIterator<Item = &'a Labelled>) -> Result<(Score, Score), Box<dyn Error>> {
    let mut miner = Miner::new(Settings::default())?;
    let given: Vec<(TemplateId, &str)> =
        rows.into_iter().map(|row| (miner.mine(&row.body), row.event.as_str())).collect();
    let resolved: Vec<_> = given.iter().map(|(id, event)| (miner.resolve(*id), *event)).collect();
    Ok((score(&resolved), score(&given)))
}

fn score(pairs: &[(TemplateId, &str)]) -> Score {
    let (mut groups, mut sizes): (HashMap<_, Vec<&str>>, HashMap<&str, usize>) = Default::default();
    for (id, event) in pairs {
        groups.entry(*id).or_default().push(event);
        *sizes.entry(event).or_default() += 1;
    }
    let is_right =
        |events: &&Vec<&str>| events.iter().all(|event| *event == events[0]) && sizes[events[0]] == events.len();
    let right: Vec<&Vec<&str>> = groups.values().filter(is_right).collect();
    let lines: usize = right.iter().map(|events| events.len()).sum();
    Score {
        accuracy: lines as f64 / pairs.len() as f64,
        f1: 2.0 * right.len() as f64 / (groups.len() + sizes.len()) as f64,
        found: groups.len(),
        labelled: sizes.len(),
    }
}

/// Nanoseconds of CPU a line, of a miner that has seen the set.
fn warm_ns(rows: &[Labelled]) -> Result<f64, Box<dyn Error>> {
    let mut miner = Miner::new(Settings::default())?;
    rows.iter().for_each(|row| _ = miner.mine(&row.body));
    let started = cpu_ns();
    for row in (0..WARM_PASSES).flat_map(|_| rows) {
        std::hint::black_box(miner.mine(&row.body));
    }
    Ok((cpu_ns() - started) / (WARM_PASSES * rows.len()) as f64)
}

/// Nanoseconds of CPU a line, of new miners.
fn cold_ns(rows: &[Labelled]) -> Result<f64, Box<dyn Error>> {
    let started = cpu_ns();
    for _ in 0..COLD_PASSES {
        let mut miner = Miner::new(Settings::default())?;
        for row in rows {
            std::hint::black_box(miner.mine(&row.body));
        }
    }
    Ok((cpu_ns() - started) / (COLD_PASSES * rows.len()) as f64)
}

/// Time on the CPU where the system tells it (in steps of a scheduler tick, 4 ms), else time that passed.
fn cpu_ns() -> f64 {
    thread_local!(static START: Instant = Instant::now());
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_cpu = told.and_then(|text| text.split(' ').next()?.parse().ok());
    on_cpu.unwrap_or_else(|| START.with(|start| start.elapsed().as_nanos() as f64))
}

/// Millions of lines per second over sets of equal size.
fn whole(ns: &[f64]) -> f64 {
    1e3 * ns.len() as f64 / ns.iter().sum::<f64>()
}

fn median(mut ns: Vec<f64>) -> f64 {
    ns.sort_by(f64::total_cmp);
    let middle = ns.len() / 2;
    1e3 / if ns.len().is_multiple_of(2) { f64::midpoint(ns[middle - 1], ns[middle]) } else { ns[middle] }
}

/// Shuffles by a fixed generator (Knuth's MMIX), so that a number names an order.
fn shuffle(mut rows: Vec<&Labelled>, order: u64) -> Vec<&Labelled> {
    let mut state = order;
    for at in (1..rows.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        rows.swap(at, ((state >> 33) % (at as u64 + 1)) as usize);
    }
    rows
}
