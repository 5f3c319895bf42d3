use proptest::prelude::*;

use super::super::frame::{FRAME_HEADER_BYTES, FrameHeader, Head, SEGMENT_HEADER_BYTES, aligned};
use super::super::read_segment;

const SEGMENT: &[u8] = include_bytes!("../../../../../testdata/wal/v1/segment-00000000000000000001.wal");

/// Overwrites bytes of the first frame's rows, and makes all checksums right again.
fn with_rows_changed(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = SEGMENT.to_vec();
    let frame = &mut bytes[SEGMENT_HEADER_BYTES..];
    let header = FrameHeader::decode(frame).expect("a frame");
    let head_bytes = usize::try_from(header.head_bytes).expect("small");
    let (fixed, rest) = frame.split_at_mut(FRAME_HEADER_BYTES);
    let (head, rest) = rest.split_at_mut(head_bytes);
    let sections = Head::decode(head).expect("a head").sections;
    let rows_at = aligned(FRAME_HEADER_BYTES + head_bytes) - FRAME_HEADER_BYTES - head_bytes;
    let length = usize::try_from(sections[0].ipc_bytes).expect("small");
    let rows = &mut rest[rows_at..rows_at + length];
    for (at, value) in changes {
        rows[at % length] = *value;
    }
    head[head_bytes - 4..].copy_from_slice(&crc32c::crc32c(rows).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&fixed[..52]), head);
    fixed[52..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_segment(&bytes).ok();
    }

    #[test]
    fn changed_bytes_are_never_taken_for_good(at in 0..SEGMENT.len(), mask in 1..=u8::MAX) {
        let mut bytes = SEGMENT.to_vec();
        bytes[at] ^= mask;
        let Ok(reading) = read_segment(&bytes) else { return Ok(()) };
        let written = read_segment(SEGMENT).expect("a segment");
        for (read, written) in reading.frames.iter().zip(&written.frames) {
            prop_assert_eq!((&read.sections, read.retry, &read.answer), (&written.sections, written.retry, &written.answer));
        }
    }

    #[test]
    fn rows_with_right_checksums_and_wrong_content_are_read_or_refused(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)
    ) {
        let bytes = with_rows_changed(&changes);
        read_segment(&bytes).ok();
    }
}
