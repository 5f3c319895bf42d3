use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_model::ErrorKind;

use super::super::answer::{Answer, Ask, OVERFLOW, say_exact, unknown};
use super::super::read::{Filter, Reader, Sql};
use super::super::v1::attributes::signal_type;
use crate::errors::Failure;

/// Values that one request may name.
const VALUES_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
struct Cost {
    signal: String,
    n: u64,
    size: u64,
    cardinality: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Series {
    matching: u64,
    before: u64,
    after: u64,
}

/// What would be dropped.
struct Dropping<'a> {
    key: &'a str,
    values: Vec<&'a str>,
    signal: Option<&'static str>,
    scope: Option<&'static str>,
    filter: Filter,
}

/// Answers `GET cardinality/{key}/what-if`: what the key costs, and what is saved if it is dropped, or if only the
/// attributes with one of `values` (split at commas) are.
pub(super) async fn told(ask: Ask) -> Result<Answer, Failure> {
    let drop = Dropping {
        key: ask.path("key"),
        values: ask.arguments.text("values").map(|text| text.split(',').collect()).unwrap_or_default(),
        signal: ask.arguments.signal(),
        scope: ask.arguments.word("scope"),
        filter: ask.filter()?,
    };
    if drop.values.len() > VALUES_MAX {
        return Err(Failure::invalid(format!("`values` names at most {VALUES_MAX} values at a time")));
    }
    let (costs, series, ratio) =
        tokio::try_join!(costs(&ask.reader, &drop), series(&ask.reader, &drop), disk_ratio(&ask.reader))?;
    if costs.is_empty() {
        return Err(unknown("attribute", drop.key, "/v2/cardinality"));
    }
    let matched = if drop.values.is_empty() { None } else { Some(value_costs(&ask.reader, &drop).await?) };
    let of_key = sum(&costs);
    let dropped = matched.as_deref().map_or(of_key, sum);
    let by_signal = |costs: &[Cost]| -> Vec<Value> {
        let told = |cost: &Cost| {
            json!({
                "signal_type": signal_type(&cost.signal),
                "attributes": cost.n,
                "bytes": cost.size,
                "estimated_cardinality": cost.cardinality,
            })
        };
        costs.iter().map(told).collect()
    };
    let mut value = json!({
        "key": drop.key,
        "values": drop.values,
        "cost": { "attributes": of_key.0, "bytes": of_key.1, "by_signal": by_signal(&costs) },
        "saved": {
            "attributes": dropped.0,
            "bytes": dropped.1,
            "bytes_on_disk_estimate": on_disk(dropped.1, ratio),
            "series": series.before.saturating_sub(series.after),
            "by_signal": by_signal(matched.as_deref().unwrap_or(&costs)),
        },
        "series": {
            "changed": series.matching,
            "before": series.before,
            "after": series.after,
        },
    });
    say_exact(&mut value, drop.key == OVERFLOW);
    Ok(value.into())
}

fn sum(costs: &[Cost]) -> (u64, u64) {
    costs.iter().fold((0, 0), |(n, size), cost| (n + cost.n, size + cost.size))
}

impl Dropping<'_> {
    fn bind(&self, sql: String) -> Sql {
        let sql = Sql::new(sql).text("key", self.key).texts("values", self.values.iter().copied());
        let sql = sql.text("signal", self.signal.unwrap_or_default()).text("scope", self.scope.unwrap_or_default());
        sql.filtered(&self.filter)
    }

    fn has_signal(&self, signal: &str) -> bool {
        self.signal.is_none_or(|own| own == signal)
    }

    /// Says that an attribute is dropped: `entry` is its key and value.
    fn is_dropped(&self) -> &'static str {
        if self.values.is_empty() {
            "entry.1 = {key:String}"
        } else {
            "entry.1 = {key:String} AND has({values:Array(String)}, entry.2)"
        }
    }

    /// Narrows raw rows down to the window.
    fn raw_condition(&self) -> String {
        self.filter.condition().replace("hour ", "toStartOfHour(timestamp) ")
    }
}

/// Returns what the key costs, from the roll-up.
async fn costs(reader: &Reader, drop: &Dropping<'_>) -> Result<Vec<Cost>, Failure> {
    let sql = format!(
        "SELECT toString(signal) AS signal, sum(records) AS n, sum(bytes) AS size, \
         uniqExactArray(value_hashes) AS cardinality FROM catalog_attributes WHERE key = {{key:String}}{}{}{} \
         GROUP BY signal ORDER BY signal",
        if drop.signal.is_some() { " AND signal = {signal:String}" } else { "" },
        if drop.scope.is_some() { " AND scope = {scope:String}" } else { "" },
        drop.filter.condition()
    );
    reader.rows(drop.bind(sql)).await
}

/// Returns what some values of the key cost, from the raw rows: the roll-up has no count for each value.
async fn value_costs(reader: &Reader, drop: &Dropping<'_>) -> Result<Vec<Cost>, Failure> {
    reader.stages.cardinality.rows_are_kept(|signal| drop.has_signal(signal))?;
    let entries =
        |map: &str| format!("arrayFilter(entry -> {}, CAST({map}, 'Array(Tuple(String, String))'))", drop.is_dropped());
    let found = |signal: &str| {
        let places = [
            ("attribute", entries("attributes")),
            ("resource", entries("resource_attributes")),
            ("scope", entries("scope_attributes")),
            ("event", format!("arrayFlatten(arrayMap(own -> {}, event_attributes))", entries("own"))),
            ("link", format!("arrayFlatten(arrayMap(own -> {}, link_attributes))", entries("own"))),
        ];
        let own = places.into_iter().filter(|(place, _)| {
            drop.scope.is_none_or(|scope| scope == *place) && (signal == "traces" || !["event", "link"].contains(place))
        });
        let own: Vec<String> = own.map(|(_, sql)| sql).collect();
        (!own.is_empty()).then(|| format!("arrayConcat({})", own.join(", ")))
    };
    let condition = drop.raw_condition();
    let mut selects = Vec::new();
    for (signal, table) in [("logs", "logs"), ("logs", "events"), ("traces", "spans")] {
        if let Some(found) = found(signal).filter(|_| drop.has_signal(signal)) {
            let from =
                format!("SELECT '{signal}' AS kind, arrayJoin({found}) AS entry FROM {table} WHERE 1{condition}");
            selects.push(from);
        }
    }
    if let Some(found) = found("metrics").filter(|_| drop.has_signal("metrics")) {
        let tables = ["metric_samples", "metric_histograms", "metric_exponential_histograms", "metric_summaries"];
        let points = tables.map(|table| format!("SELECT fingerprint FROM {table} WHERE 1{condition}"));
        selects.push(format!(
            "SELECT 'metrics' AS kind, arrayJoin(own_series.found) AS entry FROM ({}) AS points \
             JOIN (SELECT fingerprint, {found} AS found FROM metric_series WHERE notEmpty(found) \
             LIMIT 1 BY fingerprint) AS own_series ON points.fingerprint = own_series.fingerprint",
            points.join(" UNION ALL ")
        ));
    }
    if selects.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT kind AS signal, count() AS n, sum(length(entry.1) + length(entry.2)) AS size, \
         uniqExact(entry.2) AS cardinality FROM ({}) GROUP BY kind ORDER BY kind",
        selects.join(" UNION ALL ")
    );
    reader.rows(drop.bind(sql)).await
}

/// Counts the series of the metrics that have the key, and how many they become without what is dropped.
async fn series(reader: &Reader, drop: &Dropping<'_>) -> Result<Series, Failure> {
    if !drop.has_signal("metrics") {
        return Ok(Series::default());
    }
    let maps = [("attributes", "attribute"), ("resource_attributes", "resource"), ("scope_attributes", "scope")];
    let (mut before, mut after, mut has) = (Vec::new(), Vec::new(), vec!["0".to_owned()]);
    for (name, place) in maps {
        let entries = format!("CAST({name}, 'Array(Tuple(String, String))')");
        before.push(format!("arraySort({entries})"));
        if drop.scope.is_none_or(|scope| scope == place) {
            after.push(format!("arraySort(arrayFilter(entry -> NOT ({}), {entries}))", drop.is_dropped()));
            has.push(format!("arrayExists(entry -> {}, {entries})", drop.is_dropped()));
        } else {
            after.push(format!("arraySort({entries})"));
        }
    }
    let service = if drop.filter.service.is_some() { " AND service_name = {service:String}" } else { "" };
    // Which metrics have the key, and which series had points in the window, the roll-ups know.
    let window = drop.filter.window.condition();
    let bearers = "SELECT name FROM catalog_attributes WHERE signal = 'metrics' AND key = {key:String}";
    let mut active = format!("metric_name IN ({bearers})");
    if !window.is_empty() {
        active += &format!(
            " AND fingerprint IN (SELECT arrayJoin(series) FROM catalog_signals \
             WHERE signal = 'metrics' AND name IN ({bearers}){window})"
        );
    }
    // What a series is apart from its attributes. The service is one of these: its column only repeats it.
    let what = "toString(metric_name), toString(metric_type), toString(unit), toString(aggregation_temporality), \
                is_monotonic, toString(scope_name), toString(scope_version)";
    // All series of these metrics, changed or not: one that loses an attribute may become one that is there already.
    let sql = format!(
        "SELECT uniqExactIf(fingerprint, is_hit) AS matching, uniqExact(whole) AS before, uniqExact(rest) AS after \
         FROM (SELECT fingerprint, {} AS is_hit, sipHash128({what}, {}) AS whole, sipHash128({what}, {}) AS rest \
         FROM metric_series WHERE {active}{service})",
        has.join(" OR "),
        before.join(", "),
        after.join(", ")
    );
    reader.row(drop.bind(sql)).await
}

/// Returns how many bytes on disk a byte of attributes takes: compressed by uncompressed, over the columns with them.
async fn disk_ratio(reader: &Reader) -> Result<Option<(u64, u64)>, Failure> {
    let sql = "SELECT toString(sum(column_data_compressed_bytes)) AS packed, \
               toString(sum(column_data_uncompressed_bytes)) AS plain FROM system.parts_columns \
               WHERE active AND database = currentDatabase() AND table IN ('logs', 'events', 'spans', 'metric_series') \
               AND endsWith(column, 'attributes')";
    let rows = reader.stages.store.rows(sql, &[]).await;
    let rows = rows.map_err(|error| Failure::of(error.kind(), &error))?;
    let number = |name: &str| rows.first()?.get(name)?.as_str()?.parse::<u64>().ok();
    let found = number("packed").zip(number("plain"));
    let found = found.ok_or_else(|| Failure::new(ErrorKind::Internal, "the server failed; its log says why"))?;
    Ok(Some(found).filter(|(_, plain)| *plain > 0))
}

/// Nothing is known of the disk before the first batch.
fn on_disk(bytes: u64, ratio: Option<(u64, u64)>) -> Value {
    let Some((packed, plain)) = ratio else { return Value::Null };
    let estimate = u128::from(bytes) * u128::from(packed) / u128::from(plain);
    json!(u64::try_from(estimate).unwrap_or(u64::MAX))
}
