use std::borrow::Cow;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::error::SettingsError;
use crate::kind::{Kind, Kinds};
use crate::limits::{MESSAGE_FIELDS_MAX, USER_MASK_BYTES_MAX, USER_MASKS_MAX};

/// Stands in a line for the value that the first user mask cut out; the others follow. Control characters of the line
/// itself are blanked before, so that no line can forge one.
const FIRST_MARK: u8 = 0x10;

/// Bytes of a mask's name, or of the name of a message field.
const NAME_BYTES_MAX: usize = 64;

/// A user's own variable: a name for it and the regular expression that finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMask {
    /// What the text shows between angle brackets: letters, digits, `_` and `-`.
    pub name: String,
    /// An expression of the crate `regex`: linear in the line's length, without back-references and look-around.
    pub regex: String,
}

/// What is cut out of lines before any statistics, and where the line of a JSON object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Masks of the user, applied to the line in this order, before the built-in ones.
    pub masks: Vec<UserMask>,
    /// Names of built-in masks that are not applied ([`Kind::built_in`]).
    pub built_in_off: Vec<String>,
    /// Keys of a JSON object whose text is the line to mine, in upper or lower case: the first that there is decides.
    pub message_fields: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let message_fields = ["msg", "message", "body", "event", "log"].map(str::to_owned).to_vec();
        Self { masks: Vec::new(), built_in_off: Vec::new(), message_fields }
    }
}

impl Settings {
    /// Says whether a miner can be made of these settings.
    ///
    /// # Errors
    /// The first mistake that is found.
    pub fn check(&self) -> Result<(), SettingsError> {
        Masks::new(self.clone()).map(|_| ())
    }
}

/// Settings that were checked and compiled.
#[derive(Debug)]
pub(crate) struct Masks {
    pub(crate) names: Vec<String>,
    pub(crate) off: Kinds,
    pub(crate) message_fields: Vec<String>,
    regexes: Vec<Regex>,
    /// All of them at once: most lines match none, and are told so in one pass.
    any: RegexSet,
}

impl Masks {
    pub(crate) fn new(settings: Settings) -> Result<Self, SettingsError> {
        if settings.masks.len() > USER_MASKS_MAX {
            return Err(SettingsError::TooManyMasks { found: settings.masks.len() });
        }
        let mut off = Kinds::NONE;
        for name in settings.built_in_off {
            off.unite(Kind::built_in(&name).ok_or(SettingsError::UnknownMask { name })?.into());
        }
        check_fields(&settings.message_fields)?;
        let regexes =
            settings.masks.iter().enumerate().map(|(at, mask)| compile(at, mask)).collect::<Result<_, _>>()?;
        let all = RegexSetBuilder::new(settings.masks.iter().map(|mask| &mask.regex))
            .size_limit(USER_MASK_BYTES_MAX * USER_MASKS_MAX)
            .build();
        let any = all.map_err(|source| SettingsError::MasksTogether { source: Box::new(source) })?;
        let names = settings.masks.into_iter().map(|mask| mask.name).collect();
        Ok(Self { names, off, message_fields: settings.message_fields, regexes, any })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.regexes.is_empty()
    }

    /// Puts a mark in place of every match.
    pub(crate) fn apply<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let mut text = Cow::Borrowed(line);
        if line.contains(char::is_control) {
            text = Cow::Owned(line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect());
        }
        if !self.any.is_match(&text) {
            return text;
        }
        for (mark, regex) in (FIRST_MARK..).zip(&self.regexes) {
            let mark = char::from(mark).to_string();
            // An empty match would put a mark between all characters.
            let replaced = regex.replace_all(
                &text,
                |found: &regex::Captures<'_>| {
                    if found[0].is_empty() { String::new() } else { mark.clone() }
                },
            );
            if let Cow::Owned(replaced) = replaced {
                text = Cow::Owned(replaced);
            }
        }
        text
    }

    /// Returns the name of the mask that a mark stands for.
    pub(crate) fn name_of(&self, byte: u8) -> Option<&str> {
        self.names.get(usize::from(byte.checked_sub(FIRST_MARK)?)).map(String::as_str)
    }
}

fn compile(at: usize, mask: &UserMask) -> Result<Regex, SettingsError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if mask.name.is_empty() || mask.name.len() > NAME_BYTES_MAX || !mask.name.chars().all(is_name) {
        return Err(SettingsError::MaskName { at, name: mask.name.clone() });
    }
    if mask.regex.is_empty() {
        return Err(SettingsError::MaskEmpty { at, name: mask.name.clone() });
    }
    let built = RegexBuilder::new(&mask.regex).size_limit(USER_MASK_BYTES_MAX).build();
    built.map_err(|source| SettingsError::MaskRegex { at, name: mask.name.clone(), source: Box::new(source) })
}

fn check_fields(fields: &[String]) -> Result<(), SettingsError> {
    if fields.len() > MESSAGE_FIELDS_MAX {
        return Err(SettingsError::TooManyMessageFields { found: fields.len() });
    }
    match fields.iter().find(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        Some(name) => Err(SettingsError::MessageField { name: name.clone() }),
        None => Ok(()),
    }
}
