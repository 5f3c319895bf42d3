//! The doors on real listeners, over a real log and catalog; ClickHouse is away, as far as these tests go.
//!
//! | file | proves |
//! |---|---|
//! | `otlp.rs` | OTLP/HTTP and OTLP/gRPC: acknowledgement, refusals, limits |
//! | `api.rs` | the main API without an engine: ledger, readiness, errors |
//! | `slow.rs` | silent, slow and broken connections, and too many of them |
//! | `house.rs` | a server on port 0 |

mod api;
mod house;
mod otlp;
mod slow;
