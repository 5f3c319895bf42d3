use anyhow::Result;
use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamEncoder;
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tidegate_core::store::Gathered;

/// Rows as an Arrow stream that shares their memory. A copy of it costs nothing, and is sent when a request is tried again.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    parts: Vec<Bytes>,
}

impl Encoded {
    pub(super) fn of(rows: &RecordBatch) -> Result<Self> {
        let mut encoder = StreamEncoder::try_new(&rows.schema())?;
        let mut gathered = Gathered::default();
        encoder.encode(rows)?.into_iter().for_each(|buffer| gathered.push(buffer));
        encoder.finish()?.into_iter().for_each(|buffer| gathered.push(buffer));
        Ok(Self { parts: gathered.finish() })
    }

    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Returns what only the same rows in the same order have (SHA-256).
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.parts.iter().for_each(|part| digest.update(part));
        digest.finalize().into()
    }

    pub(super) fn body(&self) -> reqwest::Body {
        reqwest::Body::wrap_stream(stream::iter(self.parts.clone().into_iter().map(Ok::<_, std::io::Error>)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use arrow_ipc::reader::StreamReader;

    use super::*;

    #[test]
    fn what_is_encoded_is_read_again_from_any_part_of_a_batch() {
        let texts: StringArray = (0..10_000).map(|n| (n % 7 > 0).then(|| "x".repeat(n % 50))).collect();
        let columns: [(&str, ArrayRef); 2] =
            [("text", Arc::new(texts)), ("number", Arc::new(Int64Array::from_iter_values(0..10_000)))];
        let all = RecordBatch::try_from_iter(columns).expect("columns of one length");
        for (first, rows) in [(0, 10_000), (0, 1), (4_321, 5_000), (9_999, 1), (3, 0)] {
            let rows = all.slice(first, rows);
            let encoded = Encoded::of(&rows).expect("rows of plain types");
            let bytes = encoded.parts.concat();
            assert_eq!(bytes.len(), encoded.bytes());
            let read = StreamReader::try_new(&bytes[..], None).expect("a stream").collect::<Result<Vec<_>, _>>();
            assert_eq!(read.expect("its rows"), [rows]);
        }
    }
}
