use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_primary::TableName;
use tidegate_traces::DATASET;

use super::follow::{drain, is_alone};
use super::{Moving, is_postgres, moving, place_of};
use crate::client::Asker;
use crate::migrate::Told;
use crate::migrate::duckdb::Duckdb;
use crate::migrate::server::{Server, is_open};

/// How often it is asked whether the migration is still there; in between its end is an error that is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Brings changes of the PostgreSQL of the tracing API, in the process of the server that they come to.
pub(crate) struct Following {
    told: Told,
    moving: Moving,
    looked: Instant,
}

impl Following {
    /// Finds the migration of a table to the dataset of spans whose changes are captured, if there is one.
    pub(crate) async fn find((server, scope): (&str, &str), postgres: &str, table: &str) -> Result<Option<Self>> {
        let server = Server::new(Asker::own(server, scope))?;
        // Nothing of DuckDB is asked for here.
        let duckdb = Duckdb::new(PathBuf::new());
        let told = Told { server, json: false, duckdb, postgres: Some(postgres.to_owned()) };
        let wanted = TableName::parse(table)?;
        for migration in told.server.migrations(Some(DATASET)).await? {
            if !is_open(&migration.state) || !is_postgres(&migration) {
                continue;
            }
            let origin = place_of(&migration)?;
            // PostgreSQL quotes the names that need it; none of those that are taken here has a quote in it.
            if origin.boundary.is_some() && origin.table.replace('"', "") == wanted.to_string() {
                let moving = moving(&told, migration).await?;
                return Ok(Some(Self { told, moving, looked: Instant::now() }));
            }
        }
        Ok(None)
    }

    /// Says whether the migration still takes changes.
    pub(crate) async fn is_wanted(&mut self) -> Result<bool> {
        if self.looked.elapsed() < AGAIN {
            return Ok(true);
        }
        self.looked = Instant::now();
        Ok(is_open(&self.told.server.again(&self.moving.migration).await?.state))
    }

    /// Brings what is committed by now, unless somebody else does; returns how many changes.
    pub(crate) async fn round(&mut self) -> Result<u64> {
        if is_alone(&mut self.moving).await? { drain(&self.told, &mut self.moving).await } else { Ok(0) }
    }
}
