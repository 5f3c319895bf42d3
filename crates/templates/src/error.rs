use thiserror::Error;

/// Why settings were refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// More masks than [`crate::limits::USER_MASKS_MAX`].
    #[error("{found} masks are set, at most {max} are allowed", max = crate::limits::USER_MASKS_MAX)]
    TooManyMasks {
        /// How many there are.
        found: usize,
    },
    /// A name for a mask that would not read well in a template.
    #[error("mask name {name:?} is not 1 to 64 letters, digits, `_` or `-`")]
    MaskName {
        /// The refused name.
        name: String,
    },
    /// A regular expression that does not compile, or compiles to too much.
    #[error("compile the expression of mask {name:?}")]
    MaskRegex {
        /// The mask.
        name: String,
        /// What the engine says.
        source: Box<regex::Error>,
    },
    /// A built-in mask was switched off that does not exist.
    #[error("there is no built-in mask {name:?}")]
    UnknownMask {
        /// The unknown name.
        name: String,
    },
}

/// Why bytes are not a miner's state; the miner that was asked to import them is unchanged.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// Not what [`crate::Miner::export`] wrote.
    #[error("not a state of the template miner")]
    Magic,
    /// Written by a later release.
    #[error("version {found} of the state is not known")]
    Version {
        /// The version in the bytes.
        found: u8,
    },
    /// The checksum does not fit.
    #[error("checksum of the state does not fit its bytes")]
    Checksum,
    /// The bytes end early, or name what is not there.
    #[error("state is malformed at byte {at}")]
    Malformed {
        /// Where reading stopped.
        at: usize,
    },
}
