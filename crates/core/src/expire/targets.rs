use serde::Serialize;
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS};
use tidegate_model::{Retention, TableName, TableSpec, tables};

use super::{Expire, ExpireError, Pending};
use crate::catalog::{Dataset, Policy, PolicyKind};
use crate::store::row_time;

/// Who decided what is kept of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Somebody, for this table alone.
    Table,
    /// Somebody, for all tables of the dataset.
    Dataset,
    /// The settings.
    Settings,
}

/// A table whose rows may expire.
#[derive(Debug, Clone)]
pub struct Target {
    /// The dataset, or the built-in table.
    pub slug: String,
    /// The table of the dataset.
    pub label: String,
    /// The table.
    pub spec: TableSpec,
    /// A row's time in SQL, if rows have one.
    pub(super) time: Option<String>,
    /// What is kept.
    pub retention: Retention,
    /// Who decided that.
    pub source: Source,
    /// What will be kept, from when on.
    pub pending: Option<Pending>,
}

impl Target {
    pub(super) fn rolls_up(&self) -> bool {
        self.spec.roll_up.is_some()
    }
}

/// Says why rows of a table must stay.
fn kept(spec: &TableSpec) -> Option<&'static str> {
    if spec.unique_key.is_some() {
        return Some("each has one row for ever, which later points refer to");
    }
    let may_expire = [&CATALOG_SIGNALS.name, &CATALOG_ATTRIBUTES.name].contains(&&spec.name);
    (spec.roll_up.is_some() && !may_expire).then_some("rows of other tables refer to them, whatever their age")
}

impl Expire {
    /// Describes the tables of a dataset, or a built-in table, with what is kept of each.
    pub async fn targets(&self, slug: Option<&str>) -> Result<Vec<Target>, ExpireError> {
        let policies = self.sources.catalog.policies::<Retention>(PolicyKind::Retention).await?;
        let defaults = self.defaults().await?;
        let is_wanted = |own: &str| slug.is_none_or(|slug| slug == own);
        let datasets = self.sources.catalog.datasets().await?;
        let mut found: Vec<_> = datasets
            .into_iter()
            .filter(|dataset| is_wanted(&dataset.slug))
            .map(|dataset| self.of_dataset(dataset, &policies))
            .collect();
        let is_taken = |name: &TableName| found.iter().any(|target: &Target| target.slug == name.as_str());
        let built_in = tables::all().into_iter().filter(|spec| is_wanted(spec.name.as_str()) && !is_taken(&spec.name));
        let built_in: Vec<_> = built_in.filter(|spec| kept(spec).is_none()).collect();
        found.extend(built_in.into_iter().map(|spec| built_in_target(spec, &policies, &defaults)));
        match slug {
            Some(slug) if found.is_empty() => Err(self.no_target(slug)),
            _ => Ok(found),
        }
    }

    fn no_target(&self, slug: &str) -> ExpireError {
        let table = tables::all().into_iter().find(|spec| spec.name.as_str() == slug);
        match table.and_then(kept) {
            Some(why) => ExpireError::Kept { table: slug.to_owned(), why },
            // A dataset that was made and has no table yet is there, and has nothing to expire.
            None => ExpireError::UnknownTable(slug.to_owned()),
        }
    }

    fn of_dataset(&self, dataset: Dataset, policies: &[Policy<Retention>]) -> Target {
        let Dataset { slug, label, spec, time_column, .. } = dataset;
        let (retention, source) =
            decided(policies, &slug, &label).unwrap_or((self.sources.of_datasets, Source::Settings));
        Target { time: row_time(&spec, time_column.as_deref()), slug, label, spec, retention, source, pending: None }
    }
}

fn built_in_target(
    spec: &TableSpec,
    policies: &[Policy<Retention>],
    defaults: &[(TableName, Retention, Option<Pending>)],
) -> Target {
    let (slug, label) = (spec.name.to_string(), Dataset::RECORDS.to_owned());
    let time = row_time(spec, tables::time_column(spec));
    let of = |retention, source, pending| Target { slug, label, spec: spec.clone(), time, retention, source, pending };
    let default = defaults.iter().find(|(table, ..)| *table == spec.name);
    match (decided(policies, spec.name.as_str(), Dataset::RECORDS), default) {
        (Some((retention, source)), _) => of(retention, source, None),
        (None, Some((_, retention, pending))) => of(*retention, Source::Settings, *pending),
        (None, None) => of(Retention::default(), Source::Settings, None),
    }
}

fn decided(policies: &[Policy<Retention>], slug: &str, label: &str) -> Option<(Retention, Source)> {
    let find = |label: &str| policies.iter().find(|policy| policy.slug == slug && policy.label == label);
    let own = find(label).map(|policy| (policy.policy, Source::Table));
    own.or_else(|| find("").map(|policy| (policy.policy, Source::Dataset)))
}
