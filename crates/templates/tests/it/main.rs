//! The miner from outside: facts, states, limits, masks and span names.

mod limits;
mod lines;
mod masks;
mod model;
mod restart;
mod span_names;
