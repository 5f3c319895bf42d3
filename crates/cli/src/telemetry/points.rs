use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{ListArgs, TimeArgs, ask, print, rows};
use crate::client::Client;

const FUNCTIONS: &str = "avg,max,min,count,last";

/// What `tidegate metrics` is told.
#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// The metric; several: any of them
    #[arg(required = true, value_name = "METRIC")]
    names: Vec<String>,
    /// With this attribute of the series; several must all be there
    #[arg(long, short, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// From this service; several: the option again
    #[arg(long, short, value_name = "NAME")]
    source: Vec<String>,
    /// With this attribute of the resource; several must all be there
    #[arg(long, value_name = "KEY=VALUE")]
    resource: Vec<String>,
    /// Buckets of time instead of points
    #[arg(long, value_enum, value_name = "STEP")]
    every: Option<Every>,
    /// What is told of each bucket: of avg, max, min, sum, count, last and rate, with commas between
    #[arg(long, value_name = "NAMES", default_value = FUNCTIONS, requires = "every")]
    functions: String,
    /// Quantiles of each bucket, with commas between: 0.5,0.99
    #[arg(long, value_name = "NUMBERS", requires = "every")]
    quantiles: Option<String>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    list: ListArgs,
}

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Every {
    Minute,
    Hour,
    Day,
}

impl Every {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// Prints data points, or what they sum up to.
pub(crate) async fn metrics(args: MetricsArgs) -> Result<()> {
    let several =
        [("metric_name", &args.names), ("tag", &args.tag), ("source", &args.source), ("resource", &args.resource)];
    let several = several.into_iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one.clone())));
    let mut parameters: Vec<_> = args.time.parameters().into_iter().chain(several).collect();
    let Some(every) = args.every else {
        let (found, has_more) = rows(&args.list, "/v1/json/metrics", parameters).await?;
        return print(&found, &["timestamp", "metric_name", "#value", "unit", "source", "tags"], &args.list, has_more);
    };
    parameters.push(("aggregation", every.as_str().to_owned()));
    parameters.push(("functions", args.functions.clone()));
    parameters.extend(args.quantiles.map(|quantiles| ("quantiles", quantiles)));
    let told = ask(&Client::of(args.list.asker.clone())?, "/v1/json/metrics/aggregations", &parameters).await?;
    let mut buckets = told["data"].as_array().cloned().context("the server's answer has no list")?;
    if !args.list.oldest_first {
        buckets.reverse();
    }
    let has_more = buckets.len() as u64 > args.list.limit;
    buckets.truncate(usize::try_from(args.list.limit).unwrap_or(usize::MAX));
    let columns = columns(&args.functions, buckets.first());
    print(&buckets, &columns.iter().map(String::as_str).collect::<Vec<_>>(), &args.list, has_more)
}

/// Names the columns as they were asked for, quantiles behind.
fn columns(functions: &str, bucket: Option<&Value>) -> Vec<String> {
    let asked: Vec<&str> = functions.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let found = bucket.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str());
    let quantiles = found.filter(|name| *name != "time" && !asked.contains(name));
    let numbers = asked.iter().copied().chain(quantiles).map(|name| format!("#{name}"));
    std::iter::once("time".to_owned()).chain(numbers).collect()
}
