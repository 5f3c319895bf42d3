use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tidegate_model::limits::{PRIMARY_AWAY_MS, PRIMARY_FOLLOW_MS};
use tidegate_server::Tracing;
use tokio::sync::watch;
use tokio::time::sleep;

use super::local_agent::reachable;
use crate::migrate::Following;
use crate::settings::Settings;

/// How often it is looked whether there is a migration whose changes are to be brought.
const LOOK: Duration = Duration::from_secs(2);

/// Who asks for the changes, and of whom.
#[derive(Debug, Clone)]
pub(super) struct Own {
    postgres: String,
    server: String,
    scope: String,
}

impl Own {
    /// Takes it from the settings; `None`: there is no PostgreSQL.
    pub(super) fn of(settings: &Settings, door: SocketAddr) -> Option<Self> {
        let postgres = settings.tracing.postgres_url.clone();
        let (server, scope) = (format!("http://{}", reachable(door)), settings.access.admin_scope.clone());
        (!postgres.is_empty()).then_some(Self { postgres, server, scope })
    }
}

/// Brings changes of PostgreSQL to ClickHouse until the server stops, as `tidegate migrate follow` does: through the
/// server's own door, each once, whatever is away for however long. It may end at any moment.
pub(super) async fn run(own: Own, tracing: Arc<Tracing>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = bring(&own, &tracing) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn bring(own: &Own, tracing: &Tracing) {
    let mut was_told = false;
    loop {
        match follow(own, tracing, &mut was_told).await {
            Ok(()) => sleep(LOOK).await,
            Err(error) => {
                let why = format!("{error:#}");
                // The first tells a person; while it lasts the health and the metrics do.
                if was_told {
                    tracing::debug!(error = why, "changes of postgresql are not brought to clickhouse");
                } else {
                    tracing::warn!(error = why, "changes of postgresql are not brought to clickhouse; tried again");
                }
                was_told = true;
                tracing.follow.failed(why);
                sleep(Duration::from_millis(PRIMARY_AWAY_MS)).await;
            }
        }
    }
}

/// Brings changes while there is a migration that takes them.
async fn follow(own: &Own, tracing: &Tracing, was_told: &mut bool) -> Result<()> {
    let table = tracing.primary().map(|primary| primary.table().to_string()).unwrap_or_default();
    let Some(mut following) = Following::find((&own.server, &own.scope), &own.postgres, &table).await? else {
        tracing.follow.works();
        return Ok(());
    };
    while following.is_wanted().await? {
        let brought = following.round().await?;
        tracing.follow.works();
        *was_told = false;
        if brought == 0 {
            tokio::select! {
                () = sleep(Duration::from_millis(PRIMARY_FOLLOW_MS)) => {}
                () = tracing.follow.written() => {}
            }
        }
    }
    Ok(())
}
