use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::listing::{self, Listing, Places, bytes, number, words};
use super::{Attribute, ReadArgs, SignalName, pages};
use crate::client::{Client, encoded};

/// Rows that the server ranks at most, by signal and name.
const RANKED_MAX: u64 = 1_000;

/// What `tidegate cardinality` is told.
#[derive(Debug, Args)]
pub(crate) struct CardinalityArgs {
    /// One attribute: its values, who sends it, what has it, and what is saved without it
    key: Option<String>,
    /// Only attributes of this signal
    #[arg(long, value_enum, conflicts_with = "key")]
    signal: Option<SignalName>,
    /// Only attributes of this place
    #[arg(long, value_enum, conflicts_with_all = ["key", "per_name"])]
    scope: Option<ScopeName>,
    /// Only attributes with at least so many distinct values
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "key")]
    min: u64,
    /// What comes first
    #[arg(long, value_enum, default_value_t = SortBy::Cardinality, conflicts_with_all = ["key", "per_name"])]
    sort: SortBy,
    /// The other way round
    #[arg(long, conflicts_with_all = ["key", "per_name"])]
    reverse: bool,
    /// A row for each metric, span name or severity that has the attribute
    #[arg(long, conflicts_with = "key")]
    per_name: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// Where an attribute can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeName {
    Attribute,
    Resource,
    Scope,
    Event,
    Link,
}

/// By what attributes are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SortBy {
    Cardinality,
    Count,
    FirstSeen,
    LastSeen,
    Key,
}

impl SortBy {
    const fn parameter(self) -> &'static str {
        match self {
            Self::Cardinality => "cardinality",
            Self::Count => "count",
            Self::FirstSeen => "first_seen",
            Self::LastSeen => "last_seen",
            Self::Key => "key",
        }
    }

    /// Numbers and times fall, names rise.
    const fn order(self, reverse: bool) -> &'static str {
        if matches!(self, Self::Key) == reverse { "desc" } else { "asc" }
    }
}

/// Prints attributes by their number of distinct values, or one of them.
pub(crate) async fn cardinality(args: CardinalityArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.read.url)?;
    match &args.key {
        Some(key) => one(&client, key, &args.read).await,
        None if args.per_name => per_name(&client, &args).await,
        None => all(&client, &args).await,
    }
}

async fn all(client: &Client, args: &CardinalityArgs) -> anyhow::Result<()> {
    let mut parameters = args.read.narrowed();
    parameters.extend(args.signal.map(|signal| ("signal_type", signal.as_str().to_owned())));
    parameters.extend(args.scope.map(|scope| ("scope", format!("{scope:?}").to_lowercase())));
    parameters.push(("min_cardinality", args.min.to_string()));
    parameters.push(("sort_by", args.sort.parameter().to_owned()));
    parameters.push(("sort_order", args.sort.order(args.reverse).to_owned()));
    let list = ("/api/v1/attributes", "data");
    let (attributes, total) = pages::<Attribute>(client, list, &parameters, args.read.limit).await?;
    let columns = ["key", "#cardinality", "#count", "#bytes", "signals", "scopes", "last seen"];
    let row = |attribute: Attribute| {
        vec![
            Value::from(attribute.key),
            number(attribute.estimated_cardinality),
            number(attribute.count),
            number(attribute.bytes),
            words(attribute.signal_types.iter().map(String::as_str)),
            words(attribute.scopes.iter().map(String::as_str)),
            Value::from(attribute.last_seen),
        ]
    };
    let listing = Listing::new("Attributes", &columns, attributes.into_iter().map(row).collect());
    listing::print(&listing, Places { total, unit: "attributes" }, args.read.format)
}

async fn per_name(client: &Client, args: &CardinalityArgs) -> anyhow::Result<()> {
    let limit = if args.read.limit == 0 { RANKED_MAX } else { args.read.limit };
    anyhow::ensure!(
        limit <= RANKED_MAX,
        "--per-name shows at most {RANKED_MAX} rows: give a smaller --limit, or --min"
    );
    let mut parameters = args.read.narrowed();
    parameters.extend(args.signal.map(|signal| ("signal_type", signal.as_str().to_owned())));
    parameters.push(("threshold", args.min.to_string()));
    parameters.push(("limit", limit.to_string()));
    let answer: Value = client.get("/api/v1/cardinality/high", &parameters).await?;
    let fields = ["signal_type", "signal_name", "key_scope", "key_name", "estimated_cardinality", "key_count", "bytes"];
    let columns = ["signal", "name", "scope", "key", "#cardinality", "#count", "#bytes"];
    let rows = answer["high_cardinality_keys"].as_array().into_iter().flatten();
    let row = |key: &Value| fields.iter().map(|field| key[field].clone()).collect();
    let listing = Listing::new("Attributes", &columns, rows.map(row).collect());
    let total = answer["total"].as_u64().unwrap_or(0);
    listing::print(&listing, Places { total, unit: "attributes of metrics, spans and severities" }, args.read.format)
}

async fn one(client: &Client, key: &str, read: &ReadArgs) -> anyhow::Result<()> {
    let path = format!("/api/v1/attributes/{}", encoded(key));
    let telemetry: Value = client.get(&format!("{path}/telemetry"), &read.narrowed()).await?;
    let services: Value = client.get(&format!("{path}/services"), &read.window.parameters()).await?;
    let what_if = format!("/v2/cardinality/{}/what-if", encoded(key));
    let what_if: Value = client.get(&what_if, &read.narrowed()).await?;
    let attribute: Attribute = serde_json::from_value(telemetry["attribute"].clone())?;
    let heading = format!(
        "{key}: {} distinct values{}, {} times, {}; of {}; {} to {}\n{}\nvalues: {}",
        attribute.estimated_cardinality,
        if attribute.exact { "" } else { " (counted together, past the catalogue's limits)" },
        attribute.count,
        bytes(attribute.bytes),
        attribute.signal_types.join(", "),
        attribute.first_seen,
        attribute.last_seen,
        saved(&what_if),
        attribute.value_samples.join(", "),
    );
    let sections = [bearers(&telemetry, read.limit), senders(&services, read.limit)];
    let answer = json!({
        "attribute": telemetry["attribute"],
        "metrics": telemetry["metrics"],
        "spans": telemetry["spans"],
        "logs": telemetry["logs"],
        "services": services["services"],
        "what_if": what_if,
    });
    listing::print_one(&heading, &sections, &answer, read.format)
}

fn saved(what_if: &Value) -> String {
    let of = |value: &Value| value.as_u64().unwrap_or(0);
    let (saved, series) = (&what_if["saved"], &what_if["series"]);
    let series = match of(&series["before"]) {
        0 => String::new(),
        before => format!(", {} series instead of {before}", of(&series["after"])),
    };
    format!("without it: {} attributes and {} less{series}", of(&saved["attributes"]), bytes(of(&saved["bytes"])))
}

/// Lists the metrics, span names and severities that have the attribute, the most values first.
fn bearers(telemetry: &Value, limit: u64) -> Listing {
    let mut rows = Vec::new();
    for (signal, list, name) in [("metric", "metrics", "name"), ("span", "spans", "name"), ("log", "logs", "severity")]
    {
        for item in telemetry[list].as_array().into_iter().flatten() {
            let services = item["services"].as_array().into_iter().flatten().filter_map(Value::as_str);
            rows.push(vec![
                Value::from(signal),
                item[name].clone(),
                item["attribute_cardinality"].clone(),
                item["attribute_count"].clone(),
                words(services),
            ]);
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row[2].as_u64()));
    Listing::new("What has it", &["signal", "name", "#cardinality", "#count", "services"], first(rows, limit))
}

fn senders(services: &Value, limit: u64) -> Listing {
    let rows = services["services"].as_array().into_iter().flatten();
    let row = |one: &Value| ["service_name", "signal_type", "count"].map(|field| one[field].clone()).to_vec();
    Listing::new("Who sends it", &["service", "signal", "#count"], first(rows.map(row).collect(), limit))
}

fn first(mut rows: Vec<Vec<Value>>, limit: u64) -> Vec<Vec<Value>> {
    if limit > 0 {
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    rows
}
