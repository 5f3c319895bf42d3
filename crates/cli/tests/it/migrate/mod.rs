//! Moves from Parquet files: the real programs, killed, compared, cut over.
//!
//! | file | proves |
//! |---|---|
//! | `kills.rs` | whatever is killed, and whatever is forgotten, ends with exactly the source's rows |
//! | `corruptions.rs` | a comparison finds every planted difference, and names the row |
//! | `cutover.rs` | the freeze, the gate, the switch, the way back |
//! | `mirror.rs` | the older engine gets each row that came here once, and none of its own |

mod corruptions;
mod cutover;
mod kills;
mod mirror;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use reqwest::Method;
use serde_json::Value;
use tidegate_load::Stack;

/// The time of the first row, in microseconds since 1970.
const FIRST_US: i64 = 1_768_000_000_000_000;

/// Writes rows with these numbers; every tenth is there twice, in all columns.
fn write_file(path: &Path, first: i64, rows: i64) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    let numbers: Vec<i64> = (first..first + rows).flat_map(|n| vec![n; if n % 10 == 0 { 2 } else { 1 }]).collect();
    let at = numbers.iter().map(|n| FIRST_US + n * 7_000_000);
    let some = |n: &i64| (n % 3 != 0).then_some(*n);
    let mut lists = ListBuilder::new(Int64Builder::new());
    for n in &numbers {
        lists.append_value((0..n % 3).map(Some));
    }
    let ids = numbers.iter().map(|n| i128::from(*n).to_be_bytes().to_vec());
    let columns: [(&str, ArrayRef); 8] = [
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(at))),
        ("n", Arc::new(numbers.iter().map(|n| i32::try_from(*n).ok()).collect::<Int32Array>())),
        ("price", Arc::new(price(&numbers)?)),
        ("ratio", Arc::new(numbers.iter().map(|n| Some(*n as f64 / 8.0)).collect::<Float64Array>())),
        ("text", Arc::new(numbers.iter().map(|n| some(n).map(|n| format!("row {n} ü'\\"))).collect::<StringArray>())),
        ("ok", Arc::new(numbers.iter().map(|n| some(n).map(|n| n % 2 == 0)).collect::<BooleanArray>())),
        ("id", Arc::new(FixedSizeBinaryArray::try_from_iter(ids)?)),
        ("list", Arc::new(lists.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

fn price(numbers: &[i64]) -> Result<Decimal128Array> {
    let cents = numbers.iter().map(|n| (n % 3 != 0).then_some(i128::from(*n) * 100 - 55));
    Ok(cents.collect::<Decimal128Array>().with_precision_and_scale(18, 4)?)
}

/// Writes a folder of files; returns how many rows there are.
fn write_folder(root: &Path, files: i64, numbers_each: i64) -> Result<u64> {
    for file in 0..files {
        let path = root.join(format!("shop={}/part-{file:04}.parquet", if file % 2 == 0 { "a b" } else { "ü" }));
        write_file(&path, file * numbers_each, numbers_each)?;
    }
    let numbers = files * numbers_each;
    Ok(u64::try_from(numbers + numbers.div_euclid(10) + i64::from(numbers % 10 != 0))?)
}

/// The program with `migrate` and these words.
fn migrate(stack: &Stack, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("migrate").args(arguments).args(["--url", &format!("http://{}", stack.http), "--actor", "mara"]);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs it to a good end.
fn done(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let output = migrate(stack, arguments).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", text(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs it to a bad one.
fn refused(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let output = migrate(stack, arguments).output()?;
    ensure!(!output.status.success(), "{arguments:?} is done: {}", text(&output));
    Ok(text(&output))
}

/// Asks the API; returns status and body.
async fn ask(stack: &Stack, method: Method, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
    let mut request = reqwest::Client::new().request(method, format!("http://{}{path}", stack.http));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or_default()))
}

/// Returns the open migration.
async fn state(stack: &Stack) -> Result<Value> {
    let all = stack.get("/admin/migrations?dataset=visits").await?;
    Ok(all["migrations"].get(0).cloned().unwrap_or_default())
}

/// Reads rows here, also before reads are switched.
async fn target(stack: &Stack, sql: &str) -> Result<Vec<Value>> {
    let request = reqwest::Client::new().post(format!("http://{}/sql/read?format=ndjson", stack.http));
    let answer = request.header("x-tidegate-read", "target").body(sql.to_owned()).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{sql}: {status} {text}");
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Compares the table with the numbers that were written: each as often as it was, with its own values.
async fn check_rows(stack: &Stack, numbers: i64) -> Result<()> {
    let sql = "SELECT n, count() AS c, countIf(text = concat('row ', toString(n), ' ü\\'\\\\')) AS t, any(shop) AS shop, \
               toString(any(price)) AS price, toString(any(id)) AS id, min(length(list)) AS l, \
               toString(min(toUnixTimestamp64Micro(at))) AS at FROM visits GROUP BY n ORDER BY n";
    let rows = target(stack, sql).await?;
    ensure!(rows.len() == usize::try_from(numbers)?, "{} numbers of {numbers} are there", rows.len());
    for (n, row) in (0..).zip(&rows) {
        let copies = if n % 10 == 0 { 2 } else { 1 };
        let at = (FIRST_US + n * 7_000_000).to_string();
        let is_whole = row["n"] == n && row["c"].to_string().trim_matches('"') == copies.to_string();
        let texts = if n % 3 == 0 { 0 } else { copies };
        let is_own = row["t"].to_string().trim_matches('"') == texts.to_string() && row["at"] == at;
        let id = format!("{:032x}", n);
        let is_known = row["id"].as_str().map(|text| text.replace('-', "")) == Some(id);
        ensure!(
            is_whole && is_own && is_known && row["l"].to_string().trim_matches('"') == (n % 3).to_string(),
            "{row}"
        );
    }
    Ok(())
}
