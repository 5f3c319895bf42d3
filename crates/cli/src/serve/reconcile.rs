use std::time::Duration;

use tidegate_core::catalog::Catalog;
use tidegate_core::store::Store;
use tidegate_model::limits::RECONCILE_SECONDS;
use tidegate_server::SchemaState;
use tokio::sync::watch;

/// Looks at every start, and now and then, whether datasets' tables are what the catalog says, on every replica.
pub(super) fn start(
    store: Store,
    catalog: Catalog,
    mut schema: watch::Receiver<SchemaState>,
    mut stop: watch::Receiver<bool>,
) {
    tokio::spawn(async move {
        let all = async {
            // Without its sender the server is ending.
            if schema.wait_for(|state| *state == SchemaState::Current).await.is_err() {
                return;
            }
            loop {
                reconcile(&store, &catalog).await;
                tokio::time::sleep(Duration::from_secs(RECONCILE_SECONDS)).await;
            }
        };
        tokio::select! {
            () = all => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}

async fn reconcile(store: &Store, catalog: &Catalog) {
    let tables = match catalog.datasets().await {
        Ok(tables) => tables,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the catalog does not tell its datasets");
            return;
        }
    };
    let specs: Vec<_> = tables.iter().map(|table| &table.spec).collect();
    match store.reconcile(&specs).await {
        Ok(drifts) => {
            let left = drifts.iter().filter(|drift| !drift.is_mended).count();
            if left > 0 {
                tracing::error!(
                    left,
                    "columns in ClickHouse are not what the catalog says; `tidegate datasets reconcile` lists them"
                );
            }
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the tables of datasets could not be compared");
        }
    }
}
