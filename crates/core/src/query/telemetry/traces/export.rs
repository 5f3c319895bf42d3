use std::fmt::Write as _;
use std::time::Duration;

use tidegate_model::UnixNanos;
use tidegate_model::limits::EXPORT_SECONDS;
use tidegate_model::tables::SPANS;

use super::super::Asking;
use crate::query::dataset::Bound;
use crate::query::plan::Pushed;
use crate::query::run::Own;
use crate::query::{Format, Query, QueryError, QueryOptions, ReadAnswer, ReadRequest};

/// Which spans are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanExport {
    /// Begun not before.
    pub from: UnixNanos,
    /// Begun before.
    pub to: UnixNanos,
    /// Of this service alone.
    pub service: Option<String>,
}

impl Query {
    /// Answers with spans in every column, one JSON object a line, stored and hot rows of one snapshot. It may take longer
    /// than any user's read, and may be of any size.
    pub async fn export_spans(&self, wanted: &SpanExport, asking: &Asking) -> Result<ReadAnswer, QueryError> {
        let format = Format::of_clause("JSONEachRow")
            .ok_or_else(|| QueryError::Parameter("the format of lines is not known".to_owned()))?;
        let mut bound = Bound::default();
        let (from, to) = (bound.moment(wanted.from)?, bound.moment(wanted.to)?);
        let mut conditions = format!("timestamp >= {from} AND timestamp < {to}");
        if let Some(service) = &wanted.service {
            let _ = write!(conditions, " AND service_name = {}", bound.text(service)?);
        }
        // What begins with a line is ours.
        let columns = SPANS.columns.iter().filter(|column| !column.name.starts_with('_'));
        let columns: Vec<String> = columns.map(|column| format!("`{}`", column.name)).collect();
        let sql = format!("SELECT {} FROM {} WHERE {conditions}", columns.join(", "), SPANS.name);
        let request = ReadRequest {
            sql,
            params: bound.params,
            format,
            min_watermark: asking.min_watermark.clone(),
            max_rows: None,
            timeout: asking.timeout,
            query_id: asking.query_id.clone(),
        };
        let options = QueryOptions {
            timeout: Duration::from_secs(EXPORT_SECONDS),
            // ClickHouse knows 0 as no limit.
            result_rows: 0,
            result_bytes: 0,
            ..self.options.clone()
        };
        let pushed = Some(Pushed { conditions, ..Pushed::default() });
        Self { options, ..self.clone() }.read_own(request, Own { pushed, ..Own::default() }).await
    }
}
