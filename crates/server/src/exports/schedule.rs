use std::time::Duration;

use tidegate_core::catalog::{CatalogError, DatasetStatus};
use tidegate_model::limits::EXPORT_LOOK_SECONDS;
use tokio::time::sleep;

use super::requests::{Wanted, ask};
use super::table::Table;
use crate::errors::chain;
use crate::stages::Stages;

const NANOS_OF_HOUR: i64 = 3_600_000_000_000;

/// Asks for exports of every table whose last one is so many hours ago.
pub(super) async fn run(stages: &Stages) {
    let Ok(hours) = i64::try_from(stages.exports.options.every_hours) else { return };
    if hours == 0 {
        return;
    }
    loop {
        if let Err(error) = look(stages, hours.saturating_mul(NANOS_OF_HOUR)).await {
            tracing::warn!(error = chain(&error), "scheduled exports wait for the next look");
        }
        sleep(Duration::from_secs(EXPORT_LOOK_SECONDS)).await;
    }
}

async fn look(stages: &Stages, every: i64) -> Result<(), CatalogError> {
    for table in tables(stages).await? {
        let last = stages.catalog.last_scheduled_export(&table.slug, &table.label).await?;
        let is_due = last.is_none_or(|last| stages.clock.now().0.saturating_sub(last.0) >= every);
        if is_due {
            let wanted = Wanted { is_scheduled: true, ..Wanted::default() };
            if let Err(error) = ask(stages, &table, wanted).await {
                tracing::error!(dataset = table.slug, error = chain(&error), "a scheduled export cannot be asked for");
            }
        }
    }
    Ok(())
}

/// Returns the tables that the schedule is for.
async fn tables(stages: &Stages) -> Result<Vec<Table>, CatalogError> {
    let named = &stages.exports.options.datasets;
    let is_wanted = |slug: &str| {
        let is_active = stages.catalog.record(slug).is_some_and(|record| record.status == DatasetStatus::Active);
        is_active && (named.is_empty() || named.iter().any(|name| name == slug))
    };
    let datasets = stages.catalog.datasets().await?.into_iter();
    let own = datasets.filter(|dataset| is_wanted(&dataset.slug)).map(Table::of_dataset);
    let built_in = named.iter().filter_map(|name| Table::built_in(name)).filter(|table| table.spec.roll_up.is_none());
    Ok(own.chain(built_in).collect())
}
