use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidegate_model::{Seq, UnixNanos};

use crate::query::QueryError;

/// Where a page ends, and the snapshot that all its pages are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) struct Cursor {
    /// The request that it belongs to.
    pub(in crate::query) fingerprint: u64,
    /// The newest row of the first page's snapshot: later ones are in no page.
    pub(in crate::query) watermark: Seq,
    /// The time of the page's last row, or the beginning of its last bucket.
    pub(in crate::query) time: Option<UnixNanos>,
    /// The number of the page's last row.
    pub(in crate::query) seq: Seq,
}

impl Cursor {
    pub(in crate::query) fn encode(&self) -> String {
        let time = self.time.map(|time| time.0.to_string()).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("1,{:x},{},{time},{}", self.fingerprint, self.watermark, self.seq))
    }

    /// Reads a cursor of the same request.
    pub(in crate::query) fn decode(text: &str, fingerprint: u64) -> Result<Self, QueryError> {
        let cursor = Self::read(text).ok_or_else(|| {
            QueryError::Parameter("`cursor` is not the `nextCursor` of an answer: leave it out, and begin anew".into())
        })?;
        if cursor.fingerprint != fingerprint {
            return Err(QueryError::Parameter(
                "`cursor` belongs to another request: between pages only `limit` may change".to_owned(),
            ));
        }
        Ok(cursor)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let parts: Vec<&str> = std::str::from_utf8(&bytes).ok()?.split(',').collect();
        let ["1", fingerprint, watermark, time, seq] = parts[..] else { return None };
        Some(Self {
            fingerprint: u64::from_str_radix(fingerprint, 16).ok()?,
            watermark: Seq(watermark.parse().ok()?),
            time: if time.is_empty() { None } else { Some(UnixNanos(time.parse().ok()?)) },
            seq: Seq(seq.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_by_its_own_request_alone() {
        for time in [None, Some(UnixNanos(-5)), Some(UnixNanos(i64::MAX))] {
            let cursor = Cursor { fingerprint: u64::MAX, watermark: Seq(7), time, seq: Seq(3) };
            assert_eq!(Cursor::decode(&cursor.encode(), u64::MAX).expect("a cursor"), cursor);
            assert!(Cursor::decode(&cursor.encode(), 1).expect_err("another request").to_string().contains("another"));
        }
        for wrong in ["", "x", "MSwx", "ä"] {
            assert!(Cursor::decode(wrong, 1).is_err(), "{wrong}");
        }
    }
}
