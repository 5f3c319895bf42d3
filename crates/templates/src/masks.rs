use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::error::SettingsError;
use crate::kind::{Kind, Kinds};
use crate::limits::{USER_MASK_BYTES_MAX, USER_MASKS_MAX};

/// Stands in a line for the value that the first user mask cut out; the others follow. Control characters of the line
/// itself are blanked before, so that no line can forge one.
const FIRST_MARK: u8 = 0x10;

/// A user's own variable: a name for it and the regular expression that finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMask {
    /// What the text shows between angle brackets: letters, digits, `_` and `-`.
    pub name: String,
    /// An expression of the crate `regex`: linear in the line's length, without back-references and look-around.
    pub regex: String,
}

/// What is cut out of lines before any statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Masks of the user, applied to the body in this order, before the built-in ones.
    pub masks: Vec<UserMask>,
    /// Names of built-in masks that are not applied ([`Kind::built_in`]).
    pub built_in_off: Vec<String>,
}

/// Settings that were checked and compiled.
#[derive(Debug)]
pub(crate) struct Masks {
    pub(crate) names: Vec<String>,
    pub(crate) off: Kinds,
    regexes: Vec<Regex>,
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
        let mut masks = Self { names: Vec::new(), off, regexes: Vec::new() };
        for mask in settings.masks {
            masks.regexes.push(compile(&mask)?);
            masks.names.push(mask.name);
        }
        Ok(masks)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.regexes.is_empty()
    }

    /// Puts a mark in place of every match.
    pub(crate) fn apply(&self, line: &str) -> String {
        let mut text: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
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
                text = replaced;
            }
        }
        text
    }
}

/// Returns the mask that a mark stands for.
pub(crate) fn user_mask_of(byte: u8) -> Option<Kind> {
    (FIRST_MARK..FIRST_MARK + 16).contains(&byte).then(|| Kind::User(byte - FIRST_MARK))
}

fn compile(mask: &UserMask) -> Result<Regex, SettingsError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if mask.name.is_empty() || mask.name.len() > 64 || !mask.name.chars().all(is_name) {
        return Err(SettingsError::MaskName { name: mask.name.clone() });
    }
    let built = RegexBuilder::new(&mask.regex).size_limit(USER_MASK_BYTES_MAX).build();
    built.map_err(|source| SettingsError::MaskRegex { name: mask.name.clone(), source: Box::new(source) })
}
