use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tidegate_model::limits::{QUERY_RETRY_MS, QUERY_SQL_BYTES_MAX, QUERY_WAIT_POLL_MS};
use tidegate_model::{ErrorKind, Seq, TableName, TableSpec, tables};
use tokio::time::{Instant, sleep, timeout_at};

use super::counted::{self, Counted, is_counted};
use super::error::QueryError;
use super::format::Format;
use super::hot::{HotRows, Rows, encode_all};
use super::plan::{self, Plan, Pushed};
use super::union::{self, Split};
use super::watermark::min_watermarks;
use super::{Freshness, FreshnessMode, Query, ReadAnswer, ReadRequest, STORED_PARAM};
use crate::buffer::TableTail;
use crate::catalog::Dataset;
use crate::rollup::Rollup;
use crate::store::{External, Select, StoreError};

/// ClickHouse's numbers for a column or table that is not there: `NO_SUCH_COLUMN_IN_TABLE`, `UNKNOWN_IDENTIFIER`,
/// `UNKNOWN_TABLE`; and for types without a common one, where a column was not widened yet: `NO_COMMON_TYPE`.
const MAY_LACK_TABLE: [i32; 4] = [16, 47, 60, 386];

/// Tries without a hold: a batch takes a fraction of a second, every few seconds.
const ATTEMPTS_BEFORE_HOLD: u32 = 3;

/// Waits without one: of many tables some batch may always be on its way.
const WAITS_BEFORE_HOLD: u32 = 20;

/// The beginning of the names of ClickHouse's functions over grids of time, and the setting that allows them.
const TIME_SERIES: &str = "timeSeries";
const TIME_SERIES_ALLOWED: &str = "allow_experimental_time_series_aggregate_functions";

type Body = BoxStream<'static, Result<Bytes, StoreError>>;

impl Query {
    /// Answers one read from one snapshot of stored and hot rows; its first bytes are there when this returns.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, QueryError> {
        self.read_own(request, Own::default()).await
    }

    /// Does the same for a statement of ours of one table.
    pub(super) async fn read_own(&self, request: ReadRequest, own: Own) -> Result<ReadAnswer, QueryError> {
        let Own { pushed, settings, stored_of } = own;
        let limit = request.timeout.map_or(self.options.timeout, |asked| asked.min(self.options.timeout));
        let deadline = Instant::now() + limit;
        let datasets = self.datasets_named(&request).await?;
        let specs: Vec<&TableSpec> =
            tables::all().into_iter().chain(datasets.iter().map(|dataset| &dataset.spec)).collect();
        let mut plan = plan::plan(&request.sql, &request.params, self.store.database(), &specs)?;
        if let [used] = &mut plan.tables[..] {
            used.pushed = pushed;
        }
        let named: Vec<TableName> = plan.tables.iter().map(|used| used.spec.name.clone()).collect();
        if let Some(text) = &request.min_watermark {
            let wanted = min_watermarks(text, &named)?;
            self.wait_for(&wanted, deadline).await?;
        }
        let run = Run {
            query: self,
            request: &request,
            plan: &plan,
            named: &named,
            datasets: &datasets,
            settings,
            stored_of,
            limit,
            deadline,
        };
        match run.until_it_answers().await {
            Err(QueryError::Engine { code, .. }) if MAY_LACK_TABLE.contains(&code) && !datasets.is_empty() => {
                self.make_tables(&datasets).await?;
                run.until_it_answers().await
            }
            outcome => outcome,
        }
    }

    /// Makes the tables and columns that ClickHouse lacks: rows of a dataset may be asked for before their first batch.
    async fn make_tables(&self, datasets: &[Dataset]) -> Result<(), QueryError> {
        for dataset in datasets {
            self.store.ensure_table(&dataset.spec).await.map_err(QueryError::Store)?;
        }
        Ok(())
    }

    /// Looks the datasets up whose tables the SQL may name.
    async fn datasets_named(&self, request: &ReadRequest) -> Result<Vec<Dataset>, QueryError> {
        let names = plan::names(&request.sql, &request.params);
        let is_named = |table: &TableName| names.iter().any(|name| name == table.as_str());
        Ok(self.catalog.datasets_named(is_named).await?)
    }

    /// Waits until the buffer has acknowledged the wanted rows, or says which are not there.
    async fn wait_for(&self, wanted: &[(TableName, Seq)], deadline: Instant) -> Result<(), QueryError> {
        let started = Instant::now();
        let until = deadline.min(started + self.options.fresh_wait);
        let names: Vec<_> = wanted.iter().map(|(table, _)| table.clone()).collect();
        loop {
            let tails = self.buffer.snapshot(&names);
            let lacking = wanted.iter().zip(&tails).find(|((_, seq), tail)| tail.head < *seq);
            let Some(((table, wanted), tail)) = lacking else { return Ok(()) };
            if Instant::now() >= until {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(QueryError::NotYet { table: table.clone(), wanted: *wanted, head: tail.head, waited_ms });
            }
            sleep(Duration::from_millis(QUERY_WAIT_POLL_MS)).await;
        }
    }
}

/// What a statement of ours has beside its request.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// What stored and hot rows are narrowed down by before they are put together.
    pub(super) pushed: Option<Pushed>,
    /// Settings of the query.
    pub(super) settings: Vec<(&'static str, String)>,
    /// The table whose stored watermark it asks for; `None`: its one table.
    pub(super) stored_of: Option<TableName>,
}

/// One read on its way.
struct Run<'r> {
    query: &'r Query,
    request: &'r ReadRequest,
    plan: &'r Plan<'r>,
    named: &'r [TableName],
    datasets: &'r [Dataset],
    settings: Vec<(&'static str, String)>,
    stored_of: Option<TableName>,
    limit: Duration,
    deadline: Instant,
}

/// What one attempt came to.
enum Attempt {
    Answer(ReadAnswer),
    /// A batch moved under a query that went through untouched, or that reads a roll-up: ask again.
    Moved,
    /// A batch of a roll-up is on its way: its rows are in the store, or not yet.
    Moving(TableName),
}

impl Run<'_> {
    /// Tries again while the engine does not answer: a read may be repeated until its first byte is sent.
    async fn until_it_answers(&self) -> Result<ReadAnswer, QueryError> {
        let mut untouched_allowed = true;
        let (mut attempts, mut waits) = (0_u32, 0_u32);
        let mut hold = None;
        loop {
            attempts += 1;
            if attempts == ATTEMPTS_BEFORE_HOLD {
                // A query that takes longer than a batch is apart from the next would never find the roll-up at rest.
                hold.get_or_insert_with(|| self.query.buffer.hold(self.unsure()));
            }
            let pause = Duration::from_millis(QUERY_RETRY_MS) * attempts.min(10);
            match self.attempt(attempts, untouched_allowed).await {
                Ok(Attempt::Answer(answer)) => {
                    drop(hold);
                    return Ok(answer);
                }
                Ok(Attempt::Moved) => untouched_allowed = false,
                Ok(Attempt::Moving(table)) => {
                    attempts -= 1;
                    waits += 1;
                    if waits == WAITS_BEFORE_HOLD {
                        hold.get_or_insert_with(|| self.query.buffer.hold(self.unsure()));
                    }
                    if Instant::now() + pause >= self.deadline {
                        return Err(QueryError::Moving { table });
                    }
                    sleep(Duration::from_millis(QUERY_WAIT_POLL_MS)).await;
                }
                Err(QueryError::Unreachable(source)) if Instant::now() + pause < self.deadline => {
                    tracing::debug!(query_id = self.request.query_id, %source, "the engine does not answer, trying again");
                    sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&self, attempts: u32, untouched_allowed: bool) -> Result<Attempt, QueryError> {
        // A schema may have changed since their last batch: `*` would leave out what only the catalog knows.
        for dataset in self.datasets.iter().filter(|dataset| self.named.contains(&dataset.spec.name)) {
            match self.in_time(self.query.store.ensure_form(&dataset.spec)).await? {
                // What can be read of it can be read.
                Ok(()) | Err(StoreError::OtherType { .. }) => {}
                Err(error) => return Err(self.failed(error, 0)),
            }
        }
        let turn = match (&self.query.rollup, self.counts()) {
            (Some(rollup), true) => Some((rollup, self.in_time(rollup.turn()).await?)),
            _ => None,
        };
        let tails = self.query.buffer.snapshot(&self.read_from());
        let is_at_rest = |tail: &TableTail| tail.chunks.is_empty() && !tail.in_flight;
        if let Some(tail) = tails.iter().find(|tail| self.moves(tail)) {
            return Ok(Attempt::Moving(tail.table.clone()));
        }
        let untouched = tails.is_empty() || (untouched_allowed && tails.iter().all(is_at_rest));

        let freshness = freshness(
            tails.iter().filter(|tail| !tables::all().iter().any(|spec| spec.name == tail.table && is_counted(spec))),
        );
        let (mut select, offset) = if untouched {
            drop(turn);
            (self.select(self.plan.sql.clone(), Vec::new(), attempts), 0)
        } else {
            let counted = match turn {
                Some((rollup, turn)) => {
                    let sources = tails.iter().filter(|tail| Rollup::counts(&tail.table)).cloned().collect();
                    self.in_time(counted::count((rollup, &self.query.store), turn, sources)).await??
                }
                None => Counted::new(),
            };
            self.union(&tails, counted, attempts).await?
        };
        let stored_of = match (&self.stored_of, &tails[..]) {
            (Some(table), tails) => tails.iter().find(|tail| tail.table == *table),
            (None, [tail]) => Some(tail),
            (None, _) => None,
        };
        if let Some(tail) = stored_of {
            select.params.push((STORED_PARAM.to_owned(), tail.stored.to_string()));
        }
        let place = |error| self.failed(error, offset);
        let answer = self.query.store.select(select).await.map_err(place)?;
        let (first, rest) = self.first_piece(answer.body).await.map_err(place)?;
        if !self.still_at_rest(&tails, untouched) {
            return Ok(Attempt::Moved);
        }
        let limit = self.limit;
        let body =
            stream::iter(first).chain(rest).map(move |piece| piece.map_err(|error| placed(error, offset, limit)));
        let format = self.format();
        Ok(Attempt::Answer(ReadAnswer {
            freshness,
            content_type: format.content_type,
            format,
            body: body.boxed(),
            query_id: self.request.query_id.clone(),
        }))
    }

    /// Waits for a step until the read's time is spent.
    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Result<T, QueryError> {
        timeout_at(self.deadline, step).await.map_err(|_| QueryError::Timeout(self.limit))
    }

    /// Says whether no row can have come into the store since the snapshot. ClickHouse chooses the parts it reads
    /// before its first byte, also where the statement names a table several times, so a cut that opens later is not in
    /// the answer.
    fn still_at_rest(&self, then: &[TableTail], untouched: bool) -> bool {
        let unsure = self.unsure();
        let now = self.query.buffer.snapshot(&self.read_from());
        let is_at_rest = |(now, then): (&TableTail, &TableTail)| {
            let is_sure = !untouched && !unsure.contains(&now.table);
            is_sure || (now.stored == then.stored && !self.moves(now) && !(untouched && now.in_flight))
        };
        now.iter().zip(then).all(is_at_rest)
    }

    /// Says whether nobody can tell what an answer holds of a table's open cut: of a roll-up from its first insert on,
    /// of other tables once what is counted of them goes out.
    fn moves(&self, tail: &TableTail) -> bool {
        let rolls_up = self.plan.tables.iter().any(|used| used.spec.name == tail.table && used.spec.roll_up.is_some());
        if rolls_up { tail.in_flight } else { self.counts() && tail.shows }
    }

    /// Waits for the first bytes: until they are sent on, a failure can still be told by the answer's status.
    async fn first_piece(&self, body: Body) -> Result<(Option<Result<Bytes, StoreError>>, Body), StoreError> {
        // An answer of no rows may have no bytes: its end is met here, and asked for again by whoever sends it on.
        let mut body = body.fuse().boxed();
        match timeout_at(self.deadline, body.next()).await {
            Err(_) => Err(StoreError::Timeout(self.limit)),
            Ok(Some(Err(error))) => Err(error),
            Ok(first) => Ok((first, body)),
        }
    }

    /// Says whether the query reads what is counted of other tables' rows.
    fn counts(&self) -> bool {
        self.query.rollup.is_some() && self.plan.tables.iter().any(|used| is_counted(used.spec))
    }

    /// Returns the tables of the answer's snapshot: those that the query names, then those that are counted for it.
    fn read_from(&self) -> Vec<TableName> {
        let mut tables = self.named.to_vec();
        if self.counts() {
            let sources = Rollup::sources().map(|spec| spec.name.clone());
            tables.extend(sources.into_iter().filter(|source| !self.named.contains(source)));
        }
        tables
    }

    /// Returns the tables of which no number tells stored rows from those of an open cut.
    fn unsure(&self) -> Vec<TableName> {
        let roll_ups = self.plan.tables.iter().filter(|used| used.spec.roll_up.is_some());
        let mut tables: Vec<_> = roll_ups.map(|used| used.spec.name.clone()).collect();
        if self.counts() {
            tables.extend(Rollup::sources().map(|spec| spec.name.clone()));
        }
        tables
    }

    async fn union(
        &self,
        tails: &[TableTail],
        mut counted: Counted,
        attempts: u32,
    ) -> Result<(Select, usize), QueryError> {
        let (mut splits, mut hot, mut external) = (Vec::new(), Vec::new(), Vec::new());
        for (used, tail) in self.plan.tables.iter().zip(tails) {
            let rows = match counted.remove(&tail.table) {
                Some(counted) => Rows::Counted(counted),
                None if used.spec.roll_up.is_some() => Rows::Merging(tail.chunks.clone(), used.spec.clone()),
                None => Rows::Hot(tail.chunks.clone()),
            };
            let is_hot = !tail.chunks.is_empty() || matches!(rows, Rows::Counted(_));
            splits.push(Split { stored: tail.stored, is_hot });
            if is_hot {
                let columns = used.columns.iter().map(|&at| used.spec.columns[at].clone()).collect();
                hot.push(HotRows { table: tail.table.clone(), columns, rows });
                let name = union::hot_name(&tail.table);
                external.push(External { name, structure: union::structure(used), arrow_stream: Vec::new() });
            }
        }
        let union = union::wrap(self.plan, self.query.store.database(), &splits);
        let encoded = tokio::task::spawn_blocking(move || encode_all(&hot)).await??;
        let external =
            external.into_iter().zip(encoded).map(|(external, arrow_stream)| External { arrow_stream, ..external });
        Ok((self.select(union.sql, external.collect(), attempts), union.offset))
    }

    fn select(&self, sql: String, external: Vec<External>, attempts: u32) -> Select {
        let id = &self.request.query_id;
        Select {
            sql,
            format: self.format().clickhouse,
            params: self.request.params.clone(),
            settings: self.settings(),
            external,
            // A second attempt may meet the first one still ending.
            query_id: if attempts == 1 { id.clone() } else { format!("{id}-{attempts}") },
            timeout: self.deadline.saturating_duration_since(Instant::now()),
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let options = &self.query.options;
        let rows = self.request.max_rows.map_or(options.result_rows, |asked| asked.min(options.result_rows));
        let settings = [
            ("max_memory_usage", options.memory_bytes.to_string()),
            ("max_result_rows", rows.to_string()),
            ("max_result_bytes", options.result_bytes.to_string()),
            ("result_overflow_mode", "throw".into()),
            ("timeout_overflow_mode", "throw".into()),
            // Our tables stand before the user's text.
            ("max_query_size", (4 * QUERY_SQL_BYTES_MAX).to_string()),
            // Without these two a common table expression does not shadow the table everywhere in the statement.
            ("enable_global_with_statement", "1".into()),
            ("allow_experimental_analyzer", "1".into()),
        ];
        // Older servers do not know it, so it goes only where it is needed.
        let time_series = self.plan.sql.contains(TIME_SERIES).then(|| (TIME_SERIES_ALLOWED, "1".to_owned()));
        let all = settings.into_iter().chain(time_series).chain(self.settings.iter().cloned());
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn format(&self) -> Format {
        self.plan.format.unwrap_or(self.request.format)
    }

    /// A failure before the first byte: whatever cut the connection, the read may be tried again.
    fn failed(&self, error: StoreError, offset: usize) -> QueryError {
        match QueryError::of_store(error) {
            QueryError::Store(error) => placed(error, offset, self.limit),
            unreachable => unreachable,
        }
    }
}

fn freshness<'t>(tails: impl Iterator<Item = &'t TableTail> + Clone) -> Freshness {
    let is_hot = tails.clone().any(|tail| !tail.chunks.is_empty());
    Freshness {
        mode: if is_hot { FreshnessMode::ReplicaAndHotBuffer } else { FreshnessMode::ReplicaOnly },
        replica_age_ms: tails.clone().filter_map(|tail| tail.oldest_ms).max().unwrap_or(0),
        watermarks: tails.clone().map(|tail| (tail.table.clone(), tail.head)).collect(),
        latest: tails.clone().map(|tail| (tail.table.clone(), tail.head)).collect(),
        stored: tails.map(|tail| (tail.table.clone(), tail.stored)).collect(),
    }
}

/// Says a failure in the query's terms, with positions as in the user's own text.
fn placed(error: StoreError, offset: usize, limit: Duration) -> QueryError {
    let kind = error.kind();
    match error {
        StoreError::Timeout(_) => QueryError::Timeout(limit),
        StoreError::Refused { .. } if kind == ErrorKind::Timeout => QueryError::Timeout(limit),
        StoreError::Refused { code, text } => QueryError::Engine { code, text: as_written(&text, offset), kind },
        error => QueryError::Store(error),
    }
}

/// Says ClickHouse's text with positions as in the user's own: it counts from the beginning of the statement that it
/// got (`failed at position 123 (…)`). The engine's own check of the statement is left out of it.
fn as_written(text: &str, offset: usize) -> String {
    const BEFORE: &str = "failed at position ";
    let text = text.split_once(": In scope SELECT formatQuery(").map_or(text, |(said, _)| said);
    let Some((head, tail)) = text.split_once(BEFORE) else { return text.to_owned() };
    let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    match tail[..digits].parse::<usize>() {
        Ok(position) if position > offset => format!("{head}{BEFORE}{}{}", position - offset, &tail[digits..]),
        _ => text.to_owned(),
    }
}
