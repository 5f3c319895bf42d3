use tidegate_core::catalog::{CatalogError, Dataset};
use tidegate_model::{TableSpec, tables};

use crate::stages::Stages;

/// A table that may be exported.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The dataset, or the built-in table's name.
    pub(super) slug: String,
    pub(super) label: String,
    pub(super) spec: TableSpec,
    pub(super) time_column: Option<String>,
    /// Of the dataset's schema.
    pub(super) version: Option<u32>,
}

impl Table {
    /// Describes a table of a dataset.
    pub(super) fn of_dataset(dataset: Dataset) -> Self {
        let Dataset { slug, label, version, spec, time_column } = dataset;
        Self { slug, label, spec, time_column, version: Some(version) }
    }

    /// Finds a built-in table.
    pub(super) fn built_in(name: &str) -> Option<Self> {
        let spec = tables::all().into_iter().find(|spec| spec.name.as_str() == name)?;
        Some(Self {
            slug: name.to_owned(),
            label: Dataset::RECORDS.to_owned(),
            spec: spec.clone(),
            time_column: tables::time_column(spec).map(str::to_owned),
            version: None,
        })
    }

    /// Finds a dataset's table, or a built-in one by its name.
    pub(super) async fn find(stages: &Stages, slug: &str, label: &str) -> Result<Option<Self>, CatalogError> {
        let dataset = stages.catalog.dataset(slug, label).await?;
        Ok(dataset.map(Self::of_dataset).or_else(|| Self::built_in(slug).filter(|table| table.label == label)))
    }
}
