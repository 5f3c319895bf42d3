use std::fmt::Write as _;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Int64Array, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::FileWriter;
use expect_test::{Expect, expect};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::ingest::rows::tests::rows_text;

/// Writes a file, reads it back as requests, and shows them.
fn check(name: &str, content: &[u8], expected: &Expect) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let mut text = String::new();
    match open(&path, FileFormat::of(&path).unwrap()) {
        Ok(rows) => rows.for_each(|batch| show(&mut text, batch)),
        Err(error) => write!(text, "{error}").unwrap(),
    }
    expected.assert_eq(&text);
}

fn show(text: &mut String, batch: Result<FileBatch, FileError>) {
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => return write!(text, "{error}").unwrap(),
    };
    let reader = StreamReader::try_new(Cursor::new(&batch.arrow_ipc), None).unwrap();
    let types: Vec<_> = reader.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    let rows: String = reader.map(|rows| rows_text(&rows.unwrap())).collect();
    writeln!(text, "rows {:?}, {} bytes: {}", batch.places, batch.bytes_read, types.join(", ")).unwrap();
    text.push_str(&rows);
    for rejection in batch.rejected.listed {
        writeln!(text, "{rejection}").unwrap();
    }
}

fn table() -> RecordBatch {
    let names = Arc::new(StringArray::from(vec![Some("x"), None]));
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as _), ("s", names as _)]).unwrap()
}

#[test]
fn ndjson_has_one_schema_for_the_whole_file() {
    let body = b"{\"a\":1,\"t\":\"2026-11-21T05:00:00Z\"}\nnot json\n{\"a\":1.5,\"late\":[1]}\n\n{\"a\":2}";
    check(
        "rows.ndjson",
        body,
        &expect![[r#"
            rows [0, 2, 3], 73 bytes: Float64, Timestamp(ns, "UTC"), Utf8
            1.0 | 2026-11-21T05:00:00Z | ·
            1.5 | · | [1]
            2.0 | · | ·
            row 1: not valid JSON at column 1: expected a value
        "#]],
    );
}

#[test]
fn json_is_an_array() {
    check(
        "rows.json",
        b"[{\"a\":1},{\"a\":\"x\"}]",
        &expect![[r#"
            rows [0, 1], 19 bytes: Utf8
            1
            x
        "#]],
    );
    check("rows.json", b"[{\"a\":1},", &expect!["read the file as JSON"]);
}

#[test]
fn csv_types_hold_every_line() {
    check(
        "rows.csv",
        b"n,d,s,t,b\n1,1,x,2026-11-21T05:00:00,true\n2,1.5,\"a,b\",,false\n",
        &expect![[r#"
            rows [0, 1], 60 bytes: Int64, Float64, Utf8, Timestamp(s), Boolean
            1 | 1.0 | x | 2026-11-21T05:00:00 | true
            2 | 1.5 | a,b | · | false
        "#]],
    );
}

#[test]
fn parquet_and_arrow_come_as_they_are() {
    let rows = table();
    let mut parquet = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    parquet.write(&rows).unwrap();
    let parquet = parquet.into_inner().unwrap();
    check("rows.parquet", &parquet[..parquet.len() - 1], &expect!["read the file as Parquet"]);
    let shown = |name: &str, content: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let batches: Vec<_> = open(&path, FileFormat::of(&path).unwrap()).unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].bytes_read, content.len() as u64);
        StreamReader::try_new(Cursor::new(batches[0].arrow_ipc.clone()), None).unwrap().next().unwrap().unwrap()
    };
    assert_eq!(shown("rows.parquet", &parquet).columns(), rows.columns());
    let mut file = FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    file.write(&rows).unwrap();
    assert_eq!(shown("rows.arrow", &file.into_inner().unwrap()).columns(), rows.columns());
    assert_eq!(shown("rows.arrow", &stream(&rows).unwrap()).columns(), rows.columns());
}

#[test]
fn a_large_file_comes_in_several_requests() {
    let line = format!("{{\"a\":1,\"s\":\"{}\"}}\n", "x".repeat(1_000));
    let body = line.repeat(10_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.ndjson");
    std::fs::write(&path, &body).unwrap();
    let batches: Vec<_> = open(&path, FileFormat::Ndjson).unwrap().map(Result::unwrap).collect();
    assert!(batches.len() > 1);
    assert_eq!(
        batches.iter().flat_map(|batch| batch.places.clone()).collect::<Vec<_>>(),
        (0..10_000).collect::<Vec<_>>()
    );
    assert_eq!(batches.last().unwrap().bytes_read, body.len() as u64);
}
