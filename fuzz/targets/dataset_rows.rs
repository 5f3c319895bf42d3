//! Rows of a dataset, in every form: each is taken or refused, and what is taken fits the table.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat, dry_run};
use tidegate_model::UnixNanos;

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

fuzz_target!(init: allow_arrow_panics(), |data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let format = [RowsFormat::Json, RowsFormat::Ndjson, RowsFormat::Arrow, RowsFormat::Csv, RowsFormat::Parquet][usize::from(*first) % 5];
    let request = DatasetRequest::new("fuzzed", format, Bytes::copy_from_slice(body));
    let Ok((dataset, admitted)) = dry_run(&request, None, NOW) else { return };
    let again = dry_run(&request, Some(&dataset), NOW).expect("the dataset that the rows made takes them");
    assert_eq!(again.1.accepted, admitted.accepted);
    assert_eq!(again.0, dataset, "the same rows change nothing");
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
