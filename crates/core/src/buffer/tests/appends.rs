use tidegate_model::{Seq, SeqRange};

use super::super::{Appended, BufferError, Remembered};
use super::world::{World, hot, keyed, numbered, rows, table, write};

#[tokio::test]
async fn acked_rows_are_in_the_next_snapshot_with_their_numbers() {
    let buffer = World::new(1).open_fresh();
    let first = buffer.append(write("logs", &[10, 11])).await.expect("durable");
    assert_eq!(first, Appended::Rows(vec![(table("logs"), SeqRange { first: Seq(1), last: Seq(2) })]));
    buffer.append(write("spans", &[20])).await.expect("durable");
    buffer.append(write("logs", &[12])).await.expect("durable");
    assert_eq!(hot(&buffer, "logs"), [(1, 10), (2, 11), (3, 12)]);
    assert_eq!(hot(&buffer, "spans"), [(1, 20)]);
    assert_eq!(hot(&buffer, "unknown"), []);
}

#[tokio::test]
async fn rows_come_back_equal_after_a_power_cut() {
    let mut world = World::new(2);
    let buffer = world.open_fresh();
    for id in 0..50 {
        buffer.append(write("logs", &[id, id + 100])).await.expect("durable");
    }
    let id = buffer.id();
    world.disk = world.disk.cut_power();
    drop(buffer);
    let (buffer, recovery) = world.open(Remembered::default()).expect("recovers");
    assert_eq!((recovery.frames, recovery.rows, recovery.torn_bytes), (50, 100, 0));
    assert_eq!(buffer.id(), id);
    let tail = buffer.snapshot(&[table("logs")]).remove(0);
    assert_eq!(tail.chunks.len(), 50);
    for (id, chunk) in (0..).zip(&tail.chunks) {
        assert_eq!(chunk.rows().expect("readable"), rows(&[id, id + 100]));
    }
}

#[tokio::test]
async fn a_retry_is_answered_as_the_first_time() {
    let mut world = World::new(3);
    let buffer = world.open_fresh();
    buffer.append(keyed("logs", &[1, 2], 7, 70)).await.expect("durable");
    let again = buffer.append(keyed("logs", &[1, 2], 7, 70)).await.expect("known");
    assert_eq!(again, Appended::Retry(b"told 7".to_vec()));
    let conflict = buffer.append(keyed("logs", &[3], 7, 71)).await;
    assert!(matches!(conflict, Err(BufferError::KeyConflict)), "{conflict:?}");
    assert_eq!(buffer.status()[0].duplicate, 2);
    world.disk = world.disk.cut_power();
    drop(buffer);
    let buffer = world.open_fresh();
    let again = buffer.append(keyed("logs", &[1, 2], 7, 70)).await.expect("known");
    assert_eq!(again, Appended::Retry(b"told 7".to_vec()));
    assert_eq!(hot(&buffer, "logs"), [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn cuts_are_whole_requests_and_leave_when_stored() {
    let buffer = World::new(4).open_fresh();
    for first in [1, 4, 7] {
        buffer.append(write("logs", &[first, first + 1, first + 2])).await.expect("durable");
    }
    let cut = buffer.seal(&table("logs"), 7, u64::MAX).expect("rows wait");
    assert_eq!(numbered(&cut.chunks), (1..=6).map(|n| (n, n)).collect::<Vec<_>>());
    let tail = buffer.snapshot(&[table("logs")]).remove(0);
    assert!(tail.in_flight);
    assert_eq!((tail.stored, tail.head), (Seq(0), Seq(9)));
    buffer.advance(&table("logs"), cut.range.last);
    buffer.advance(&table("logs"), Seq(2));
    assert_eq!(hot(&buffer, "logs"), [(7, 7), (8, 8), (9, 9)]);
    assert_eq!(numbered(&cut.chunks).len(), 6);
    let cut = buffer.seal(&table("logs"), 1, 1).expect("at least one request");
    assert_eq!(cut.range, SeqRange { first: Seq(7), last: Seq(9) });
    assert!(buffer.seal(&table("logs"), 1, 1).is_none());
    assert_eq!(buffer.status()[0].unsealed_bytes, 0);
}
