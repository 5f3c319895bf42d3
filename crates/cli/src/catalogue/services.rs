use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::listing::{self, Listing, Places, bytes, number, words};
use super::{Attribute, Log, Metric, ReadArgs, ServiceSummary, Span, pages, service_summaries};
use crate::client::{Client, encoded};

/// Services that are put in order by what they send: each is a question of its own to the server.
const SORTED_MAX: u64 = 1_000;

/// What `tidegate services` is told.
#[derive(Debug, Args)]
pub(crate) struct ServicesArgs {
    /// One service: its metrics, span names, severities and attributes
    #[arg(conflicts_with = "service")]
    name: Option<String>,
    /// What comes first; all but `name` ask for every service, of which there may be 1,000
    #[arg(long, value_enum, default_value_t = SortBy::Name, conflicts_with = "name")]
    sort: SortBy,
    #[command(flatten)]
    read: ReadArgs,
}

/// By what services are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SortBy {
    Name,
    Samples,
    Bytes,
    Series,
    Templates,
    Attributes,
}

#[derive(Deserialize)]
struct Overview {
    metrics: Vec<Metric>,
    spans: Vec<Span>,
    logs: Vec<Log>,
}

/// Prints services with what they send, or one of them.
pub(crate) async fn services(args: ServicesArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.read.url)?;
    match &args.name {
        Some(name) => one(&client, name, &args.read).await,
        None => all(&client, &args).await,
    }
}

async fn all(client: &Client, args: &ServicesArgs) -> anyhow::Result<()> {
    let window = args.read.window.parameters();
    let wanted = if args.sort == SortBy::Name { args.read.limit } else { 0 };
    let (names, total) = match &args.read.service {
        Some(service) => (vec![service.clone()], 1),
        None => pages::<String>(client, ("/api/v1/services", "data"), &window, wanted).await?,
    };
    anyhow::ensure!(
        args.sort == SortBy::Name || total <= SORTED_MAX,
        "there are {total} services, and at most {SORTED_MAX} are put in order by what they send\n  narrow them with \
         --last or --from, or leave out --sort"
    );
    let mut told = service_summaries(client, &names, &window).await?;
    // A service that is asked for by its name may send nothing in the window.
    told.retain(|service| service.summary.samples.total() > 0);
    let total = if args.read.service.is_some() { told.len() as u64 } else { total };
    sort(&mut told, args.sort);
    if args.read.limit > 0 {
        told.truncate(usize::try_from(args.read.limit).unwrap_or(usize::MAX));
    }
    let columns = [
        "service",
        "#metrics",
        "#series",
        "#span names",
        "#templates",
        "#attributes",
        "#data points",
        "#spans",
        "#log records",
        "#bytes",
    ];
    let listing = Listing::new("Services", &columns, told.iter().map(row).collect());
    listing::print(&listing, Places { total, unit: "services" }, args.read.format)
}

fn sort(services: &mut [ServiceSummary], by: SortBy) {
    let key = |service: &ServiceSummary| {
        let summary = &service.summary;
        match by {
            SortBy::Name => 0,
            SortBy::Samples => summary.samples.total(),
            SortBy::Bytes => summary.bytes,
            SortBy::Series => summary.active_series,
            SortBy::Templates => summary.total_log_patterns,
            SortBy::Attributes => summary.total_attributes,
        }
    };
    services.sort_by_key(|service| std::cmp::Reverse(key(service)));
}

fn row(service: &ServiceSummary) -> Vec<Value> {
    let summary = &service.summary;
    let numbers = [
        summary.total_metrics,
        summary.active_series,
        summary.total_span_names,
        summary.total_log_patterns,
        summary.total_attributes,
        summary.samples.metrics,
        summary.samples.spans,
        summary.samples.logs,
        summary.bytes,
    ];
    std::iter::once(Value::from(service.service_name.as_str())).chain(numbers.map(number)).collect()
}

async fn one(client: &Client, name: &str, read: &ReadArgs) -> anyhow::Result<()> {
    let window = read.window.parameters();
    let path = format!("/api/v1/services/{}", encoded(name));
    let page = window.iter().cloned().chain([("limit", read.limit.to_string())]).collect::<Vec<_>>();
    let overview: Value = client.get(&format!("{path}/overview"), &page).await?;
    let attributes: Value = client.get(&format!("{path}/attributes"), &window).await?;
    let summaries = service_summaries(client, &[name.to_owned()], &window).await?;
    let told: Vec<String> = summaries
        .iter()
        .map(|service| {
            let summary = &service.summary;
            format!(
                "{name}: {} metrics ({} series), {} span names, {} templates, {} attributes; {} samples, {}",
                summary.total_metrics,
                summary.active_series,
                summary.total_span_names,
                summary.total_log_patterns,
                summary.total_attributes,
                summary.samples.total(),
                bytes(summary.bytes)
            )
        })
        .collect();
    let sections = [items(serde_json::from_value(overview.clone())?), keys(&attributes, read.limit)?];
    let answer = json!({ "overview": overview, "attributes": attributes["keys"] });
    listing::print_one(&told.join("\n"), &sections, &answer, read.format)
}

fn items(overview: Overview) -> Listing {
    let metrics = overview
        .metrics
        .into_iter()
        .map(|metric| ("metric", metric.name, metric.kind, [metric.sample_count, metric.active_series, metric.bytes]));
    let spans =
        overview.spans.into_iter().map(|span| ("span", span.name, span.kind_name, [span.sample_count, 0, span.bytes]));
    let logs =
        overview.logs.into_iter().map(|log| ("log", log.severity, String::new(), [log.sample_count, 0, log.bytes]));
    let row = |(signal, name, kind, numbers): (&str, String, String, [u64; 3])| {
        [Value::from(signal), Value::from(name), Value::from(kind)].into_iter().chain(numbers.map(number)).collect()
    };
    let rows = metrics.chain(spans).chain(logs).map(row).collect();
    Listing::new("What it sends", &["signal", "name", "kind", "#samples", "#series", "#bytes"], rows)
}

fn keys(answer: &Value, limit: u64) -> anyhow::Result<Listing> {
    let mut keys: Vec<Attribute> = serde_json::from_value(answer["keys"].clone())?;
    keys.sort_by_key(|key| std::cmp::Reverse(key.estimated_cardinality));
    if limit > 0 {
        keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let row = |key: &Attribute| {
        let scopes = words(key.scopes.iter().map(String::as_str));
        vec![json!(key.key), number(key.estimated_cardinality), number(key.count), number(key.bytes), scopes]
    };
    let rows = keys.iter().map(row).collect();
    Ok(Listing::new("Its attributes", &["key", "#cardinality", "#count", "#bytes", "scopes"], rows))
}
