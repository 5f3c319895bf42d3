use tidegate_model::Seq;

use super::super::{Buffer, BufferOptions, Remembered};
use super::world::{World, hot, table, write};

#[tokio::test]
async fn a_copy_of_the_log_has_every_acknowledged_row_and_goes_on() {
    let world = World::new(1);
    let buffer = world.open_fresh();
    for id in 0..60 {
        buffer.append(write("logs", &[id])).await.expect("durable");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("wal");
    let tails = buffer.copy_log(into.clone()).await.expect("copied");
    assert_eq!((tails[0].table.clone(), tails[0].stored, tails[0].head), (table("logs"), Seq(0), Seq(60)));
    let segments = std::fs::read_dir(&into).expect("the copy").count();
    assert!(segments > 2, "{segments} segments: the copy goes over their borders");
    buffer.append(write("logs", &[1_000])).await.expect("durable");

    let options = BufferOptions { dir: into, ..world.options.clone() };
    let open = || Buffer::open(options.clone(), world.clock.clone(), Remembered::default()).expect("a whole log");
    let (copy, recovery) = open();
    assert_eq!((recovery.rows, recovery.torn_bytes, copy.id()), (60, 0, buffer.id()));
    assert_eq!(hot(&copy, "logs"), (0..60).map(|id| (id + 1, id)).collect::<Vec<_>>());
    copy.append(write("logs", &[7])).await.expect("durable");
    copy.close().await.expect("closed");
    drop(copy);
    let (copy, recovery) = open();
    assert_eq!((recovery.rows, recovery.torn_bytes), (61, 0));
    assert_eq!(hot(&copy, "logs").last(), Some(&(61, 7)));
}

#[tokio::test]
async fn no_cut_is_closed_while_all_are_held() {
    let buffer = World::new(2).open_fresh();
    buffer.append(write("logs", &[1])).await.expect("durable");
    let holds = [buffer.hold_all(), buffer.hold_all()];
    buffer.append(write("spans", &[2])).await.expect("durable");
    for hold in holds {
        assert!(buffer.seal(&table("logs"), 10, 1 << 20).is_none());
        assert!(buffer.seal(&table("spans"), 10, 1 << 20).is_none(), "a table that came later is held too");
        drop(hold);
    }
    assert!(!buffer.has_open_cut());
    assert!(buffer.seal(&table("logs"), 10, 1 << 20).is_some());
    assert!(buffer.has_open_cut());
    buffer.advance(&table("logs"), Seq(1));
    assert!(!buffer.has_open_cut());
}
