//! What a read is about: the live catalogue, saved sessions, or both united.

use std::sync::Arc;

use tidegate_model::{SAVED, SavedTable};

use super::sessions::{Copy, checked_name};
use crate::errors::Failure;

/// Stands for the catalogue as it is now, where a session's name is asked for.
pub(super) const LIVE: &str = "live";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) live: bool,
    pub(super) sessions: Vec<Seen>,
}

/// A session, or only some of its signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    /// In the catalogue's words; empty: all.
    pub(super) signals: Vec<&'static str>,
}

impl Default for View {
    fn default() -> Self {
        Self { live: true, sessions: Vec::new() }
    }
}

impl View {
    /// Reads names with commas between them.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut view = Self { live: false, sessions: Vec::new() };
        for name in text.split(',') {
            view.add(name, Vec::new())?;
        }
        Ok(view)
    }

    /// Unites the view with a session, or with what is live.
    pub(super) fn add(&mut self, name: &str, signals: Vec<&'static str>) -> Result<(), Failure> {
        if name == LIVE {
            self.live = true;
            return Ok(());
        }
        let name = checked_name(name)?.to_owned();
        self.sessions.retain(|seen| seen.name != name);
        self.sessions.push(Seen { name, signals });
        Ok(())
    }

    /// Leaves a session out; a view of nothing becomes the live one.
    pub(super) fn remove(&mut self, name: &str) {
        self.sessions.retain(|seen| seen.name != name);
        self.live |= self.sessions.is_empty();
    }

    /// Names what is united.
    pub(super) fn names(&self) -> Vec<&str> {
        let live = self.live.then_some(LIVE);
        live.into_iter().chain(self.sessions.iter().map(|seen| seen.name.as_str())).collect()
    }
}

/// Where the rows of a view are.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) live: bool,
    /// Copies of sessions in ClickHouse, which stay as long as they are read.
    pub(super) copies: Arc<[(Arc<Copy>, Vec<&'static str>)]>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { live: true, copies: Arc::new([]) }
    }
}

impl Sources {
    /// Says that only stored and hot telemetry is read.
    pub(super) fn is_plain(&self) -> bool {
        self.live && self.copies.is_empty()
    }

    /// Puts the rows of the view in the place of the tables that a statement of ours reads.
    ///
    /// Its own grouping then applies each column's rule, as it does to rows that ClickHouse has not merged.
    pub(super) fn put_into(&self, sql: &str) -> String {
        if self.is_plain() {
            return sql.to_owned();
        }
        let mut text = sql.to_owned();
        for saved in SAVED.iter() {
            let from = format!("FROM {}", saved.spec.name);
            let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
            let mut put = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some(at) = rest.find(&from) {
                let (before, found) = rest.split_at(at);
                let after = &found[from.len()..];
                put.push_str(before);
                if ends(after) {
                    put.push_str(&format!("FROM ({})", self.rows_of(saved)));
                } else {
                    put.push_str(&from);
                }
                rest = after;
            }
            put.push_str(rest);
            text = put;
        }
        text
    }

    fn rows_of(&self, saved: &SavedTable) -> String {
        let columns: Vec<&str> = saved.names().collect();
        let columns = columns.join(", ");
        let mut selects = Vec::new();
        for (copy, signals) in self.copies.iter() {
            let mut select = format!("SELECT {columns} FROM {} WHERE session = '{}'", saved.copy_name(), copy.key());
            if !signals.is_empty() && saved.spec.column("signal").is_some() {
                let quoted: Vec<String> = signals.iter().map(|signal| format!("'{signal}'")).collect();
                select += &format!(" AND signal IN ({})", quoted.join(", "));
            }
            selects.push(select);
        }
        if self.live {
            selects.push(format!("SELECT {columns} FROM {}", saved.spec.name));
        }
        selects.join(" UNION ALL ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_list_of_names() {
        let names = |text: &str| View::parse(text).map(|view| view.names().join("+"));
        assert_eq!(names("live"), Ok("live".to_owned()));
        assert_eq!(names("a,live,b,a"), Ok("live+b+a".to_owned()));
        assert!(names("a,,b").is_err() && names("../a").is_err());
        let mut view = View::parse("a").expect("a name");
        view.remove("a");
        assert_eq!(view, View::default());
    }
}
