use std::fmt::Write as _;
use std::time::Duration;

use tidegate_model::limits::EXPORT_SECONDS;
use tidegate_model::{MigrationPiece, SeqRange, TableSpec, UnixNanos};

use super::{Format, Query, QueryError, QueryOptions, ReadAnswer, ReadRequest};

/// The column with what a request says of its partition.
const PARTITION_ATTRIBUTES: &str = "_partition_attributes";

/// All rows of a table, or those of a time, in every column.
#[derive(Debug, Clone)]
pub struct WholeTable<'t> {
    /// The table, which is no roll-up.
    pub spec: &'t TableSpec,
    /// The column with its rows' time.
    pub time_column: Option<&'t str>,
    /// Only rows from then on.
    pub from: Option<UnixNanos>,
    /// Only rows before then.
    pub to: Option<UnixNanos>,
    /// Only rows with these numbers.
    pub seqs: Option<SeqRange>,
    /// Leave out rows that were taken over from an older engine.
    pub is_own_only: bool,
    /// The query's id in logs and in ClickHouse; unique.
    pub query_id: String,
}

impl Query {
    /// Answers with a table in Parquet, stored and hot rows of one snapshot. It may take longer than any user's read,
    /// and may be of any size.
    pub async fn read_whole(&self, whole: &WholeTable<'_>) -> Result<ReadAnswer, QueryError> {
        let format = Format::named("parquet")
            .ok_or_else(|| QueryError::Parameter("the format of exports is not known".to_owned()))?;
        let request = ReadRequest {
            sql: statement(whole)?,
            params: Vec::new(),
            format,
            min_watermark: None,
            max_rows: None,
            timeout: None,
            query_id: whole.query_id.clone(),
        };
        let options = QueryOptions {
            timeout: Duration::from_secs(EXPORT_SECONDS),
            // ClickHouse knows 0 as no limit.
            result_rows: 0,
            result_bytes: 0,
            ..self.options.clone()
        };
        Self { options, ..self.clone() }.read(request).await
    }
}

fn statement(whole: &WholeTable<'_>) -> Result<String, QueryError> {
    let mut sql = String::from("SELECT ");
    // The partition is ClickHouse's own division; who reads the file divides by time.
    for column in whole.spec.columns.iter().filter(|column| column.name != TableSpec::PARTITION) {
        let _ = write!(sql, "`{}`, ", column.name);
    }
    let _ = write!(sql, "`{}` FROM `{}`", TableSpec::SEQ, whole.spec.name);
    let bounds = [(">=", whole.from), ("<", whole.to)];
    let mut word = " WHERE ";
    for (comparison, time) in bounds.into_iter().filter_map(|(comparison, time)| Some((comparison, time?))) {
        let Some(column) = whole.time_column else {
            let message = format!("`{}` has no time column: it can only be exported whole", whole.spec.name);
            return Err(QueryError::Parameter(message));
        };
        let _ = write!(sql, "{word}`{column}` {comparison} fromUnixTimestamp64Nano({}, 'UTC')", time.0);
        word = " AND ";
    }
    if let Some(SeqRange { first, last }) = whole.seqs {
        let _ = write!(sql, "{word}`{}` BETWEEN {first} AND {last}", TableSpec::SEQ);
        word = " AND ";
    }
    if whole.is_own_only && whole.spec.column(PARTITION_ATTRIBUTES).is_some() {
        let _ = write!(sql, "{word}NOT startsWith(`{PARTITION_ATTRIBUTES}`, '{}')", MigrationPiece::ANY);
    }
    Ok(sql)
}
