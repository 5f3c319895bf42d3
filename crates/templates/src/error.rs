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
    #[error("masks[{at}]: the name {name:?} is not 1 to 64 letters, digits, `_` or `-`")]
    MaskName {
        /// Which mask, from 0.
        at: usize,
        /// The refused name.
        name: String,
    },
    /// A mask without an expression.
    #[error("masks[{at}] ({name}): there is no expression; leave the mask out, or say what it finds")]
    MaskEmpty {
        /// Which mask, from 0.
        at: usize,
        /// Its name.
        name: String,
    },
    /// A regular expression that does not compile, or compiles to too much.
    #[error("masks[{at}] ({name}): the expression cannot be used")]
    MaskRegex {
        /// Which mask, from 0.
        at: usize,
        /// Its name.
        name: String,
        /// What the engine says.
        source: Box<regex::Error>,
    },
    /// Expressions that compile by themselves and are too large together.
    #[error("the expressions of all masks cannot be used together")]
    MasksTogether {
        /// What the engine says.
        source: Box<regex::Error>,
    },
    /// More names than [`crate::limits::MESSAGE_FIELDS_MAX`].
    #[error(
        "{found} message fields are set, at most {max} are allowed", max = crate::limits::MESSAGE_FIELDS_MAX
    )]
    TooManyMessageFields {
        /// How many there are.
        found: usize,
    },
    /// A name that no key has.
    #[error("the message field {name:?} is not 1 to 64 bytes long")]
    MessageField {
        /// The refused name.
        name: String,
    },
    /// A built-in mask was switched off that does not exist.
    #[error("there is no built-in mask {name:?}; there are {known}", known = crate::kind::built_in_names())]
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
