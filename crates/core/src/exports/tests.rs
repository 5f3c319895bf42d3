use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampNanosecondArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use tidegate_model::{Seq, SeqRange, UnixNanos};

use super::*;

fn parquet(seqs: Vec<u64>, times: Vec<Option<i64>>) -> Vec<u8> {
    let times = TimestampNanosecondArray::from(times).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 2] = [("at", Arc::new(times)), ("_seq", Arc::new(UInt64Array::from(seqs)))];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a file")
}

#[tokio::test]
async fn a_folder_has_its_name_when_it_is_whole_and_says_what_is_in_it() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = ExportFolder::at(&root.path().join("d/records/1"));
    for _ in 0..2 {
        // The second attempt finds what the first one left.
        let mut file = folder.begin().await.expect("begun");
        file.write(b"half").await.expect("written");
        assert!(folder.manifest().await.expect("none").is_none());
    }
    let mut file = folder.begin().await.expect("begun");
    for piece in parquet(vec![7, 5, 9], vec![Some(3), None, Some(1)]).chunks(10) {
        file.write(piece).await.expect("written");
    }
    let written = file.finish().await.expect("synced");
    let found = contents(&written.path, Some("at")).expect("readable");
    let expect = Contents {
        rows: 3,
        seqs: Some(SeqRange { first: Seq(5), last: Seq(9) }),
        times: Some((UnixNanos(1), UnixNanos(3))),
    };
    assert_eq!(found, expect);
    folder.finish(&written, &json!({ "rows": 3 })).await.expect("in its place");
    assert_eq!(folder.manifest().await.expect("readable"), Some(json!({ "rows": 3 })));
    let mut names: Vec<_> = fs::read_dir(root.path().join("d/records")).expect("a folder").collect();
    assert_eq!(names.pop().expect("one").expect("a name").file_name(), "1");
    assert!(names.is_empty(), "nothing else is left");
    folder.remove().await.expect("removed");
    assert!(folder.manifest().await.expect("none").is_none());
}

#[test]
fn a_file_that_is_cut_or_doubled_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("rows.parquet");
    let whole = parquet(vec![1, 2, 3], vec![None; 3]);
    fs::write(&path, &whole[..whole.len() - 9]).expect("a file");
    assert!(matches!(contents(&path, Some("at")), Err(ExportError::Unreadable { .. })));
    fs::write(&path, parquet(vec![4, 5, 5, 4], vec![None; 4])).expect("a file");
    assert!(matches!(contents(&path, Some("at")), Err(ExportError::Wrong { .. })));
    fs::write(&path, parquet(vec![], vec![])).expect("a file");
    assert_eq!(contents(&path, None).expect("no rows"), Contents::default());
}
