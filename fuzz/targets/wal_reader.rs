//! Bytes of a segment, damaged anywhere: frames or an error, never more than was there.
//!
//! Changed bytes almost never pass a checksum, so what lies behind the checks is reached by a second reading, of the same
//! bytes with every checksum repaired.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::buffer::read_segment;

fuzz_target!(init: allow_arrow_panics(), |data: &[u8]| {
    check(data);
    let mut repaired = data.to_vec();
    // Bytes that end before the frames do are repaired up to there.
    let _ = repair(&mut repaired);
    check(&repaired);
});

fn check(data: &[u8]) {
    let Ok(reading) = read_segment(data) else { return };
    assert!(reading.good_bytes <= data.len() as u64, "good bytes are bytes of the segment");
    for frame in &reading.frames {
        for (table, range, rows) in &frame.sections {
            assert_eq!(range.rows(), rows.num_rows() as u64, "the numbers of {table} fit its rows");
        }
    }
}

/// Writes the checksums that the bytes should have, frame after frame, as `docs/wal-format.md` lays them out.
fn repair(segment: &mut [u8]) -> Option<()> {
    let crc = crc32c::crc32c(segment.get(..60)?);
    put(segment, 60, crc)?;
    let (mut at, mut chain) = (64_usize, u32_at(segment, 12)?);
    loop {
        // A whole head lies at `at`, so what is added to it below stays within the bytes.
        segment.get(at..at.checked_add(56)?)?;
        put(segment, at + 32, chain)?;
        let head = usize::try_from(u32_at(segment, at + 36)?).ok()?;
        let frame = usize::try_from(u64_at(segment, at + 40)?).ok()?;
        repair_sections(segment, at + 56, head);
        let crc = crc32c::crc32c(segment.get(at..at + 52)?);
        chain = crc32c::crc32c_append(crc, segment.get(at + 56..(at + 56).checked_add(head)?)?);
        put(segment, at + 52, chain)?;
        at = at.checked_add(frame.max(8))?;
    }
}

fn repair_sections(segment: &mut [u8], head_at: usize, head: usize) -> Option<()> {
    let mut rows_at = head_at.checked_add(head)?.checked_next_multiple_of(8)?;
    let has_key = *segment.get(head_at + 8)? == 1;
    let answer_at = head_at + 9 + if has_key { 32 } else { 0 };
    let sections_at = answer_at + 2 + usize::from(u16_at(segment, answer_at)?);
    let mut at = sections_at + 2;
    for _ in 0..u16_at(segment, sections_at)? {
        let sizes_at = at + 2 + usize::from(u16_at(segment, at)?) + 16;
        let bytes = usize::try_from(u64_at(segment, sizes_at)?).ok()?;
        let crc = crc32c::crc32c(segment.get(rows_at..rows_at.checked_add(bytes)?)?);
        put(segment, sizes_at + 8, crc)?;
        rows_at = rows_at.checked_add(bytes)?.checked_next_multiple_of(8)?;
        at = sizes_at + 12;
    }
    Some(())
}

fn put(segment: &mut [u8], at: usize, value: u32) -> Option<()> {
    segment.get_mut(at..at.checked_add(4)?)?.copy_from_slice(&value.to_le_bytes());
    Some(())
}

fn u16_at(segment: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(segment.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(segment: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(segment.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(segment: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(segment.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// arrow-ipc panics on some damaged streams, and the readers catch that; libFuzzer's hook would end the run before.
fn allow_arrow_panics() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|at| at.file().contains("/arrow-")) {
            abort(panic);
        }
    }));
}
