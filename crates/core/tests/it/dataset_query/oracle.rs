//! The same answers, worked out row by row.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};
use tidegate_model::{UnixNanos, civil, day_of_civil};

const DAY: i64 = 86_400_000_000_000;
/// 2026-11-20.
const TODAY: i64 = 20_777 * DAY;

/// A row as it was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) key: Option<String>,
    pub(crate) at: i64,
    pub(crate) also_at: Option<i64>,
    pub(crate) n: Option<i64>,
    /// Small, so that sums fit.
    pub(crate) m: Option<i64>,
    pub(crate) x: Option<f64>,
    /// Quarters only, so that sums are exact in any order.
    pub(crate) y: Option<f64>,
    pub(crate) s: Option<String>,
    pub(crate) b: Option<bool>,
}

/// What is asked for, and of which rows it is made.
pub(crate) struct Answer {
    pub(crate) rows: Vec<Value>,
    pub(crate) used: Vec<u64>,
}

pub(crate) fn schema() -> Value {
    let fields = [
        ("at", "timestamp"),
        ("also_at", "timestamp"),
        ("n", "integer"),
        ("m", "integer"),
        ("x", "double"),
        ("y", "double"),
        ("s", "string"),
        ("b", "boolean"),
    ];
    json!({ "fields": fields.map(|(name, kind)| json!({ "name": name, "type": kind })) })
}

fn time(nanos: i64) -> Value {
    json!(UnixNanos(nanos).to_string())
}

fn double(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        value => json!(value),
    }
}

impl Row {
    fn value(&self, column: &str) -> Value {
        match column {
            "at" => time(self.at),
            "also_at" => self.also_at.map_or(Value::Null, time),
            "n" => json!(self.n),
            "m" => json!(self.m),
            "x" => self.x.map_or(Value::Null, double),
            "y" => self.y.map_or(Value::Null, double),
            "s" => json!(self.s),
            "b" => json!(self.b),
            other => panic!("no column {other}"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        COLUMNS.iter().map(|name| ((*name).to_owned(), self.value(name))).collect::<Map<_, _>>().into()
    }

    fn nanos(&self, column: &str) -> Option<i64> {
        if column == "at" { Some(self.at) } else { self.also_at }
    }

    fn number(&self, column: &str) -> Option<f64> {
        match column {
            "n" => self.n.map(|n| n as f64),
            "m" => self.m.map(|m| m as f64),
            "x" => self.x,
            "y" => self.y,
            other => panic!("{other} is no number"),
        }
    }
}

const COLUMNS: [&str; 8] = ["at", "also_at", "n", "m", "x", "y", "s", "b"];
const TEXTS: [&str; 7] = ["", "a", "it's", "b\\n", "tab\there\nline", "ü\"`{p0:String}", "NULL"];

/// Makes rows, some of them equal to others.
pub(crate) fn rows(rng: &mut StdRng, count: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    while rows.len() < count {
        if !rows.is_empty() && rng.random_bool(0.15) {
            rows.push(rows[rng.random_range(0..rows.len())].clone());
            continue;
        }
        rows.push(row(rng));
    }
    rows
}

fn row(rng: &mut StdRng) -> Row {
    let mut some = |chance: f64| rng.random_bool(chance);
    let (has_also, has_n, has_m, has_x, has_y, has_s, has_b) =
        (some(0.7), some(0.8), some(0.8), some(0.8), some(0.8), some(0.8), some(0.8));
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 5e-324, 0.1];
    let edge = [i64::MIN, i64::MAX, 9_007_199_254_740_993, 0, -1];
    let x = if rng.random_bool(0.3) {
        odd[rng.random_range(0..odd.len())]
    } else {
        f64::from(rng.random_range(-50..50)) / 2.0
    };
    let n = if rng.random_bool(0.3) { edge[rng.random_range(0..edge.len())] } else { rng.random_range(-5..5) };
    // Often at the same moment, sometimes long ago, on the borders of days and months.
    let at = match rng.random_range(0..5) {
        0 => TODAY - 3 * DAY,
        1 => TODAY + rng.random_range(0..20) * 1_000_000_000,
        2 => TODAY - rng.random_range(0..400) * DAY - i64::from(rng.random_bool(0.5)),
        3 => rng.random_range(-2_000_000_000_000_000_000..2_000_000_000_000_000_000),
        _ => TODAY + rng.random_range(0..86_400_000) * 1_000_000,
    };
    Row {
        at,
        also_at: has_also.then(|| TODAY + rng.random_range(0..30) * 60_000_000_000),
        n: has_n.then_some(n),
        m: has_m.then(|| rng.random_range(-100..100)),
        x: has_x.then_some(x),
        y: has_y.then(|| f64::from(rng.random_range(-400..400)) / 4.0),
        s: has_s.then(|| TEXTS[rng.random_range(0..TEXTS.len())].to_owned()),
        b: has_b.then(|| rng.random_bool(0.5)),
        ..Row::default()
    }
}

/// Makes a request that can be answered.
pub(crate) fn request(rng: &mut StdRng, rows: &[Row]) -> Value {
    let mut body = json!({});
    let also = rng.random_bool(0.2);
    if also {
        body["timestampColumn"] = json!("also_at");
    }
    if rng.random_bool(0.6) {
        // Borders on rows themselves: both ends are included.
        let mut pick =
            || rows[rng.random_range(0..rows.len())].nanos(if also { "also_at" } else { "at" }).unwrap_or(TODAY);
        let (one, other) = (pick(), pick());
        body["timeRange"] = json!({ "start": time(one.min(other)), "end": time(one.max(other)) });
    }
    for _ in 0..rng.random_range(0..3) {
        let (column, filter) = filter(rng, rows);
        body["filters"]["columns"][column] = filter;
    }
    match rng.random_range(0..6) {
        0 => body["filters"]["partitionKey"] = json!({ "region": "eu" }),
        1 => body["filters"]["partitionKey"] = json!({ "region": { "in": ["us-east", "a'b\\c"] } }),
        2 => body["filters"]["partitionKey"] = json!({ "level": { "type": "number", "gte": 5 } }),
        _ => {}
    }
    if rng.random_bool(0.5) {
        body["downsample"] = downsample(rng);
    } else if rng.random_bool(0.4) {
        body["columns"] = json!([COLUMNS[rng.random_range(0..4)], COLUMNS[rng.random_range(4..8)]]);
    }
    if rng.random_bool(0.5) {
        body["limit"] = json!(rng.random_range(1..60));
    }
    body
}

fn filter(rng: &mut StdRng, rows: &[Row]) -> (&'static str, Value) {
    let ordered = ["eq", "gt", "gte", "lt", "lte"][rng.random_range(0..5)];
    let numbers = [json!(9_007_199_254_740_993_i64), json!(u64::MAX), json!(0.5), json!(-1)];
    match rng.random_range(0..7) {
        0 => ("s", json!(TEXTS[rng.random_range(0..TEXTS.len())])),
        1 => ("s", json!({ "type": "string", "in": [TEXTS[1], TEXTS[3], TEXTS[5], "none"] })),
        2 => ("b", json!({ "eq": rng.random_bool(0.5) })),
        3 => ("n", json!({ ordered: numbers[rng.random_range(0..numbers.len())] })),
        4 => ("x", json!({ "type": "number", ordered: f64::from(rng.random_range(-20..20)) / 2.0 })),
        5 => ("m", json!({ "gte": -50, "lt": rng.random_range(-50..100) })),
        _ => ("also_at", json!({ ordered: time(rows[rng.random_range(0..rows.len())].also_at.unwrap_or(TODAY)) })),
    }
}

fn downsample(rng: &mut StdRng) -> Value {
    let unit = ["second", "minute", "hour", "day", "week", "month"][rng.random_range(0..6)];
    let mut all = vec![json!({ "fn": "count" })];
    let functions = ["avg", "min", "max", "sum", "median", "count", "count_distinct", "percentile"];
    for column in ["m", "y"] {
        let function = functions[rng.random_range(0..functions.len())];
        let mut one = json!({ "fn": function, "column": column });
        if function == "percentile" {
            one["percentile"] = json!([0.0, 0.25, 0.95, 1.0][rng.random_range(0..4)]);
            one["alias"] = json!(format!("part of {column}"));
        }
        all.push(one);
    }
    let other = ["s", "b", "n", "also_at"][rng.random_range(0..4)];
    let function = ["min", "max", "count", "count_distinct"][rng.random_range(0..4)];
    all.push(json!({ "fn": function, "column": other }));
    json!({ "intervalUnit": unit, "intervalSize": rng.random_range(1..7), "aggregations": all })
}

/// Answers a request of [`request`] from rows in memory.
pub(crate) fn answer(body: &Value, rows: &[Row]) -> Answer {
    let column = body["timestampColumn"].as_str().unwrap_or("at");
    let mut kept: Vec<&Row> = rows.iter().filter(|row| is_meant(body, row, column)).collect();
    kept.sort_by_key(|row| (row.nanos(column), row.seq));
    let used = kept.iter().map(|row| row.seq).collect();
    if body["downsample"].is_object() {
        return Answer { rows: buckets(&body["downsample"], &kept, column), used };
    }
    let names: Vec<&str> = match body["columns"].as_array() {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => COLUMNS.to_vec(),
    };
    let shown =
        |row: &&Row| names.iter().map(|name| ((*name).to_owned(), row.value(name))).collect::<Map<_, _>>().into();
    Answer { rows: kept.iter().map(shown).collect(), used }
}

fn is_meant(body: &Value, row: &Row, column: &str) -> bool {
    let Some(at) = row.nanos(column) else { return false };
    if let Some(range) = body["timeRange"].as_object()
        && !(nanos(&range["start"]) <= at && at <= nanos(&range["end"]))
    {
        return false;
    }
    let columns = body["filters"]["columns"].as_object();
    if !columns.into_iter().flatten().all(|(name, filter)| passes(row, name, filter)) {
        return false;
    }
    let keys = body["filters"]["partitionKey"].as_object();
    keys.into_iter().flatten().all(|(name, filter)| {
        let Some(region) = &row.key else { return false };
        match name.as_str() {
            "region" => [filter, &filter["eq"]].contains(&&json!(region)) || among(&json!(region), &filter["in"]),
            _ => region.len() as u64 >= filter["gte"].as_u64().expect("a number"),
        }
    })
}

fn among(value: &Value, list: &Value) -> bool {
    list.as_array().is_some_and(|list| list.contains(value))
}

fn passes(row: &Row, name: &str, filter: &Value) -> bool {
    let own = row.value(name);
    if own.is_null() {
        return false;
    }
    let Some(predicates) = filter.as_object() else { return own == *filter };
    predicates.iter().filter(|(word, _)| *word != "type").all(|(word, wanted)| {
        if word == "in" {
            return among(&own, wanted);
        }
        let order = match name {
            "n" => row.n.and_then(|n| compare_whole(n, wanted)),
            "m" | "x" => row.number(name).and_then(|own| own.partial_cmp(&wanted.as_f64().expect("a number"))),
            "also_at" => row.also_at.map(|own| own.cmp(&nanos(wanted))),
            _ => return own == *wanted,
        };
        order.is_some_and(|order| match word.as_str() {
            "eq" => order.is_eq(),
            "gt" => order.is_gt(),
            "gte" => order.is_ge(),
            "lt" => order.is_lt(),
            _ => order.is_le(),
        })
    })
}

fn compare_whole(own: i64, wanted: &Value) -> Option<std::cmp::Ordering> {
    if let Some(wanted) = wanted.as_i64() {
        return Some(own.cmp(&wanted));
    }
    if let Some(wanted) = wanted.as_u64() {
        return Some(i128::from(own).cmp(&i128::from(wanted)));
    }
    (own as f64).partial_cmp(&wanted.as_f64()?)
}

/// Reads what [`time`] wrote.
fn nanos(text: &Value) -> i64 {
    let text = text.as_str().expect("a time").trim_end_matches('Z');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = |from: usize, to: usize| whole[from..to].parse::<i64>().expect("digits");
    let day = day_of_civil(number(0, 4), number(5, 7), number(8, 10));
    let second = day * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    let fraction: i64 = format!("{fraction:0<9}").parse().expect("digits");
    i64::try_from(i128::from(second) * 1_000_000_000 + i128::from(fraction)).expect("within the times of rows")
}

fn buckets(downsample: &Value, rows: &[&Row], column: &str) -> Vec<Value> {
    let (unit, size) =
        (downsample["intervalUnit"].as_str().expect("a unit"), downsample["intervalSize"].as_i64().expect("a size"));
    let mut buckets: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let at = row.nanos(column).expect("rows without a time are left out");
        buckets.entry(begin(at, unit, size)).or_default().push(row);
    }
    let told = |(begin, rows): (i64, Vec<&Row>)| {
        let mut told = Map::from_iter([(column.to_owned(), time(begin))]);
        for aggregation in downsample["aggregations"].as_array().expect("a list") {
            let (name, value) = aggregate(aggregation, &rows);
            told.insert(name, value);
        }
        Value::Object(told)
    };
    buckets.into_iter().map(told).collect()
}

fn begin(at: i64, unit: &str, size: i64) -> i64 {
    if unit == "month" {
        let (year, month, _) = civil(at.div_euclid(DAY));
        let months = (year - 1970) * 12 + month - 1;
        let first = months.div_euclid(size) * size;
        return day_of_civil(1970 + first.div_euclid(12), first.rem_euclid(12) + 1, 1) * DAY;
    }
    let (width, monday) = match unit {
        "second" => (1_000_000_000, 0),
        "minute" => (60_000_000_000, 0),
        "hour" => (3_600_000_000_000, 0),
        "day" => (DAY, 0),
        _ => (7 * DAY, 4 * DAY),
    };
    at - (at - monday).rem_euclid(width * size)
}

fn aggregate(aggregation: &Value, rows: &[&Row]) -> (String, Value) {
    let function = aggregation["fn"].as_str().expect("a function");
    let Some(column) = aggregation["column"].as_str() else { return ("count".into(), json!(rows.len())) };
    let alias = aggregation["alias"].as_str().map_or_else(|| format!("{function}_{column}"), str::to_owned);
    let mut values: Vec<Value> = rows.iter().map(|row| row.value(column)).filter(|value| !value.is_null()).collect();
    let value = match function {
        "count" => json!(values.len()),
        "count_distinct" => {
            let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
            texts.sort_unstable();
            texts.dedup();
            json!(texts.len())
        }
        "min" | "max" => {
            values.sort_by(|one, other| match (one, other) {
                (Value::String(one), Value::String(other)) => one.as_bytes().cmp(other.as_bytes()),
                (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
                _ if one.is_i64() => one.as_i64().cmp(&other.as_i64()),
                _ => one.as_f64().partial_cmp(&other.as_f64()).expect("numbers"),
            });
            (if function == "min" { values.first() } else { values.last() }).cloned().unwrap_or(Value::Null)
        }
        _ => number(function, aggregation, rows.iter().filter_map(|row| row.number(column)).collect()),
    };
    (alias, value)
}

fn number(function: &str, aggregation: &Value, mut values: Vec<f64>) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let sum: f64 = values.iter().sum();
    let part = match function {
        "sum" => return json!(sum),
        "avg" => return json!(sum / values.len() as f64),
        "median" => 0.5,
        _ => aggregation["percentile"].as_f64().expect("a part"),
    };
    values.sort_by(f64::total_cmp);
    let place = part * (values.len() - 1) as f64;
    let low = (0..values.len()).rev().find(|at| *at as f64 <= place).expect("the first is at 0");
    let share = place - low as f64;
    let high = (low + 1).min(values.len() - 1);
    json!(values[low] + share * (values[high] - values[low]))
}

/// Compares rows; numbers may be written as whole ones or with a fraction.
pub(crate) fn equal(found: &[Value], wanted: &[Value]) -> bool {
    let same = |(found, wanted): (&Value, &Value)| {
        let (Some(found), Some(wanted)) = (found.as_object(), wanted.as_object()) else { return false };
        found.len() == wanted.len()
            && found.iter().all(|(name, found)| wanted.get(name).is_some_and(|wanted| same_value(found, wanted)))
    };
    found.len() == wanted.len() && found.iter().zip(wanted).all(same)
}

fn same_value(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            one == other || (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
        }
        (found, wanted) => found == wanted,
    }
}
