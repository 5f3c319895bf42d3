use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_model::Signal;
use tidegate_sim::{Faults, SimDisk};

use super::*;

const SEEDS: u64 = 60;
const STEPS: usize = 250;
const BYTES_MAX: u64 = 1 << 20;

fn options(fresh_id: u64) -> QueueOptions {
    QueueOptions { dir: PathBuf::from("/queue"), bytes_max: BYTES_MAX, fresh_id }
}

fn open(disk: &SimDisk, fresh_id: u64) -> Queue {
    Queue::open(Arc::new(disk.clone()), options(fresh_id)).expect("a disk without faults opens")
}

fn entry<'a>(body: &'a [u8], marks: &'a [MarkChange]) -> Entry<'a> {
    Entry { signal: Signal::Logs, rows: 1, body, is_packed: false, marks }
}

/// What a queue is compared with: a plain list of lines, and what the server holds by key.
#[derive(Default)]
struct Model {
    /// The source's lines that the queue took so far, by its mark.
    read: u64,
    synced: u64,
    server: HashMap<String, u64>,
}

impl Model {
    /// The source's next line goes in with the mark behind it; the body says which line it is.
    fn append(&mut self, queue: &mut Queue, padding: usize) -> Result<(), QueueError> {
        let mut body = (self.read + 1).to_le_bytes().to_vec();
        body.resize(8 + padding, 7);
        queue.append(&entry(&body, &[("source".into(), Some((self.read + 1).to_string()))]))?;
        self.read += 1;
        Ok(())
    }

    fn sync(&mut self, queue: &mut Queue) -> Result<(), QueueError> {
        queue.sync()?;
        self.synced = self.read;
        Ok(())
    }

    /// Sends one request; the answer may get lost.
    fn send(&mut self, queue: &mut Queue, is_answered: bool) -> Result<(), QueueError> {
        let Some(request) = queue.next_request()? else { return Ok(()) };
        let line = u64::from_le_bytes(request.body[..8].try_into().unwrap());
        // What was sent must be there after any crash: the server has it.
        self.synced = self.synced.max(line);
        let before = self.server.insert(request.key.clone(), line);
        assert!(before.is_none_or(|before| before == line), "a key was given to two contents");
        if is_answered { queue.delivered(&request) } else { Ok(()) }
    }

    /// After a restart the source is read on from the mark.
    fn restarted(&mut self, queue: &Queue) {
        let mark = queue.marks().get("source").map_or(0, |mark| mark.parse().unwrap());
        assert!(mark >= self.synced, "durable lines are gone: the mark is {mark}, {} were synced", self.synced);
        assert!(mark <= self.read, "the mark is ahead of what was read");
        assert_eq!(queue.lost(), 0);
        // All that recovery found is durable.
        (self.read, self.synced) = (mark, mark);
    }

    fn each_line_is_there_once(&self) {
        let mut lines: Vec<u64> = self.server.values().copied().collect();
        lines.sort_unstable();
        assert_eq!(lines, (1..=self.read).collect::<Vec<_>>());
    }
}

#[test]
fn each_line_reaches_the_server_once_over_kills_power_cuts_and_disk_faults() {
    for seed in 0..SEEDS {
        let mut disk = SimDisk::new(seed, 64 << 20);
        let mut queue = open(&disk, seed + 1);
        let mut model = Model::default();
        for _ in 0..STEPS {
            let draw = disk.draw();
            let outcome = match draw % 16 {
                0..=6 => model.append(&mut queue, usize::try_from(draw >> 32 & 0x7fff).unwrap()),
                7..=9 => model.sync(&mut queue),
                10..=13 => model.send(&mut queue, draw >> 40 & 3 > 0),
                14 => {
                    let faults = Faults { write_fails: 0.1, write_is_short: 0.2, sync_fails: 0.2 };
                    disk.set_faults(if draw >> 40 & 1 == 0 { faults } else { Faults::default() });
                    Ok(())
                }
                _ => Err(QueueError::Closed),
            };
            match outcome {
                Ok(()) | Err(QueueError::Full { .. }) => {}
                Err(_) => {
                    disk = if draw >> 41 & 1 == 0 { disk.cut_power() } else { disk.kill() };
                    drop(queue);
                    queue = open(&disk, 0);
                    model.restarted(&queue);
                }
            }
        }
        disk.set_faults(Faults::default());
        drop(queue);
        let disk = disk.kill();
        let mut queue = open(&disk, 0);
        model.restarted(&queue);
        while queue.waiting() > 0 {
            model.send(&mut queue, true).unwrap();
        }
        model.each_line_is_there_once();
        assert_eq!(queue.waiting_rows(), 0, "seed {seed}");
    }
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_requests_are_delivered() {
    let disk = SimDisk::new(1, 64 << 20);
    let mut queue = open(&disk, 1);
    let body = vec![1; 50_000];
    let mut taken = 0;
    while queue.append(&entry(&body, &[])).is_ok() {
        taken += 1;
    }
    assert!(queue.bytes() <= BYTES_MAX && taken > 10, "{} bytes, {taken} requests", queue.bytes());
    assert!(matches!(queue.append(&entry(&body, &[])), Err(QueueError::Full { .. })));
    queue.sync().unwrap();
    for _ in 0..4 {
        let request = queue.next_request().unwrap().unwrap();
        queue.delivered(&request).unwrap();
    }
    queue.append(&entry(&body, &[])).unwrap();
}

#[test]
fn a_full_disk_is_a_full_queue_and_mends() {
    let disk = SimDisk::new(2, 300_000);
    let mut queue = open(&disk, 1);
    let body = vec![1; 50_000];
    while queue.append(&entry(&body, &[])).is_ok() {}
    disk.set_capacity(64 << 20);
    queue.append(&entry(&body, &[])).unwrap();
}

#[test]
fn marks_outlive_the_segments_that_brought_them() {
    let disk = SimDisk::new(3, 64 << 20);
    let mut queue = open(&disk, 1);
    queue.append(&entry(b"one", &[("a".into(), Some("5".into())), ("b".into(), Some("6".into()))])).unwrap();
    let body = vec![1; 100_000];
    for _ in 0..30 {
        queue.append(&entry(&body, &[("b".into(), None)])).unwrap();
        queue.sync().unwrap();
        while let Some(request) = queue.next_request().unwrap() {
            queue.delivered(&request).unwrap();
        }
    }
    assert_eq!(disk.content(&Segment::path(&options(0).dir, 1)), None);
    drop(queue);
    let queue = open(&disk.cut_power(), 0);
    assert_eq!(queue.marks(), &Marks::from([("a".into(), "5".into())]));
    assert!(queue.waiting() <= 1 && queue.id() == 1, "only the last request may not be known to be delivered");
}

#[test]
fn a_damaged_file_costs_what_was_in_it_and_says_so() {
    let disk = SimDisk::new(4, 64 << 20);
    let mut queue = open(&disk, 1);
    let body = vec![1; 60_000];
    for line in 0..5 {
        queue.append(&entry(&body, &[("source".into(), Some(format!("{line}")))])).unwrap();
    }
    queue.sync().unwrap();
    drop(queue);
    // Two requests fit into a segment of 128 KiB: the second of the first segment is damaged.
    disk.flip(&Segment::path(&options(0).dir, 1), 100_000, 1);
    let mut queue = open(&disk.kill(), 0);
    assert_eq!(queue.lost(), 1);
    let mut numbers = Vec::new();
    while let Some(request) = queue.next_request().unwrap() {
        numbers.push(request.number);
        queue.delivered(&request).unwrap();
    }
    assert_eq!(numbers, [1, 3, 4, 5]);
    assert_eq!(queue.marks()["source"], "4");
}

#[test]
fn two_agents_never_share_a_folder() {
    let disk = SimDisk::new(5, 64 << 20);
    let _queue = open(&disk, 1);
    assert!(matches!(Queue::open(Arc::new(disk.clone()), options(2)), Err(QueueError::InUse(_))));
}
