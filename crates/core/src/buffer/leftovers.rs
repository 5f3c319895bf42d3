//! What is behind the last good frame of the log: a torn tail, or damage.

use std::io::{self, IoSlice};

use super::error::BufferError;
use super::frame::{ALIGNMENT, FRAME_HEADER_BYTES, FrameHeader};
use super::reader::Cursor;
use super::recovery::damaged;
use super::segment::{Folder, Segment};

/// Bytes that the search behind the last good frame looks at in one read.
const SEARCH_BYTES: usize = 1 << 20;

/// Wipes what is behind the last good frame, so that it is never taken for a frame again; returns its bytes.
///
/// A power cut tears only what was not synced. A whole frame found behind a damaged one tells which
/// frames were synced when it was written: if the damaged one was, this is no torn tail, it is damage.
pub(super) fn cut_off(segment: &Segment, cursor: &Cursor, folder: &Folder) -> Result<u64, BufferError> {
    let step = || format!("search the end of {}", segment.path.display());
    let leftovers = find_leftovers(segment, cursor).map_err(|error| BufferError::io(step(), error))?;
    if let Some(acknowledged) = leftovers.iter().find(|left| left.header.synced >= cursor.number) {
        return Err(damaged(
            folder,
            &format!(
                "frame {}, at byte {} of {}, is not what was written, and frame {} after it says that it was synced",
                cursor.number,
                cursor.offset,
                segment.path.display(),
                acknowledged.header.number
            ),
        ));
    }
    let end = leftovers.iter().map(|left| left.offset + left.header.frame_bytes).max().unwrap_or(cursor.offset);
    for left in &leftovers {
        segment
            .write_all(&mut [IoSlice::new(&[0; FRAME_HEADER_BYTES])], left.offset)
            .map_err(|error| BufferError::io(step(), error))?;
    }
    if !leftovers.is_empty() {
        segment.sync().map_err(|error| BufferError::io(step(), error))?;
    }
    Ok(end.min(segment.bytes) - cursor.offset)
}

struct Leftover {
    offset: u64,
    header: FrameHeader,
}

/// Finds what claims to be this frame or a later one: the torn one itself, and whole ones behind it.
fn find_leftovers(segment: &Segment, cursor: &Cursor) -> io::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut at = cursor.offset;
    while at < segment.bytes {
        let length = SEARCH_BYTES.min(usize::try_from(segment.bytes - at).unwrap_or(SEARCH_BYTES));
        let Some(window) = segment.read(at, length)? else { break };
        for start in (0..length).step_by(ALIGNMENT) {
            let offset = at + start as u64;
            let Some(header) = window.get(start..).and_then(FrameHeader::decode) else { continue };
            if header.buffer != cursor.buffer || header.number < cursor.number {
                continue;
            }
            if offset == cursor.offset || is_whole_head(segment, offset, &header)? {
                found.push(Leftover { offset, header });
            }
        }
        if length < SEARCH_BYTES {
            break;
        }
        at += (length - FRAME_HEADER_BYTES) as u64;
    }
    Ok(found)
}

fn is_whole_head(segment: &Segment, offset: u64, header: &FrameHeader) -> io::Result<bool> {
    let head_bytes = usize::try_from(header.head_bytes).unwrap_or(usize::MAX);
    let Some(bytes) = segment.read(offset, FRAME_HEADER_BYTES.saturating_add(head_bytes))? else { return Ok(false) };
    let (fixed, head) = bytes.split_at(FRAME_HEADER_BYTES);
    Ok(header.matches(fixed, head))
}
