use tidegate_sim::Faults;

use super::super::{Appended, BufferError, Remembered};
use super::world::{World, hot, keyed, numbered, table, write};

const SYNC_FAILS: Faults = Faults { write_fails: 0.0, write_is_short: 0.0, sync_fails: 1.0 };
const WRITE_FAILS: Faults = Faults { write_fails: 1.0, write_is_short: 0.0, sync_fails: 0.0 };

#[tokio::test]
async fn a_failed_sync_ends_all_acks_until_a_restart() {
    let mut world = World::new(10);
    let buffer = world.open_fresh();
    buffer.append(write("logs", &[1])).await.expect("durable");
    world.disk.set_faults(SYNC_FAILS);
    let failed = buffer.append(write("logs", &[2])).await;
    assert!(matches!(failed, Err(BufferError::Poisoned { .. })), "{failed:?}");
    world.disk.set_faults(Faults::default());
    let later = buffer.append(write("logs", &[3])).await;
    assert!(matches!(later, Err(BufferError::Poisoned { .. })), "{later:?}");
    assert!(matches!(buffer.refusal(), Some(BufferError::Poisoned { .. })));
    assert!(matches!(buffer.close().await, Err(BufferError::Poisoned { .. })));
    assert_eq!(hot(&buffer, "logs"), [(1, 1)]);

    world.disk = world.disk.cut_power();
    drop(buffer);
    let buffer = world.open_fresh();
    buffer.append(write("logs", &[4])).await.expect("durable again");
    let ids: Vec<_> = hot(&buffer, "logs").into_iter().map(|(_, id)| id).collect();
    assert!(ids == [1, 4] || ids == [1, 2, 4], "the row of the failed sync is there or not: {ids:?}");
}

#[tokio::test]
async fn a_failed_write_costs_one_request_and_no_number() {
    let world = World::new(11);
    let buffer = world.open_fresh();
    buffer.append(write("logs", &[1])).await.expect("durable");
    world.disk.set_faults(WRITE_FAILS);
    let failed = buffer.append(keyed("logs", &[2, 3], 5, 50)).await;
    assert!(matches!(failed, Err(BufferError::Io { .. })), "{failed:?}");
    world.disk.set_faults(Faults::default());
    assert!(buffer.refusal().is_none());
    let again = buffer.append(keyed("logs", &[2, 3], 5, 50)).await.expect("its key was let go");
    assert!(matches!(again, Appended::Rows(_)), "{again:?}");
    assert_eq!(hot(&buffer, "logs"), [(1, 1), (2, 2), (3, 3)]);
}

#[tokio::test]
async fn rows_shown_after_a_kill_survive_a_power_cut() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        world.options.sync_always = false;
        world.options.sync_interval_ms = 1_000_000;
        let buffer = world.open_fresh();
        buffer.append(write("logs", &[1])).await.expect("written, not synced");
        world.disk = world.disk.kill();
        drop(buffer);
        let buffer = world.open_fresh();
        assert_eq!(hot(&buffer, "logs"), [(1, 1)]);
        world.disk = world.disk.cut_power();
        drop(buffer);
        assert_eq!(hot(&world.open_fresh(), "logs"), [(1, 1)]);
    }
}

#[tokio::test]
async fn unsynced_rows_are_shown_but_not_sealed() {
    let mut world = World::new(13);
    world.options.sync_always = false;
    world.options.sync_interval_ms = 1;
    let buffer = world.open_fresh();
    buffer.append(write("logs", &[1])).await.expect("written");
    assert_eq!(hot(&buffer, "logs"), [(1, 1)]);
    assert!(buffer.seal(&table("logs"), 10, u64::MAX).is_none(), "ClickHouse must not know what a power cut forgets");
    buffer.grown().await;
    world.clock.pass(std::time::Duration::from_millis(2));
    buffer.grown().await;
    assert!(buffer.seal(&table("logs"), 10, u64::MAX).is_some());
}

#[tokio::test]
async fn a_chunk_in_use_outlives_its_segment() {
    let mut world = World::new(14);
    world.options.hot_tail_bytes = 0;
    let buffer = world.open_fresh();
    let fill = async |from: u64| {
        for id in from..from + 20 {
            buffer.append(write("logs", &[id, id, id, id])).await.expect("durable");
        }
    };
    fill(0).await;
    let cut = buffer.seal(&table("logs"), u64::MAX, u64::MAX).expect("rows wait");
    let before = numbered(&cut.chunks);
    for from in [100, 200, 300] {
        buffer.advance(&table("logs"), cut.range.last);
        buffer.trim(&[]).await.expect("trims");
        fill(from).await;
    }
    assert_eq!(numbered(&cut.chunks), before);
}

#[tokio::test]
async fn trimmed_segments_are_used_again() {
    let world = World::new(15);
    let buffer = world.open_fresh();
    let mut most = 0;
    for id in 0..400 {
        buffer.append(write("logs", &[id])).await.expect("durable");
        if id % 8 == 0 {
            let cut = buffer.seal(&table("logs"), u64::MAX, u64::MAX).expect("rows wait");
            buffer.advance(&table("logs"), cut.range.last);
            buffer.trim(&[]).await.expect("trims");
            most = most.max(buffer.wal_bytes());
        }
    }
    assert!(most <= 8 * super::world::SEGMENT_BYTES, "{most} bytes");
}

#[tokio::test]
async fn cuts_of_a_crashed_run_are_repeated_alike() {
    let mut world = World::new(16);
    let buffer = world.open_fresh();
    for id in 1..=6 {
        buffer.append(write("logs", &[id * 10, id * 10 + 1])).await.expect("durable");
    }
    let first = buffer.seal(&table("logs"), 4, u64::MAX).expect("rows wait");
    let second = buffer.seal(&table("logs"), 4, u64::MAX).expect("rows wait");
    world.disk = world.disk.cut_power();
    drop(buffer);
    let stored = [(table("logs"), first.range.last)].into();
    let (buffer, _) = world.open(Remembered { stored, ..Remembered::default() }).expect("recovers");
    assert!(buffer.reseal(&table("logs"), first.range).expect("known").is_none());
    let again = buffer.reseal(&table("logs"), second.range).expect("known").expect("not stored");
    assert_eq!(numbered(&again.chunks), numbered(&second.chunks));
    let third = buffer.seal(&table("logs"), u64::MAX, u64::MAX).expect("rows wait");
    assert_eq!(third.range.first, second.range.last.next());
}

#[tokio::test]
async fn concurrent_retries_write_once() {
    let world = World::new(17);
    let buffer = world.open_fresh();
    let outcomes = futures_util::future::join_all((0..10).map(|_| buffer.append(keyed("logs", &[1], 3, 30)))).await;
    let written = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Appended::Rows(_)))).count();
    let retries = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Appended::Retry(_)))).count();
    assert_eq!((written, retries), (1, 9));
    assert_eq!(hot(&buffer, "logs"), [(1, 1)]);
}

#[tokio::test]
async fn closing_writes_what_waits_and_refuses_the_rest() {
    let mut world = World::new(18);
    let buffer = world.open_fresh();
    let waiting: Vec<_> = (0..8)
        .map(|id| {
            let buffer = buffer.clone();
            tokio::spawn(async move { buffer.append(write("logs", &[id])).await })
        })
        .collect();
    tokio::task::yield_now().await;
    buffer.close().await.expect("syncs");
    buffer.close().await.expect("twice is once");
    let refused = buffer.append(write("logs", &[9])).await;
    assert!(matches!(refused, Err(BufferError::Closed)), "{refused:?}");
    let mut acked = 0;
    for append in waiting {
        acked += usize::from(append.await.expect("no panic").is_ok());
    }
    world.disk = world.disk.cut_power();
    drop(buffer);
    assert_eq!(hot(&world.open_fresh(), "logs").len(), acked);
}
