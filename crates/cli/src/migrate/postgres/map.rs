use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tidegate_model::FieldType;
use tidegate_postgres::Offer;

use super::types::taken_as;

/// Which columns are taken, under which names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Map {
    /// Those that are taken; none: all.
    pub(super) columns: Vec<String>,
    /// Those that are not.
    pub(super) leave_out: Vec<String>,
    /// Another name, by the one that it has there.
    pub(super) rename: BTreeMap<String, String>,
    /// Another type than a column would get, by its name there.
    pub(super) types: BTreeMap<String, FieldType>,
}

impl Map {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{}: read columns, leaveOut, [rename] and [types]", path.display()))
    }

    /// Returns the name that a column gets, if it is taken.
    pub(super) fn name_of<'a>(&'a self, column: &'a str) -> Option<&'a str> {
        let is_wanted = self.columns.is_empty() || self.columns.iter().any(|wanted| wanted == column);
        if !is_wanted || self.leave_out.iter().any(|left| left == column) {
            return None;
        }
        Some(self.rename.get(column).map_or(column, String::as_str))
    }

    /// Returns how a column is asked for; a type that does not fit is told by the plan, and changes nothing here.
    pub(super) fn offer(&self, column: &str, own: &Offer) -> Offer {
        let wanted = self.types.get(column).and_then(|wanted| taken_as(own, *wanted).ok());
        wanted.unwrap_or_else(|| own.clone())
    }

    /// Lists the columns that it names.
    pub(super) fn named(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().chain(&self.leave_out).chain(self.rename.keys()).chain(self.types.keys())
    }
}
