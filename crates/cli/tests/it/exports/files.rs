use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// Reads an export's file: each row's `_seq` and `n`, in order; its checksums, its manifest and its folder must be right.
pub(crate) fn rows(export: &Value) -> Result<Vec<(u64, i64)>> {
    let folder = Path::new(export["folder"].as_str().context("a folder")?);
    let sums = Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(folder).output()?;
    ensure!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stdout));
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
    ensure!(manifest == export["manifest"], "{manifest} is not {}", export["manifest"]);

    let path = folder.join("rows.parquet");
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?.build()? {
        let batch = batch?;
        let seqs = batch.column_by_name("_seq").context("_seq")?.as_primitive::<UInt64Type>();
        let numbers = batch.column_by_name("n").context("n")?.as_primitive::<Int64Type>();
        rows.extend(seqs.values().iter().copied().zip(numbers.values().iter().copied()));
    }
    rows.sort_unstable();
    let file = &manifest["files"][0];
    ensure!(file["bytes"] == fs::metadata(&path)?.len() && manifest["bytes"] == file["bytes"], "{manifest}");
    ensure!(file["rows"] == rows.len() && manifest["rows"] == file["rows"], "{manifest}");
    ensure!(file["first_seq"].as_u64() == rows.first().map(|row| row.0), "{manifest}");
    ensure!(file["last_seq"].as_u64() == rows.last().map(|row| row.0), "{manifest}");
    Ok(rows)
}

/// Reads an export of everything: every row up to its watermark, each once and with its own values.
pub(crate) fn whole(export: &Value) -> Result<u64> {
    ensure!(export["state"] == "completed", "{export}");
    let watermark = export["manifest"]["watermark"].as_u64().context("a watermark")?;
    let rows = rows(export)?;
    let expect = (1..=watermark).map(|seq| Ok((seq, i64::try_from(seq - 1)?))).collect::<Result<Vec<_>>>()?;
    ensure!(rows == expect, "{} rows are not those up to {watermark}", rows.len());
    Ok(watermark)
}
