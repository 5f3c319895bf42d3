//! The catalogue of all hours, in memory: read from its tables once, then counted up to the newest row at each read.

use std::time::Duration;

use arrow_buffer::Buffer as Bytes;
use arrow_ipc::reader::StreamDecoder;
use futures_util::StreamExt;
use tidegate_model::limits::{CATALOG_HASHES_PER_ROW, QUERY_WAIT_POLL_MS};
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES, METRIC_SERIES};
use tidegate_model::{Merge, Seq, TableName, TableSpec};
use tokio::time::{Instant, sleep, timeout_at};

use super::Query;
use super::counted::count_above;
use super::error::QueryError;
use crate::buffer::Hold;
use crate::rollup::Rollup;
use crate::rollup::totals::{Catalogue, LAST_HOUR, Totals, TotalsReading, TotalsTurn, by_table};
use crate::store::Select;

/// What was read, up to which rows, and what keeps further rows from the tables meanwhile.
type Loaded = (Catalogue, Vec<(TableName, Seq)>, Hold);

impl Query {
    /// Returns the catalogue of all hours, with every row in it that was acknowledged before; `None`: there is none in
    /// memory, so its tables have to be asked. Whoever asks first has it read for those who come later.
    pub async fn totals(&self) -> Result<Option<TotalsReading>, QueryError> {
        let Some((rollup, totals)) = self.rollup.as_ref().and_then(|rollup| Some((rollup, rollup.totals()?))) else {
            return Ok(None);
        };
        let (limit, deadline) = (self.options.timeout, Instant::now() + self.options.timeout);
        let late = |_| QueryError::Timeout(limit);
        let mut turn = timeout_at(deadline, totals.turn()).await.map_err(late)?;
        if turn.begin_loading() {
            tokio::spawn(self.clone().load(rollup.clone(), totals.clone()));
            return Ok(None);
        }
        if !timeout_at(deadline, self.count_up(rollup, &mut turn)).await.map_err(late)?? {
            return Ok(None);
        }
        Ok(turn.into_reading())
    }

    /// Counts the hot rows that nobody has counted; `false`: there are no totals.
    async fn count_up(&self, rollup: &Rollup, turn: &mut TotalsTurn) -> Result<bool, QueryError> {
        let mut seen = Vec::new();
        for table in sources() {
            let Some(counted) = turn.counted(&table) else { return Ok(false) };
            seen.push((table, counted));
        }
        let mut wanted = seen.clone();
        // What is known of series is learned when points need it, which may be later than the series are counted.
        let series = wanted.iter_mut().filter(|(table, _)| *table == METRIC_SERIES.name);
        series.for_each(|(_, from)| *from = rollup.series_learned().min(*from));
        let mut above = Vec::new();
        for (tail, (_, counted)) in self.buffer.snapshot_above(&wanted).into_iter().zip(seen) {
            if counted < tail.stored {
                // Rows left the tail uncounted, which movers prevent.
                tracing::warn!(table = %tail.table, %counted, stored = %tail.stored, "the totals in memory lack rows and are read anew");
                turn.forget();
                return Ok(false);
            }
            if counted < tail.head {
                above.push((tail, counted));
            }
        }
        if above.is_empty() {
            return Ok(true);
        }
        let (heads, parts) = count_above((rollup, &self.store), above).await?;
        turn.add(heads, by_table(&parts))?;
        Ok(true)
    }

    async fn load(self, rollup: Rollup, totals: Totals) {
        let loaded = self.loaded(&rollup, &totals).await;
        let mut turn = totals.turn().await;
        match loaded {
            Ok(Some((catalogue, counted, _hold))) => turn.hold(catalogue, counted),
            Ok(None) => turn.give_up(),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the catalogue could not be read into memory");
                turn.fail();
            }
        }
    }

    /// Reads the tables while no batch of their sources is on its way; `None`: they are too large.
    async fn loaded(&self, rollup: &Rollup, totals: &Totals) -> Result<Option<Loaded>, QueryError> {
        let deadline = Instant::now() + self.options.timeout;
        let hold = self.buffer.hold(sources());
        let tails = loop {
            let tails = self.buffer.snapshot(&sources());
            match tails.iter().find(|tail| tail.in_flight) {
                None => break tails,
                Some(tail) if Instant::now() >= deadline => {
                    return Err(QueryError::Moving { table: tail.table.clone() });
                }
                Some(_) => sleep(Duration::from_millis(QUERY_WAIT_POLL_MS)).await,
            }
        };
        let mut catalogue = totals.empty();
        let mut counted: Vec<_> = tails.iter().map(|tail| (tail.table.clone(), tail.stored)).collect();
        for spec in [&*CATALOG_VALUES, &*CATALOG_SIGNALS, &*CATALOG_ATTRIBUTES] {
            if !self.load_table(&mut catalogue, spec, totals.room(), deadline).await? {
                return Ok(None);
            }
            if spec.name == CATALOG_VALUES.name {
                // Texts come before what is counted of them, and those of stored points may be with series that are hot.
                let series = tails.iter().filter(|tail| tail.table == METRIC_SERIES.name);
                let series = series.map(|tail| (tail.clone(), tail.stored)).collect();
                let (heads, parts) = count_above((rollup, &self.store), series).await?;
                by_table(&parts).try_for_each(|(of, rows)| catalogue.add(of, rows))?;
                counted.retain(|(table, _)| *table != METRIC_SERIES.name);
                counted.extend(heads);
            }
        }
        Ok(Some((catalogue, counted, hold)))
    }

    async fn load_table(
        &self,
        catalogue: &mut Catalogue,
        spec: &TableSpec,
        room: usize,
        deadline: Instant,
    ) -> Result<bool, QueryError> {
        let select = Select {
            sql: over_all_hours(spec, self.store.database()),
            format: "ArrowStream",
            params: Vec::new(),
            settings: [
                ("output_format_arrow_compression_method", "none"),
                // `sum(records) AS records` sums the column, not itself.
                ("prefer_column_name_to_alias", "1"),
                ("max_memory_usage", &self.options.memory_bytes.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            external: Vec::new(),
            query_id: format!("totals-{}-{:016x}", spec.name, rand::random::<u64>()),
            timeout: deadline.saturating_duration_since(Instant::now()),
        };
        let mut body = self.store.select(select).await.map_err(QueryError::of_store)?.body;
        let mut decoder = StreamDecoder::new();
        while let Some(piece) = body.next().await {
            let mut piece = Bytes::from(piece.map_err(QueryError::of_store)?);
            while !piece.is_empty() {
                if let Some(rows) = decoder.decode(&mut piece)? {
                    catalogue.add(&spec.name, &rows)?;
                }
            }
            if !catalogue.fits(room) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns the statement that reads a table of the catalogue, its hours merged by the rules of its columns.
fn over_all_hours(spec: &TableSpec, database: &str) -> String {
    let rules = spec.roll_up.into_iter().flat_map(|roll_up| roll_up.rules);
    let keys = spec.roll_up.into_iter().flat_map(|roll_up| roll_up.keys).filter(|key| **key != "hour");
    let keys: Vec<_> = keys.map(|key| format!("`{key}`")).collect();
    let mut columns = keys.clone();
    if spec.column("hour").is_some() {
        columns.push(format!("min(hour) AS hour, max(hour) AS {LAST_HOUR}"));
    }
    columns.extend(rules.map(|(name, rule)| match rule {
        Merge::Sum => format!("sum(`{name}`) AS `{name}`"),
        Merge::Min => format!("min(`{name}`) AS `{name}`"),
        Merge::Max => format!("max(`{name}`) AS `{name}`"),
        // A set of so many is not kept in memory.
        Merge::Union => format!("groupUniqArrayArray({CATALOG_HASHES_PER_ROW})(`{name}`) AS `{name}`"),
    }));
    let (columns, keys) = (columns.join(", "), keys.join(", "));
    format!("SELECT {columns} FROM `{database}`.`{}` GROUP BY {keys}", spec.name)
}

fn sources() -> Vec<TableName> {
    Rollup::sources().iter().map(|spec| spec.name.clone()).collect()
}
