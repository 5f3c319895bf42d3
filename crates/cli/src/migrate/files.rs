use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use tidegate_model::limits::{PIECE_BYTES, PIECE_ROWS_MAX};

use super::hive;
use super::source::Source;

/// The end of a Parquet file: the length of its description, and four letters.
const FOOTER_END: u64 = 8;

/// Parquet files, with the columns that are taken of them.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) files: Vec<SourceFile>,
    /// The columns that stand in paths, with their types.
    hive: BTreeMap<String, DataType>,
    source: Source,
    /// Rows that are in no file yet.
    unwritten: u64,
    /// What is to be known of a column.
    pub(super) notes: BTreeMap<String, String>,
    /// DuckDB's condition of rows that did not come from us.
    pub(super) own_rows: String,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// Its path below the root, with `/`.
    pub(super) name: String,
    path: PathBuf,
    /// What changes when it is written to: its length, and the hash of its description of itself.
    pub(super) fingerprint: String,
    pub(super) rows: u64,
    bytes: u64,
    schema: Arc<Schema>,
    hive: BTreeMap<String, Option<String>>,
}

/// Rows of one file that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) rows: u64,
}

/// A column of the source.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    /// Its types in the files, as Arrow names them.
    pub(super) types: Vec<DataType>,
}

impl Files {
    /// Finds the files of a folder whose paths fit the pattern, and reads what they say of themselves. Blocks.
    pub(super) fn find(root: &Path, pattern: &str, source: &Source) -> Result<Self> {
        let mut paths = Vec::new();
        walk(root, "", &mut paths)?;
        paths.retain(|name| fits(pattern, name) && is_parquet(name));
        paths.sort();
        let files = paths.into_iter().map(|name| open(root, name)).collect::<Result<Vec<_>>>()?;
        let names: BTreeSet<&String> = files.iter().flat_map(|file| file.hive.keys()).collect();
        // A column that is in the files too is theirs, as other readers of such folders have it.
        let is_inside = |name: &str| files.iter().any(|file| file.schema.index_of(name).is_ok());
        let kind_of =
            |name: &String| hive::kind(files.iter().map(|file| file.hive.get(name).and_then(Option::as_deref)));
        let hive =
            names.into_iter().filter(|name| !is_inside(name)).map(|name| (name.clone(), kind_of(name))).collect();
        Ok(Self { files, hive, source: source.clone(), unwritten: 0, notes: BTreeMap::new(), own_rows: String::new() })
    }

    /// Lists the columns of all files, with every type that they have there.
    pub(super) fn columns(&self) -> Vec<SourceColumn> {
        let mut columns: Vec<SourceColumn> = Vec::new();
        let inside = self.files.iter().flat_map(|file| file.schema.fields().iter());
        let inside = inside.map(|field| (field.name().clone(), field.data_type().clone()));
        let hive = self.hive.iter().map(|(name, kind)| (name.clone(), kind.clone()));
        for (name, kind) in inside.chain(hive) {
            match columns.iter_mut().find(|column| column.name == name) {
                Some(known) if known.types.contains(&kind) => {}
                Some(known) => known.types.push(kind),
                None => columns.push(SourceColumn { name, types: vec![kind] }),
            }
        }
        columns
    }

    /// Adds up the rows of all files.
    pub(super) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum::<u64>() + self.unwritten
    }

    pub(super) fn with_unwritten(self, unwritten: u64) -> Self {
        Self { unwritten, ..self }
    }

    pub(super) fn with_notes(self, notes: BTreeMap<String, String>, own_rows: String) -> Self {
        Self { notes, own_rows, ..self }
    }

    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    /// Reads rows of a file, with the columns of its path, under the names that they get. Blocks.
    pub(super) fn read(&self, file: &SourceFile, range: Range) -> Result<RecordBatch> {
        let batch = file.read(range).with_context(|| format!("read {}", file.path.display()))?;
        let rows = batch.num_rows();
        let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(name) = self.source.name_of(field.name()) {
                fields.push(Field::new(name, array.data_type().clone(), true));
                arrays.push(Arc::clone(array));
            }
        }
        for (name, kind) in &self.hive {
            let Some(new) = self.source.name_of(name) else { continue };
            let value = file.hive.get(name).and_then(Option::as_deref);
            fields.push(Field::new(new, kind.clone(), true));
            arrays.push(hive::array(value, kind, rows));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
    }
}

impl SourceFile {
    /// Cuts the file into ranges; the same file is always cut alike.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range> + use<> {
        let each = (self.bytes / self.rows.max(1)).max(1);
        let rows = (PIECE_BYTES / each).clamp(1, PIECE_ROWS_MAX);
        let all = self.rows;
        (0..all.div_ceil(rows)).map(move |at| Range { first: at * rows, rows: rows.min(all - at * rows) })
    }

    fn read(&self, range: Range) -> Result<RecordBatch> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&self.path)?)?;
        let (mut before, mut groups, mut skipped) = (0_u64, Vec::new(), 0);
        for (at, group) in builder.metadata().row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if before + rows <= range.first {
                skipped += rows;
            } else if before < range.first + range.rows {
                groups.push(at);
            }
            before += rows;
        }
        let (offset, limit) = (usize::try_from(range.first - skipped)?, usize::try_from(range.rows)?);
        let builder = builder.with_row_groups(groups).with_offset(offset).with_limit(limit).with_batch_size(limit);
        let schema = Arc::clone(builder.schema());
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        let batch = arrow_select::concat::concat_batches(&schema, &batches)?;
        ensure!(batch.num_rows() == limit, "it has {} rows where it says {limit}", batch.num_rows());
        Ok(batch)
    }
}

fn open(root: &Path, name: String) -> Result<SourceFile> {
    let path = root.join(&name);
    let told = || format!("read {} as Parquet", path.display());
    let mut file = File::open(&path).with_context(told)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone()?).with_context(told)?;
    let groups = builder.metadata().row_groups();
    let bytes = groups.iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0)).sum();
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let fingerprint = fingerprint(&mut file).with_context(told)?;
    let schema = Arc::clone(builder.schema());
    Ok(SourceFile { hive: hive::columns(&name), name, path, fingerprint, rows, bytes, schema })
}

fn fingerprint(file: &mut File) -> Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(FOOTER_END)))?;
    let mut end = [0; 4];
    file.read_exact(&mut end)?;
    let footer = u64::from(u32::from_le_bytes(end)).saturating_add(FOOTER_END);
    file.seek(SeekFrom::Start(length.saturating_sub(footer)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(format!("{length}:{}", hex::encode(&Sha256::digest(&bytes)[..16])))
}

/// Lists the files below a folder by their paths in it; what begins with `.` or `_` is no data, as everywhere.
fn walk(root: &Path, below: &str, found: &mut Vec<String>) -> Result<()> {
    let dir = root.join(below);
    for entry in fs::read_dir(&dir).with_context(|| format!("list the folder {}", dir.display()))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            bail!("a name in {} is not UTF-8: {}", dir.display(), entry.file_name().display());
        };
        if name.starts_with(['.', '_']) {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if fs::metadata(entry.path())?.is_dir() {
            walk(root, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn is_parquet(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".parquet", ".pq", ".parq"].iter().any(|end| name.ends_with(end))
}

/// Says whether a path fits a pattern: `*` and `?` stand for letters of one name, `**` for any folders.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once("**") {
        Some((before, after)) => {
            let Some(rest) = path.strip_prefix(before) else { return false };
            let after = after.strip_prefix('/').unwrap_or(after);
            after.is_empty()
                || (0..=rest.len())
                    .filter(|at| *at == 0 || rest.as_bytes()[at - 1] == b'/')
                    .any(|at| fits(after, &rest[at..]))
        }
        None => fits_bytes(pattern.as_bytes(), path.as_bytes()),
    }
}

fn fits_bytes(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => fits_bytes(rest, path),
        (Some((b'*', rest)), Some((first, behind))) => {
            fits_bytes(rest, path) || (*first != b'/' && fits_bytes(pattern, behind))
        }
        (Some((b'?', rest)), Some((first, behind))) => *first != b'/' && fits_bytes(rest, behind),
        (Some((wanted, rest)), Some((first, behind))) => wanted == first && fits_bytes(rest, behind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_paths_that_a_shell_would_find() {
        for (pattern, path) in [
            ("**", "a/b.parquet"),
            ("*.parquet", "b.parquet"),
            ("2026-*/*.parquet", "2026-01/x.parquet"),
            ("**/x?.parquet", "a/b/x1.parquet"),
            ("**/x.parquet", "x.parquet"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*.parquet", "a/b.parquet"), ("2026-*/*.parquet", "2026-01/a/x.parquet"), ("x?", "x"), ("a", "ab")]
        {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn ranges_have_each_row_of_a_file_once() {
        let file = |rows, bytes| SourceFile {
            name: String::new(),
            path: PathBuf::new(),
            fingerprint: String::new(),
            rows,
            bytes,
            schema: Arc::new(Schema::empty()),
            hive: BTreeMap::new(),
        };
        for (rows, bytes) in [(0, 0), (1, 1), (PIECE_ROWS_MAX, 1), (PIECE_ROWS_MAX + 1, 0), (10, PIECE_BYTES * 3)] {
            let ranges: Vec<_> = file(rows, bytes).ranges().collect();
            let mut next = 0;
            for range in &ranges {
                assert!(range.first == next && range.rows > 0, "{ranges:?}");
                next += range.rows;
            }
            assert_eq!(next, rows);
        }
    }
}
