//! The stages together, on the real engine process: stored once, whatever breaks on the way.

mod ai_spans;
mod batch;
mod datasets;
mod dataset_query;
mod lifecycle;
mod manifests;
mod proxy;
mod query;
mod roll_ups;
mod rows;
mod searches;
mod store;
mod world;
