use futures_util::TryStreamExt;
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat, Taken};
use tidegate_core::ingest::{Ingest, IngestError};
use tidegate_core::query::{Query, QueryError, QueryOptions};

use crate::world::{LIMIT, World};

/// Everything between a request of rows and an answer.
pub(super) struct Place {
    pub(super) world: World,
    pub(super) states: States,
    pub(super) ingest: Ingest,
    query: Query,
    batcher: Batcher,
}

/// No batch moves unless it is told to.
fn by_hand() -> BatchOptions {
    BatchOptions { rows: u64::MAX, bytes: u64::MAX, age_ms: u64::MAX, ..BatchOptions::default() }
}

impl Place {
    pub(super) async fn new() -> Self {
        let world = World::new().await;
        world.store.migrate().await.expect("the tables");
        Self::on(world).await
    }

    async fn on(world: World) -> Self {
        let (states, batcher) = world.open(&world.store, by_hand()).await;
        let ingest = Ingest::open(states.buffer.clone(), states.catalog.clone(), states.clock.clone()).await;
        let ingest = ingest.expect("an ingest").with_store(world.store.clone());
        let query = Query {
            buffer: states.buffer.clone(),
            store: world.store.clone(),
            catalog: states.catalog.clone(),
            rollup: states.rollup.clone(),
            options: QueryOptions::default(),
        };
        Self { world, states, ingest, query, batcher }
    }

    /// Ends everything but the engine, stores nothing more, and begins again from what is on disk.
    pub(super) async fn restarted(self) -> Self {
        self.batcher.stop(std::time::Duration::ZERO).await;
        self.states.buffer.close().await.expect("the log ends");
        self.states.catalog.close().await;
        drop((self.states, self.ingest, self.query, self.batcher));
        Self::on(self.world).await
    }

    pub(super) async fn flush(&self) {
        assert_eq!(self.batcher.flush(&[], LIMIT).await, []);
    }

    pub(super) async fn send(&self, body: &str) -> Result<Taken, IngestError> {
        self.ingest.dataset_rows(request("visits", body)).await
    }

    pub(super) async fn taken(&self, body: &str) -> Taken {
        self.send(body).await.unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    pub(super) async fn read(&self, sql: &str) -> Result<String, QueryError> {
        let answer = self.query.read(crate::query::request(sql));
        let pieces: Vec<_> = answer.await?.body.try_collect().await?;
        Ok(String::from_utf8(pieces.concat()).expect("text").trim_end_matches('\n').to_owned())
    }

    pub(super) async fn answer(&self, sql: &str) -> String {
        self.read(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// Expects the same answer from the hot tail and, afterwards, from ClickHouse.
    pub(super) async fn hot_and_stored(&self, sql: &str, expected: &str) {
        assert_eq!(self.answer(sql).await, expected, "hot: {sql}");
        self.flush().await;
        assert_eq!(self.answer(sql).await, expected, "stored: {sql}");
    }
}

pub(super) fn request(slug: &str, body: &str) -> DatasetRequest {
    DatasetRequest::new(slug, RowsFormat::Json, body.to_owned())
}
