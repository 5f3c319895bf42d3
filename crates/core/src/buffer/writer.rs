//! The commit thread: numbers requests, writes them, syncs once for all that wait, and acknowledges.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{Seq, SeqRange, TableName};

use super::error::BufferError;
use super::frame::{self, FrameHeader, Head, SectionHead, SegmentHeader};
use super::reader::Cursor;
use super::segment::{FileError, Segment};
use super::shared::Shared;
use super::state::{Phase, Queued, SegmentUse, Written};

/// Writes the log; there is one, on its own thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    /// The segment that is written to.
    pub(super) current: Arc<Segment>,
    /// Where the next frame goes, and what makes it the next.
    pub(super) cursor: Cursor,
    /// The highest number given, per table.
    pub(super) heads: HashMap<TableName, Seq>,
    /// The highest frame known to be synced.
    pub(super) synced_frame: u64,
    pub(super) last_sync: Duration,
}

/// A request with its numbers and its frame's first bytes.
struct Numbered {
    queued: Queued,
    prefix: Vec<u8>,
    /// Numbers and offset of each section.
    sections: Vec<(SeqRange, u64)>,
    before: Cursor,
}

impl Writer {
    /// Runs until the buffer is closed and empty, or poisoned.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _ending = Ending(&shared);
        while let Some(group) = self.next_group() {
            if let Err(cause) = self.commit(group.into()).and_then(|()| self.sync_when_due()) {
                shared.poison(&cause);
                return;
            }
        }
        if self.is_dirty()
            && let Err(cause) = self.sync()
        {
            shared.poison(&cause);
        }
    }

    /// Waits for requests; `None`: there will be none. Empty: the time for a sync may have come.
    fn next_group(&self) -> Option<Vec<Queued>> {
        let mut state = self.shared.lock();
        loop {
            if !state.queue.is_empty() {
                return Some(state.take_group());
            }
            if state.phase != Phase::Open {
                return None;
            }
            match self.shared.sync_interval {
                Some(interval) if self.is_dirty() => {
                    let left = (self.last_sync + interval).saturating_sub(self.shared.clock.monotonic());
                    if left.is_zero() {
                        return Some(Vec::new());
                    }
                    state = self.shared.wait_for(state, left);
                }
                _ => state = self.shared.wait(state),
            }
        }
    }

    /// Writes and acknowledges a group. Fails, with the cause, when a sync fails: then the buffer ends.
    fn commit(&mut self, mut group: VecDeque<Queued>) -> Result<(), String> {
        let mut written = Vec::with_capacity(group.len());
        let outcome = self.write_group(&mut group, &mut written).and_then(|failure| {
            let must_sync = self.shared.sync_interval.is_none() && !written.is_empty();
            if must_sync { self.sync().map(|()| failure) } else { Ok(failure) }
        });
        match outcome {
            Ok(failure) => {
                self.acknowledge(written);
                if let Some(error) = failure {
                    self.shared.fail(group, &error);
                }
                Ok(())
            }
            Err(cause) => {
                let poisoned = BufferError::Poisoned { cause: cause.clone() };
                self.shared.fail(written.into_iter().map(|written| written.queued).chain(group), &poisoned);
                Err(cause)
            }
        }
    }

    /// Moves requests from `group` to `written`; what stays was not written, for the reason returned.
    fn write_group(
        &mut self,
        group: &mut VecDeque<Queued>,
        written: &mut Vec<Written>,
    ) -> Result<Option<BufferError>, String> {
        while let Some(next) = group.front() {
            let frame_bytes = next.write.frame_bytes;
            if !self.has_room(frame_bytes)
                && let Some(error) = self.roll(frame_bytes)?
            {
                return Ok(Some(error));
            }
            let run = self.number_run(group);
            if let Err(error) = self.write_run(&run) {
                let step = format!("write to {}", self.current.path.display());
                self.take_back(run, group);
                return Ok(Some(BufferError::io(step, error)));
            }
            written.extend(run.into_iter().map(|numbered| {
                let Numbered { queued, sections, .. } = numbered;
                Written { queued, segment: Arc::clone(&self.current), sections }
            }));
        }
        Ok(None)
    }

    fn has_room(&self, frame_bytes: u64) -> bool {
        self.cursor.offset + frame_bytes <= self.current.bytes
    }

    /// Goes on in another segment. What is in this one is synced first, so only the last segment is ever in doubt.
    fn roll(&mut self, frame_bytes: u64) -> Result<Option<BufferError>, String> {
        self.sync()?;
        let header = SegmentHeader {
            buffer: self.cursor.buffer,
            segment: self.current.number + 1,
            first_frame: self.cursor.number,
            chain: self.cursor.chain,
        };
        if let Some(low_disk) = self.shared.low_disk_for(frame_bytes) {
            return Ok(Some(low_disk));
        }
        let step = format!("make segment {}", header.segment);
        match self.shared.folder.create_segment(&header, frame_bytes) {
            Ok(segment) => {
                self.current = Arc::new(segment);
                self.cursor = Cursor::at_start_of(&header);
                let holds = SegmentUse::of_shared(Arc::clone(&self.current), self.cursor.offset);
                let mut state = self.shared.lock();
                if let Some(full) = state.segments.back_mut() {
                    full.used = full.segment.bytes;
                }
                state.segments.push_back(holds);
                Ok(None)
            }
            Err(FileError::Unchanged(error)) => Ok(Some(BufferError::io(step, error))),
            Err(FileError::Unsynced(error)) => Err(format!("{step}: {error}")),
        }
    }

    /// Numbers as many requests as fit into the segment.
    fn number_run(&mut self, group: &mut VecDeque<Queued>) -> Vec<Numbered> {
        let mut run = Vec::new();
        while let Some(queued) = group.pop_front_if(|next| self.has_room(next.write.frame_bytes)) {
            run.push(self.number(queued));
        }
        run
    }

    fn number(&mut self, queued: Queued) -> Numbered {
        let before = self.cursor;
        let write = &queued.write;
        let sections: Vec<_> = write
            .sections
            .iter()
            .map(|section| SectionHead {
                table: section.table.clone(),
                range: self.give_numbers(&section.table, section.rows.num_rows() as u64),
                ipc_bytes: section.ipc_bytes,
                ipc_crc: section.ipc_crc,
            })
            .collect();
        let head = Head { received_at: queued.at, retry: write.retry, answer: write.answer.clone(), sections };
        let header = FrameHeader {
            buffer: before.buffer,
            number: before.number,
            synced: self.synced_frame,
            chain: before.chain,
            head_bytes: 0,
            frame_bytes: write.frame_bytes,
            crc: 0,
        };
        let (prefix, crc) = header.encode_with(&head);
        let mut offset = before.offset + prefix.len() as u64;
        let placed = |section: &SectionHead| {
            let at = offset;
            offset += section.ipc_bytes.next_multiple_of(frame::ALIGNMENT as u64);
            (section.range, at)
        };
        let sections = head.sections.iter().map(placed).collect();
        assert_eq!(offset, before.offset + write.frame_bytes, "a frame is as long as it says");
        self.cursor.step_over(&FrameHeader { crc, ..header });
        Numbered { queued, prefix, sections, before }
    }

    fn give_numbers(&mut self, table: &TableName, rows: u64) -> SeqRange {
        let head = self.heads.entry(table.clone()).or_default();
        let range = SeqRange::starting_at(head.next(), rows);
        *head = range.last;
        range
    }

    fn write_run(&self, run: &[Numbered]) -> io::Result<()> {
        let Some(first) = run.first() else { return Ok(()) };
        let mut parts = Vec::new();
        for numbered in run {
            parts.push(IoSlice::new(&numbered.prefix));
            let pieces = numbered.queued.write.sections.iter().flat_map(|section| &section.pieces);
            parts.extend(pieces.map(|piece| IoSlice::new(piece)));
        }
        self.current.write_all(&mut parts, first.before.offset)
    }

    /// Takes numbers and place of a run back after its write failed; whatever got onto the disk is overwritten.
    fn take_back(&mut self, run: Vec<Numbered>, group: &mut VecDeque<Queued>) {
        for numbered in run.into_iter().rev() {
            self.cursor = numbered.before;
            for (section, (range, _)) in numbered.queued.write.sections.iter().zip(&numbered.sections).rev() {
                self.heads.insert(section.table.clone(), Seq(range.first.0 - 1));
            }
            group.push_front(numbered.queued);
        }
    }

    fn acknowledge(&self, written: Vec<Written>) {
        if written.is_empty() {
            return;
        }
        let now = self.shared.clock.now();
        let is_synced = self.shared.sync_interval.is_none();
        let mut state = self.shared.lock();
        let acks: Vec<_> = written.into_iter().map(|written| state.publish(written, now, is_synced)).collect();
        if let Some(holds) = state.segments.back_mut() {
            holds.used = self.cursor.offset;
        }
        drop(state);
        self.shared.grown.notify_one();
        for ack in acks {
            ack.send();
        }
    }

    fn sync_when_due(&mut self) -> Result<(), String> {
        match self.shared.sync_interval {
            Some(interval) if self.is_dirty() && self.shared.clock.monotonic() >= self.last_sync + interval => {
                self.sync()
            }
            _ => Ok(()),
        }
    }

    /// Makes every frame written so far durable.
    fn sync(&mut self) -> Result<(), String> {
        self.current.sync().map_err(|error| format!("{}: {error}", self.current.path.display()))?;
        self.synced_frame = self.cursor.number - 1;
        self.last_sync = self.shared.clock.monotonic();
        if self.shared.sync_interval.is_some() {
            self.shared.lock().all_synced();
            self.shared.grown.notify_one();
        }
        Ok(())
    }

    const fn is_dirty(&self) -> bool {
        self.synced_frame + 1 < self.cursor.number
    }
}

/// Tells that the commit thread is gone, also when a bug ended it.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the commit thread panicked");
        }
        self.0.ended.send_replace(true);
    }
}
