//! Random requests of every kind, made with the official messages, must come back out of their rows as they were sent.

mod faults;
pub(crate) mod generate;
mod restore;
mod round_trip;

use tidegate_model::{Signal, UnixNanos};

use super::{Decoded, decode};

/// 2026-11-21T05:00:00Z.
const RECEIVED: UnixNanos = UnixNanos(1_795_237_200_000_000_000);

fn decoded(signal: Signal, body: &[u8]) -> Decoded {
    decode(signal, body, RECEIVED, &|_| false).expect("an OTLP request")
}
