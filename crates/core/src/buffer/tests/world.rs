use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{MapBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::Schema;
use tidegate_model::{BufferId, TableName};
use tidegate_sim::{SimClock, SimDisk};

use super::super::{Buffer, BufferError, BufferOptions, Chunk, Recovery, Remembered, RetryKey, Rows, Site, Write};

/// Small segments, so that tests see many.
pub(super) const SEGMENT_BYTES: u64 = 16 << 10;

/// A buffer's surroundings: its disk and clock outlive it.
pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) clock: Arc<SimClock>,
    pub(super) options: BufferOptions,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let options = BufferOptions {
            dir: PathBuf::from("/wal"),
            sync_always: true,
            sync_interval_ms: 5,
            hot_tail_bytes: 1 << 20,
            wal_bytes: 8 << 20,
            disk_free_bytes_min: 0,
            dedup_window_seconds: 600,
        };
        Self { disk: SimDisk::new(seed, 64 << 20), clock: Arc::default(), options }
    }

    pub(super) fn open(&self, remembered: Remembered) -> Result<(Buffer, Recovery), BufferError> {
        let site = Site {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::clone(&self.clock) as Arc<_>,
            fresh_id: BufferId(0xb0ff_e400),
            segment_bytes: SEGMENT_BYTES,
        };
        Buffer::open_at(&site, &self.options, remembered)
    }

    pub(super) fn open_fresh(&self) -> Buffer {
        self.open(Remembered::default()).expect("opens").0
    }
}

pub(super) fn table(name: &str) -> TableName {
    name.parse().expect("a valid name")
}

/// Rows that tell themselves apart by `ids`, with every kind of column that needs care: dictionary, map, text.
pub(super) fn rows(ids: &[u64]) -> RecordBatch {
    let words: Vec<_> = ids.iter().map(|id| format!("word {}", id % 3)).collect();
    let mut attributes = MapBuilder::new(None, StringDictionaryBuilder::<Int32Type>::new(), StringBuilder::new());
    for id in ids {
        attributes.keys().append("id").expect("few keys");
        attributes.values().append_value(id.to_string());
        attributes.append(true).expect("as many keys as values");
    }
    let dictionary: arrow_array::DictionaryArray<Int32Type> = words.iter().map(String::as_str).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(UInt64Array::from(ids.to_vec()))),
        ("word", Arc::new(dictionary)),
        ("attributes", Arc::new(attributes.finish())),
        ("body", Arc::new(StringArray::from_iter_values(words.iter().map(|word| word.repeat(8))))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

pub(super) fn write(name: &str, ids: &[u64]) -> Write {
    Write::new(vec![Rows { table: table(name), rows: rows(ids) }], None, Vec::new())
}

pub(super) fn keyed(name: &str, ids: &[u64], key: u128, content: u128) -> Write {
    let rows = vec![Rows { table: table(name), rows: rows(ids) }];
    Write::new(rows, Some(RetryKey { key, content }), format!("told {key}").into_bytes())
}

/// Returns (number, id) of every hot row of a table.
pub(super) fn hot(buffer: &Buffer, name: &str) -> Vec<(u64, u64)> {
    let tail = buffer.snapshot(&[table(name)]).remove(0);
    numbered(&tail.chunks)
}

pub(super) fn numbered(chunks: &[Chunk]) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    for chunk in chunks {
        let batch = chunk.rows().expect("readable");
        assert_ne!(batch.schema().as_ref(), &Schema::empty());
        let ids = batch.column(0).as_primitive::<UInt64Type>().values().to_vec();
        all.extend((chunk.range.first.0..=chunk.range.last.0).zip(ids));
    }
    all
}
