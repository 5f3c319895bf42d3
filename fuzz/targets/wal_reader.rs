//! Bytes of a segment, damaged anywhere: frames or an error, never more than was there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::buffer::read_segment;

fuzz_target!(init: allow_arrow_panics(), |data: &[u8]| {
    let Ok(reading) = read_segment(data) else { return };
    assert!(reading.good_bytes <= data.len() as u64, "good bytes are bytes of the segment");
    for frame in &reading.frames {
        for (table, range, rows) in &frame.sections {
            assert_eq!(range.rows(), rows.num_rows() as u64, "the numbers of {table} fit its rows");
        }
    }
});

/// arrow-ipc panics on some damaged streams, and the readers catch that; libFuzzer's hook would end the run before.
fn allow_arrow_panics() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|at| at.file().contains("/arrow-")) {
            abort(panic);
        }
    }));
}
