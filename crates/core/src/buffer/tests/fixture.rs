//! Bytes that version 1 wrote, and what they mean. The files are frozen: this program must go on reading them.

use std::fmt::Write as _;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_cast::display::array_value_to_string;

use super::super::{Remembered, SegmentReading, read_segment};
use super::world::{World, hot};

const SEGMENTS: [&str; 3] = ["segment-00000000000000000001.wal", "segment-00000000000000000002.wal", "torn.wal"];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/wal/v1"))
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("the fixture is in the repository")
}

fn told(name: &str, reading: &SegmentReading) -> String {
    let mut text = format!(
        "{name}: buffer {}, segment {}, {} good bytes, damage: {}\n",
        reading.buffer,
        reading.segment,
        reading.good_bytes,
        reading.damage.unwrap_or("none")
    );
    for frame in &reading.frames {
        let key = frame.retry.map_or_else(|| "none".to_owned(), |retry| format!("{:x}/{:x}", retry.key, retry.content));
        let answer = String::from_utf8_lossy(&frame.answer);
        writeln!(text, "  frame {} at {}, key {key}, answer `{answer}`", frame.number, frame.received_at.0)
            .expect("text takes text");
        for (table, range, rows) in &frame.sections {
            writeln!(text, "    {table} {range}").expect("text takes text");
            for row in 0..rows.num_rows() {
                writeln!(text, "      {}", row_text(rows, row)).expect("text takes text");
            }
        }
    }
    text
}

fn row_text(rows: &RecordBatch, row: usize) -> String {
    let schema = rows.schema();
    let cells = schema.fields().iter().zip(rows.columns()).map(|(field, column)| {
        format!("{}={}", field.name(), array_value_to_string(column, row).expect("a value to show"))
    });
    cells.collect::<Vec<_>>().join(" ")
}

#[test]
fn version_1_reads_as_ever() {
    let readings = SEGMENTS.map(|name| told(name, &read_segment(&bytes(name)).expect("a segment")));
    expect_test::expect_file!["../../../../../testdata/wal/v1/reading.txt"].assert_eq(&readings.concat());
}

#[tokio::test]
async fn version_1_opens_as_ever() {
    let world = World::new(50);
    for name in &SEGMENTS[..2] {
        world.disk.put(&world.options.dir.join(name), &bytes(name));
    }
    let (buffer, recovery) = world.open(Remembered::default()).expect("opens");
    assert_eq!((recovery.frames, recovery.rows, recovery.torn_bytes), (5, 9, 0));
    assert_eq!(hot(&buffer, "logs"), [(1, 1), (2, 2), (3, 3), (4, 6), (5, 7), (6, 8)]);
    assert_eq!(hot(&buffer, "spans"), [(1, 4), (2, 5), (3, 9)]);
}
