use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tidegate_load::{Encoding, Wire};
use tidegate_model::Signal;
use tokio::process::Command;

use super::lab::{self, Lab};
use super::{Line, Shape};

const SHAPE: Shape = Shape { signal: Signal::Logs, wire: Wire::Http, rows: 1_000, encoding: Encoding::Plain };
const ROWS: u64 = 1_000_000;

/// Takes a backup of stored logs, restores it with `--verify`, and counts each in seconds a million rows.
pub(super) async fn run(lab: &Lab, name: &str) -> Result<Line> {
    let backups = lab.folder()?;
    let place = backups.path().display().to_string();
    let (folder, mut stack) =
        lab.start(&[("TIDEGATE_BACKUP__FOLDER", &place), ("TIDEGATE_TELEMETRY__OWN", "false")]).await?;
    let rows = lab.amount(ROWS);
    lab::send_all(&stack, SHAPE, &lab::bodies(SHAPE, rows)?, 4).await?;
    lab::stored(&stack).await?;
    lab::settled(&stack).await?;

    let url = format!("http://{}", stack.http);
    let (taken, _) = tidegate(lab, &["backup", "--to", "one", "--url", &url]).await?;
    stack.stop()?;
    let restored = folder.path().join("restored");
    let from = backups.path().join("one");
    let (whole, said) =
        tidegate(lab, &["restore", "--verify", "--from", text(&from)?, "--data", text(&restored)?]).await?;
    ensure!(said.contains(&format!("{rows} rows of")), "not all of {rows} rows were recounted: {said}");

    let millions = rows as f64 / 1e6;
    let numbers = vec![
        ("million rows", millions),
        ("backup s/million", taken.as_secs_f64() / millions),
        ("check s/million", seconds(&said, "what was written, ")? / millions),
        ("restore s/million", seconds(&said, "restored, ")? / millions),
        ("verify s/million", seconds(&said, "verified, ")? / millions),
        ("whole s", whole.as_secs_f64()),
    ];
    Ok(Line { kind: "backup and restore", name: name.to_owned(), numbers })
}

/// Runs the program; returns how long it took and what it printed.
async fn tidegate(lab: &Lab, arguments: &[&str]) -> Result<(Duration, String)> {
    let began = Instant::now();
    let ran = Command::new(&lab.program).args(arguments).env("TIDEGATE_LIBCHDB", &lab.library).output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ensure!(ran.status.success(), "tidegate {}: {said}", arguments[0]);
    Ok((began.elapsed(), said))
}

/// Finds the seconds behind some words of `tidegate restore`.
fn seconds(said: &str, words: &str) -> Result<f64> {
    let told = said.split_once(words).and_then(|(_, rest)| rest.split_once(" s"));
    let (number, _) = told.with_context(|| format!("`{words}` is not in: {said}"))?;
    number.parse().with_context(|| format!("read the seconds of `{number}`"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}
