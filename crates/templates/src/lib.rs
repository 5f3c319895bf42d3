//! Log templates.
#![allow(missing_docs)]
mod bytes;
mod error;
mod fact;
mod forest;
mod json;
mod kind;
pub mod limits;
mod masks;
mod miner;
mod places;
mod scan;
mod shape;
mod state;
mod value;
pub use error::{SettingsError, StateError};
pub use fact::{Fact, Stats, Template};
pub use kind::{Kind, Kinds};
pub use masks::{Settings, UserMask};
pub use miner::Miner;
pub use shape::TemplateId;
