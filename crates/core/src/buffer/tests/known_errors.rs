use std::path::PathBuf;
use std::sync::Arc;

use expect_test::{Expect, expect};
use tidegate_model::{BufferId, Disk, Seq};
use tidegate_sim::SimDisk;

use super::super::frame::{FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES};
use super::super::{Buffer, BufferOptions, Remembered, Site, read_segment};
use super::world::{World, hot, table, write};
use crate::world::{SystemClock, SystemDisk};

fn segment(number: u64) -> PathBuf {
    PathBuf::from(format!("/wal/segment-{number:020}.wal"))
}

/// Writes frames of one row each, and drops the buffer.
async fn written(seed: u64, frames: u64) -> World {
    let mut world = World::new(seed);
    let buffer = world.open_fresh();
    for id in 0..frames {
        buffer.append(write("logs", &[id])).await.expect("durable");
    }
    world.disk = world.disk.kill();
    world
}

fn frame_offsets(disk: &SimDisk, number: u64) -> Vec<usize> {
    let bytes = disk.content(&segment(number)).expect("the segment is there");
    let mut offsets = vec![SEGMENT_HEADER_BYTES];
    while let Some(header) = FrameHeader::decode(&bytes[offsets[offsets.len() - 1]..]) {
        offsets.push(offsets[offsets.len() - 1] + usize::try_from(header.frame_bytes).expect("small"));
    }
    offsets
}

fn check_refused(world: &World, remembered: Remembered, expected: Expect) {
    let Err(refused) = world.open(remembered) else { panic!("the folder is to be refused") };
    expected.assert_eq(&format!("{:?}: {refused}", refused.kind()));
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_counted() {
    let world = written(30, 3).await;
    let offsets = frame_offsets(&world.disk, 1);
    world.disk.flip(&segment(1), offsets[3] - 1, 0xff);
    let (buffer, recovery) = world.open(Remembered::default()).expect("a torn tail is no damage");
    assert_eq!((recovery.frames, recovery.rows), (2, 2));
    assert_eq!(recovery.torn_bytes, (offsets[3] - offsets[2]) as u64);
    buffer.append(write("logs", &[9])).await.expect("goes on");
    assert_eq!(hot(&buffer, "logs"), [(1, 0), (2, 1), (3, 9)]);
    drop(buffer);
    assert_eq!(world.open(Remembered::default()).expect("opens").1.torn_bytes, 0);
}

#[tokio::test]
async fn a_damaged_frame_before_a_synced_one_is_refused() {
    let world = written(31, 4).await;
    world.disk.flip(&segment(1), frame_offsets(&world.disk, 1)[1] + FRAME_HEADER_BYTES + 3, 1);
    check_refused(
        &world,
        Remembered::default(),
        expect![
            "Corrupt: the write-ahead log is damaged: frame 2, at byte 1632 of /wal/segment-00000000000000000001.wal, is not what was written, and frame 3 after it says that it was synced; restore /wal from a backup, or move it aside to go on without those of its rows that are not in ClickHouse yet"
        ],
    );
}

#[tokio::test]
async fn a_damaged_frame_in_an_earlier_segment_is_refused() {
    let world = written(32, 12).await;
    world.disk.flip(&segment(1), frame_offsets(&world.disk, 1)[2], 1);
    check_refused(
        &world,
        Remembered::default(),
        expect![
            "Corrupt: the write-ahead log is damaged: frame 3, at byte 3200 of /wal/segment-00000000000000000001.wal, is not what was written, and frames after it were acknowledged; restore /wal from a backup, or move it aside to go on without those of its rows that are not in ClickHouse yet"
        ],
    );
}

#[tokio::test]
async fn a_missing_segment_is_refused() {
    let world = written(33, 30).await;
    world.disk.remove(&segment(2)).expect("it was there");
    check_refused(
        &world,
        Remembered::default(),
        expect![[
            r#"Corrupt: the write-ahead log is damaged: a segment is missing before /wal/segment-00000000000000000003.wal; restore /wal from a backup, or move it aside to go on without those of its rows that are not in ClickHouse yet"#
        ]],
    );
}

#[tokio::test]
async fn another_version_is_refused_with_both_numbers() {
    let world = written(34, 1).await;
    world.disk.flip(&segment(1), 8, 1 ^ 7);
    check_refused(
        &world,
        Remembered::default(),
        expect![[
            r#"Invalid: /wal/segment-00000000000000000001.wal has version 7 of the write-ahead log's format, this program knows version 1; start the Tidegate that wrote it, let it flush, then upgrade"#
        ]],
    );
}

#[tokio::test]
async fn a_log_that_begins_after_the_watermark_is_refused() {
    let world = written(35, 12).await;
    let buffer = world.open_fresh();
    buffer.advance(&table("logs"), Seq(12));
    buffer.trim(&[]).await.expect("trims");
    drop(buffer);
    check_refused(
        &world,
        Remembered::default(),
        expect![
            "Corrupt: the write-ahead log is damaged: rows 1 to 10 of table logs are missing before byte 168 of /wal/segment-00000000000000000002.wal: the catalog and the log are not of one time; restore both from one backup, or move the log's folder aside to go on without its rows"
        ],
    );
}

#[tokio::test]
async fn a_folder_is_opened_once() {
    let world = World::new(36);
    let _open = world.open_fresh();
    check_refused(
        &world,
        Remembered::default(),
        expect![[
            r#"Unavailable: another process has the write-ahead log in /wal open; stop it, or start with another data folder"#
        ]],
    );
}

#[tokio::test]
async fn a_frame_that_does_not_follow_is_not_read() {
    let other = written(37, 2).await;
    let mut bytes = other.disk.content(&segment(1)).expect("the segment is there");
    assert_eq!(read_segment(&bytes).expect("a segment").frames.len(), 2);
    // The first frame of another run: same buffer, same number, same length, other rows.
    let offsets = frame_offsets(&other.disk, 1);
    let another = another_first_frame().await;
    bytes[offsets[0]..offsets[1]].copy_from_slice(&another[offsets[0]..offsets[1]]);
    let reading = read_segment(&bytes).expect("a segment");
    assert_eq!(reading.frames.len(), 1, "the second frame is of another history");
}

async fn another_first_frame() -> Vec<u8> {
    let world = World::new(39);
    let buffer = world.open_fresh();
    buffer.append(write("logs", &[6])).await.expect("durable");
    world.disk.content(&segment(1)).expect("the segment is there")
}

#[tokio::test]
async fn the_real_disk_keeps_rows_and_locks_the_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = BufferOptions { dir: dir.path().join("wal"), ..World::new(0).options };
    let site = Site {
        disk: Arc::new(SystemDisk),
        clock: Arc::new(SystemClock::start()),
        fresh_id: BufferId(1),
        segment_bytes: super::world::SEGMENT_BYTES,
    };
    let open = || Buffer::open_at(&site, &options, Remembered::default());
    let (buffer, _) = open().expect("opens");
    for id in 0..30 {
        buffer.append(write("logs", &[id])).await.expect("durable");
    }
    assert!(open().is_err(), "the folder is locked");
    buffer.close().await.expect("closes");
    let cut = buffer.seal(&table("logs"), 20, u64::MAX).expect("rows wait");
    buffer.advance(&table("logs"), cut.range.last);
    assert!(buffer.trim(&[]).await.expect("trims") > 0);
    drop(buffer);
    let stored = [(table("logs"), cut.range.last)].into();
    let (buffer, recovery) =
        Buffer::open_at(&site, &options, Remembered { stored, ..Remembered::default() }).expect("opens");
    assert_eq!((recovery.rows, recovery.torn_bytes), (10, 0));
    assert_eq!(hot(&buffer, "logs").first(), Some(&(21, 20)));
}
