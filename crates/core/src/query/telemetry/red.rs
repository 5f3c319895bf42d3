use serde_json::{Map, Value, json};
use tidegate_model::limits::TELEMETRY_BUCKETS_MAX;
use tidegate_model::tables::SPANS;
use tidegate_model::{RollUps, Rule, UnixNanos};

use super::coarse::{Origin, Sides, bucket, cover, filter, records, told, union, within};
use super::filter::{has, list};
use super::points::{Aggregate, Step};
use super::{Asked, Asking, broken, text, whole};
use crate::query::dataset::Bound;
use crate::query::{Freshness, Query, QueryError};

/// Which spans are wanted; what is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanFilter {
    /// Begun not before.
    pub from: Option<UnixNanos>,
    /// Begun before.
    pub to: Option<UnixNanos>,
    /// Of one of these services.
    pub services: Vec<String>,
    /// With one of these names.
    pub operations: Vec<String>,
    /// Of one of these kinds, in capitals.
    pub kinds: Vec<String>,
    /// All of these are attributes of the resource.
    pub resource: Vec<(String, String)>,
}

/// What is asked of spans.
#[derive(Debug, Clone, Default)]
pub struct RedBuckets {
    /// How long a bucket of time is; `None`: all time together.
    pub step: Option<Step>,
    /// Quantiles of durations, exact.
    pub quantiles: Vec<f64>,
    /// Whether durations are counted by powers of two.
    pub histogram: bool,
}

impl Query {
    /// Answers with requests, errors and durations of each service and operation, and of each bucket of time.
    pub async fn red(
        &self,
        wanted: &SpanFilter,
        buckets: &RedBuckets,
        asking: &Asking,
    ) -> Result<(Vec<Value>, Freshness, Origin), QueryError> {
        let (lines, freshness, origin) = match self.red_rolled(wanted, buckets, asking).await? {
            Some((lines, freshness)) => (lines, freshness, Origin::RollUp),
            None => {
                let (lines, freshness) = self.lines(red_of_rows(wanted, buckets)?, asking).await?;
                (lines, freshness, Origin::Rows)
            }
        };
        if lines.len() as u64 > TELEMETRY_BUCKETS_MAX {
            return Err(QueryError::Parameter(format!(
                "the answer has more than {TELEMETRY_BUCKETS_MAX} rows: ask for less time, longer buckets, or fewer services"
            )));
        }
        let rows = lines.iter().map(|line| row(line, buckets)).collect::<Result<Vec<_>, _>>()?;
        Ok((rows, freshness, origin))
    }

    async fn red_rolled(
        &self,
        wanted: &SpanFilter,
        buckets: &RedBuckets,
        asking: &Asking,
    ) -> Result<Option<(Vec<Vec<Value>>, Freshness)>, QueryError> {
        // Neither is in a roll-up.
        if !wanted.resource.is_empty() || !buckets.quantiles.is_empty() {
            return Ok(None);
        }
        let Some(of) = RollUps::find(&SPANS.name) else { return Ok(None) };
        let grains = of.grains.iter().filter(|grain| buckets.step.is_none_or(|step| grain.nanos() <= step.nanos()));
        let grains: Vec<_> = grains.copied().collect();
        let Some(cover) = cover((wanted.from, wanted.to), &grains) else { return Ok(None) };
        let mut bound = Bound::default();
        let conditions = wanted.conditions(&mut bound)?;
        let (rolled, rows) = (buckets.sides(true), buckets.sides(false));
        let sides =
            Sides { rolled: &rolled, rows: &rows, groups: buckets.groups(), conditions: &conditions, of_rows: "" };
        let sql = buckets.statement(&union(of, &cover, &sides, &mut bound)?);
        let asked = Asked { sql, params: bound.params, ..Asked::default() };
        self.lines_rolled(of, &asked, asking).await
    }
}

fn red_of_rows(wanted: &SpanFilter, buckets: &RedBuckets) -> Result<Asked, QueryError> {
    let mut bound = Bound::default();
    let mut conditions = wanted.conditions(&mut bound)?;
    conditions.extend(within("timestamp", (wanted.from, wanted.to), &mut bound)?);
    let rows = if buckets.quantiles.is_empty() {
        let select = buckets.sides(false).replace("_when", "timestamp");
        format!("SELECT {select} FROM {}{} GROUP BY {}", SPANS.name, filter(&conditions), buckets.groups())
    } else {
        let head = buckets.head().replace("_when", "timestamp");
        format!(
            "SELECT {head}, toUInt64(1) AS _rows, toUInt64(status_code = 'ERROR') AS _errors, \
             toInt128(duration_ns) AS _total, duration_ns AS _least, duration_ns AS _greatest, \
             duration_ns AS _value, roundToExp2(duration_ns) AS _from FROM {}{}",
            SPANS.name,
            filter(&conditions)
        )
    };
    Ok(Asked { sql: buckets.statement(&rows), params: bound.params, ..Asked::default() })
}

impl SpanFilter {
    fn conditions(&self, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
        let mut all = Vec::new();
        let columns = [("service_name", &self.services), ("name", &self.operations), ("kind", &self.kinds)];
        for (column, wanted) in columns.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
            all.push(format!("{column} IN {}", list(wanted, bound)?));
        }
        for (key, value) in &self.resource {
            all.push(has("resource_attributes", key, value, bound)?);
        }
        Ok(all)
    }
}

impl RedBuckets {
    /// The columns that rows are grouped by.
    fn head(&self) -> String {
        let bucket = self.step.map_or("toInt64(0)".to_owned(), |step| bucket("_when", step.nanos()));
        format!("service_name AS _service, name AS _operation, {bucket} AS _bucket")
    }

    /// What is selected of a roll-up, or of rows.
    fn sides(&self, is_rolled: bool) -> String {
        let (rows, errors, total, least, greatest, from) = if is_rolled {
            (
                records(),
                told(Rule::Sum, "if(status_code = 'ERROR', records, 0)"),
                told(Rule::Sum, "total"),
                told(Rule::Min, "least"),
                told(Rule::Max, "greatest"),
                "duration_from",
            )
        } else {
            let own = ["count()", "countIf(status_code = 'ERROR')", "sum(toInt128(duration_ns))", "min(duration_ns)"];
            let [rows, errors, total, least] = own.map(str::to_owned);
            (rows, errors, total, least, "max(duration_ns)".to_owned(), "roundToExp2(duration_ns)")
        };
        let from = if self.histogram { format!(", {from} AS _from") } else { String::new() };
        format!(
            "{}, {rows} AS _rows, {errors} AS _errors, {total} AS _total, {least} AS _least, {greatest} AS _greatest{from}",
            self.head()
        )
    }

    fn groups(&self) -> &'static str {
        if self.histogram { "_service, _operation, _bucket, _from" } else { "_service, _operation, _bucket" }
    }

    fn statement(&self, rows: &str) -> String {
        let quantiles = self.quantiles.iter().map(|part| format!(", toString(quantileExactInclusive({part})(_value))"));
        let histogram =
            if self.histogram { "sumMap([_from], [_rows])" } else { "([]::Array(Int64), []::Array(UInt64))" };
        format!(
            "SELECT toString(_service) AS _s, toString(_operation) AS _o, _bucket, toString(sum(_rows)), \
             toString(sum(_errors)), toString(sum(_total)), toString(min(_least)), toString(max(_greatest)), \
             toString(toFloat64(sum(_total)) / sum(_rows)), {histogram} AS _histogram{} \
             FROM ({rows}) GROUP BY _s, _o, _bucket ORDER BY _s, _o, _bucket LIMIT {}",
            quantiles.collect::<String>(),
            TELEMETRY_BUCKETS_MAX + 1
        )
    }
}

fn row(line: &[Value], buckets: &RedBuckets) -> Result<Value, QueryError> {
    let mut row = Map::new();
    row.insert("service".to_owned(), json!(text(line, 0)?));
    row.insert("operation".to_owned(), json!(text(line, 1)?));
    if let Some(step) = buckets.step {
        let bucket: i64 = whole(line, 2)?;
        row.insert("time".to_owned(), json!(UnixNanos(bucket.saturating_mul(step.nanos())).to_string()));
    }
    row.insert("requests".to_owned(), json!(whole::<u64>(line, 3)?));
    row.insert("errors".to_owned(), json!(whole::<u64>(line, 4)?));
    let total = text(line, 5)?;
    // 292 years: what is longer has more digits than programs read.
    let total = total.parse::<i64>().map_or_else(|_| json!(total), Value::from);
    let mut duration = Map::from_iter([
        ("total".to_owned(), total),
        ("min".to_owned(), json!(whole::<i64>(line, 6)?)),
        ("max".to_owned(), json!(whole::<i64>(line, 7)?)),
        ("avg".to_owned(), json!(whole::<f64>(line, 8)?)),
    ]);
    for (at, part) in (10..).zip(&buckets.quantiles) {
        duration.insert(Aggregate::Quantile(*part).name(), json!(whole::<f64>(line, at)?));
    }
    row.insert("duration_ns".to_owned(), duration.into());
    if buckets.histogram {
        row.insert("histogram".to_owned(), histogram(line.get(9))?);
    }
    Ok(row.into())
}

/// Turns a pair of lists into a list of pairs.
fn histogram(told: Option<&Value>) -> Result<Value, QueryError> {
    let list = |at: usize| told.and_then(|pair| pair.get(at)).and_then(Value::as_array);
    let (from, rows) = list(0).zip(list(1)).ok_or_else(|| broken("a histogram is missing"))?;
    let mut all = Vec::with_capacity(from.len());
    for at in 0..from.len().min(rows.len()) {
        all.push(json!({ "from_ns": whole::<i64>(from, at)?, "requests": whole::<u64>(rows, at)? }));
    }
    Ok(all.into())
}
