use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tidegate_model::tables::{LOG_TEMPLATE_MERGES, LOG_TEMPLATES};
use tidegate_templates::{Aliases, TemplateId};

use super::answer::OVERFLOW;
use super::read::{Reader, Sql};
use crate::errors::Failure;

/// Which template each id counts under, at the moment of a read.
#[derive(Debug, Clone, Default)]
pub(super) struct Roots {
    into: BTreeMap<u64, u64>,
}

#[derive(Debug, Deserialize)]
struct Merged {
    from_id: u64,
    to_id: u64,
}

#[derive(Debug, Deserialize)]
struct Text {
    id: u64,
    text_of: String,
}

impl Roots {
    /// The expression over the column `template_id` that [`Roots::bind`] fills.
    pub(super) const SQL: &str = "transform(template_id, {merged:Array(UInt64)}, {roots:Array(UInt64)}, template_id)";

    /// Binds the merges.
    pub(super) fn bind(&self, sql: Sql) -> Sql {
        // `transform` refuses empty lists.
        let pairs = || self.into.iter().map(|(from, to)| (*from, *to)).chain([(0, 0)]);
        sql.numbers("merged", pairs().map(|(from, _)| from)).numbers("roots", pairs().map(|(_, to)| to))
    }

    /// Returns the id that an id counts under.
    pub(super) fn of(&self, id: u64) -> u64 {
        self.into.get(&id).copied().unwrap_or(id)
    }

    /// Returns all ids that count under some roots, themselves among them.
    pub(super) fn members(&self, roots: &BTreeSet<u64>) -> BTreeSet<u64> {
        let merged = self.into.iter().filter(|(_, root)| roots.contains(root)).map(|(id, _)| *id);
        merged.chain(roots.iter().copied()).collect()
    }
}

impl Reader {
    /// Reads the merges and resolves them.
    pub(super) async fn roots(&self) -> Result<Roots, Failure> {
        let sql = "SELECT template_id AS from_id, into_id AS to_id FROM log_template_merges GROUP BY from_id, to_id";
        let merges: Vec<Merged> = self.steady_rows(&[&LOG_TEMPLATE_MERGES], Sql::new(sql)).await?;
        let mut aliases = Aliases::default();
        for merge in merges {
            aliases.add(TemplateId(merge.from_id), TemplateId(merge.to_id));
        }
        Ok(Roots { into: aliases.resolved().into_iter().map(|(id, root)| (id.0, root.0)).collect() })
    }

    /// Returns the text of some templates. Records without one (their id is 0) have the empty text.
    pub(super) async fn template_texts(&self, ids: BTreeSet<u64>) -> Result<BTreeMap<u64, String>, Failure> {
        let sql = "SELECT template_id AS id, min(template) AS text_of FROM log_templates \
                   WHERE template_id IN {ids:Array(UInt64)} GROUP BY id";
        let mut texts: BTreeMap<u64, String> = ids.iter().map(|id| (*id, written(*id))).collect();
        if ids.iter().any(|id| *id > TemplateId::OVERFLOW.0) {
            let found: Vec<Text> = self.steady_rows(&[&LOG_TEMPLATES], Sql::new(sql).numbers("ids", ids)).await?;
            texts.extend(found.into_iter().map(|text| (text.id, text.text_of)));
        }
        Ok(texts)
    }

    /// Finds the templates with this text, or the one with this id.
    pub(super) async fn templates_named(&self, text: &str, roots: &Roots) -> Result<BTreeSet<u64>, Failure> {
        if text == OVERFLOW {
            return Ok(BTreeSet::from([TemplateId::OVERFLOW.0]));
        }
        let sql = "SELECT template_id AS id, min(template) AS text_of FROM log_templates \
                   WHERE template = {text:String} GROUP BY id";
        let found: Vec<Text> = self.steady_rows(&[&LOG_TEMPLATES], Sql::new(sql).text("text", text)).await?;
        let mut ids: BTreeSet<u64> = found.iter().map(|text| roots.of(text.id)).collect();
        if ids.is_empty() {
            ids.extend(text.parse::<u64>().ok().map(|id| roots.of(id)));
            ids.extend(u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16).map(|id| roots.of(id)));
        }
        Ok(ids)
    }
}

/// What stands for a template whose text is not stored.
fn written(id: u64) -> String {
    match TemplateId(id) {
        TemplateId::NONE => String::new(),
        TemplateId::OVERFLOW => OVERFLOW.to_owned(),
        id => format!("<{id}>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_templates_are_read_together_with_what_they_count_under() {
        let mut aliases = Aliases::default();
        for (from, into) in [(10, 20), (20, 30), (11, 30)] {
            aliases.add(TemplateId(from), TemplateId(into));
        }
        let roots = Roots { into: aliases.resolved().into_iter().map(|(id, root)| (id.0, root.0)).collect() };
        assert_eq!([10, 11, 20, 30, 40].map(|id| roots.of(id)), [30, 30, 30, 30, 40]);
        assert_eq!(roots.members(&BTreeSet::from([30, 40])), BTreeSet::from([10, 11, 20, 30, 40]));
        assert_eq!(roots.members(&BTreeSet::from([0])), BTreeSet::from([0]));
    }
}
