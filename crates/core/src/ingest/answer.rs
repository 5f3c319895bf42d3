//! What a request was told, kept with its rows so that a retry is told the same.

use serde::{Deserialize, Serialize};
use tidegate_model::limits::ANSWER_BYTES_MAX;

use super::rejection::{Reason, Rejection, Rejections};
use super::service::Admitted;

/// The stored form, JSON: an answer is written once a request and read once a retry.
#[derive(Serialize, Deserialize)]
struct Told {
    accepted: u64,
    /// Refused rows by reason; reasons without one are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<(Reason, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    listed: Vec<Rejection>,
}

/// Writes an answer for the log; refused rows are spelled out as far as there is room, all are counted.
pub(super) fn told(admitted: &Admitted) -> Vec<u8> {
    let counts = Reason::ALL.into_iter().zip(admitted.rejected.counts);
    let mut told = Told {
        accepted: admitted.accepted,
        rejected: counts.filter(|(_, rows)| *rows > 0).collect(),
        listed: admitted.rejected.listed.clone(),
    };
    loop {
        let bytes = serde_json::to_vec(&told).unwrap_or_default();
        if bytes.len() <= ANSWER_BYTES_MAX {
            return bytes;
        }
        told.listed.truncate(told.listed.len() / 2);
    }
}

/// Reads an answer back. One from a version with other words falls back to `now`, which decoded the same request.
pub(super) fn retold(bytes: &[u8], now: Admitted) -> Admitted {
    let Ok(told) = serde_json::from_slice::<Told>(bytes) else { return Admitted { is_retry: true, ..now } };
    let mut rejected = Rejections { listed: told.listed, ..Rejections::default() };
    for (reason, rows) in told.rejected {
        rejected.counts[reason as usize] = rows;
    }
    Admitted { accepted: told.accepted, rejected, is_retry: true, ranges: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(refused: u64) -> Admitted {
        let mut admitted = Admitted { accepted: 5, ..Admitted::default() };
        for index in 0..refused {
            admitted.rejected.push(Rejection::new(index, Reason::InvalidId, "trace_id is not 16 bytes ".repeat(10)));
        }
        let bytes = told(&admitted);
        assert!(bytes.len() <= ANSWER_BYTES_MAX, "{} bytes", bytes.len());
        let again = retold(&bytes, Admitted::default());
        assert!(again.is_retry);
        assert_eq!((again.accepted, again.rejected.counts), (admitted.accepted, admitted.rejected.counts));
        again
    }

    #[test]
    fn a_retry_is_told_what_the_first_request_was_told() {
        assert_eq!(check(0).rejected, Rejections::default());
        assert_eq!(check(2).rejected.listed.len(), 2);
    }

    #[test]
    fn an_answer_too_long_to_keep_still_counts_every_refused_row() {
        assert!(check(1_000).rejected.listed.len() < 100);
    }
}
