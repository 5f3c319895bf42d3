use std::time::Duration;

use tidegate_model::ErrorKind;
use tidegate_model::limits::{ANSWER_BYTES_MAX, DISK_FREE_CHECK_MS};

use super::super::{BufferError, Remembered, Rows, Write};
use super::world::{World, hot, rows, table, write};

#[tokio::test]
async fn a_full_log_refuses_until_it_is_trimmed() {
    let mut world = World::new(20);
    world.options.wal_bytes = 64 << 10;
    let buffer = world.open_fresh();
    let mut id = 0;
    let refused = loop {
        match buffer.append(write("logs", &[id])).await {
            Ok(_) => id += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(buffer.wal_bytes() <= world.options.wal_bytes);
    assert_eq!(hot(&buffer, "logs").len() as u64, id);
    let cut = buffer.seal(&table("logs"), u64::MAX, u64::MAX).expect("rows wait");
    buffer.advance(&table("logs"), cut.range.last);
    assert!(buffer.trim(&[]).await.expect("trims") > 0);
    buffer.append(write("logs", &[id])).await.expect("there is room again");
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_when_space_is_back() {
    let world = World::new(21);
    world.disk.set_capacity(40 << 10);
    let buffer = world.open_fresh();
    let mut id = 0;
    let refused = loop {
        match buffer.append(write("logs", &[id])).await {
            Ok(_) => id += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, BufferError::Full { what, .. } if what.contains("no space left")), "{refused:?}");
    assert!(id > 3);
    world.disk.set_capacity(1 << 20);
    buffer.append(write("logs", &[id])).await.expect("there is room again");
    assert_eq!(hot(&buffer, "logs").len() as u64, id + 1);
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_before_it_is_full() {
    let mut world = World::new(22);
    world.options.disk_free_bytes_min = 1 << 20;
    let buffer = world.open_fresh();
    buffer.append(write("logs", &[1])).await.expect("there is room");
    world.disk.set_capacity(1 << 20);
    world.clock.pass(Duration::from_millis(DISK_FREE_CHECK_MS));
    let refused = buffer.append(write("logs", &[2])).await;
    assert!(matches!(&refused, Err(BufferError::Full { what, .. }) if what.contains("reserve")), "{refused:?}");
    assert!(buffer.refusal().is_some());
    world.disk.set_capacity(64 << 20);
    world.clock.pass(Duration::from_millis(DISK_FREE_CHECK_MS));
    assert!(buffer.refusal().is_none());
}

#[tokio::test]
async fn rows_beyond_the_memory_budget_are_read_back_from_the_log() {
    let mut world = World::new(23);
    world.options.hot_tail_bytes = 20 << 10;
    let buffer = world.open_fresh();
    for id in 0..40 {
        buffer.append(write("logs", &[id])).await.expect("durable");
    }
    let kept = buffer.hot_bytes();
    assert!(kept > 0 && kept <= world.options.hot_tail_bytes, "{kept}");
    let expected: Vec<_> = (0..40).map(|id| (id + 1, id)).collect();
    assert_eq!(hot(&buffer, "logs"), expected);
    drop(buffer);
    let (buffer, recovery) = world.open(Remembered::default()).expect("recovers");
    assert_eq!(recovery.rows, 40);
    assert!(buffer.hot_bytes() <= world.options.hot_tail_bytes);
    assert_eq!(hot(&buffer, "logs"), expected);
    buffer.advance(&table("logs"), tidegate_model::Seq(40));
    assert_eq!(buffer.hot_bytes(), 0);
}

#[tokio::test]
async fn a_frame_larger_than_a_segment_gets_its_own() {
    let mut world = World::new(24);
    let buffer = world.open_fresh();
    let large: Vec<_> = (0..2_000).collect();
    buffer.append(write("logs", &[7])).await.expect("durable");
    buffer.append(write("logs", &large)).await.expect("durable");
    buffer.append(write("logs", &[8])).await.expect("durable");
    world.disk = world.disk.cut_power();
    drop(buffer);
    let rows = hot(&world.open_fresh(), "logs");
    assert_eq!(rows.len(), 2_002);
    assert_eq!(rows.last(), Some(&(2_002, 8)));
}

#[tokio::test]
async fn what_cannot_be_a_frame_is_refused_as_invalid() {
    let buffer = World::new(25).open_fresh();
    let long = Write::new(vec![], None, vec![0; ANSWER_BYTES_MAX + 1]);
    let refused = buffer.append(long).await.expect_err("its answer is too long");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let empty = Write::new(vec![Rows { table: table("logs"), rows: rows(&[]) }], None, Vec::new());
    buffer.append(empty).await.expect("no rows are no section");
    assert_eq!(hot(&buffer, "logs"), []);
}
