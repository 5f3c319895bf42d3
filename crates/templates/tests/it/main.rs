//! The miner from outside: facts, states, limits, masks, JSON and span names.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test, helpers included")]

mod families;
mod fixture;
mod json;
mod limits;
mod lines;
mod masks;
mod model;
mod restart;
mod span_names;
