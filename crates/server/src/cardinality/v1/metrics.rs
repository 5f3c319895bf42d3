use std::collections::BTreeMap;
use std::sync::LazyLock;

use futures_util::StreamExt;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::answer::{Answer, Ask, text_of, unknown};
use super::super::items::{Common, Detail, ScopeInfo};
use super::super::keys::{KeyMap, KeyView, by_item};
use super::super::listing::{Extent, Piece, in_pieces, listed};
use super::super::read::{Filter, Reader};
use super::super::series::{Buckets, Declared};
use super::super::totals;
use crate::errors::Failure;

/// Answers `GET metrics`.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let names = ask.reader.names("name", Some("metrics"), &filter, page).await?;
    let reader = ask.reader;
    let pieces = in_pieces(names.items).then(move |names| {
        let (reader, filter) = (reader.clone(), filter.clone());
        async move { Ok(Piece { items: told(&reader, &names, &filter).await?, capped: false }) }
    });
    let extent = Extent { page, total: names.total, samples: names.samples, capped: names.capped };
    listed(extent, pieces.boxed()).await
}

/// Answers `GET metrics/{name}`.
pub(in super::super) async fn one(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name");
    let told = told(&ask.reader, &[name.to_owned()], &ask.filter()?).await?;
    told.into_iter().next().map(Answer::from).ok_or_else(|| unknown("metric", name, "/api/v1/metrics"))
}

/// Tells some metrics, in the order of their names.
pub(in super::super) async fn told(
    reader: &Reader,
    names: &[String],
    filter: &Filter,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let recalled = reader.recall(filter, |seen| totals::details(seen, "metrics", names)).await?;
    let (details, declared, keys) = match recalled {
        Some(details) => (details, reader.declared(names).await?, None),
        None => {
            let details = reader.details_of_tables("metrics", names, filter);
            let keys = reader.keys("metrics", names, filter);
            let (details, declared, keys) = tokio::try_join!(details, reader.declared(names), keys)?;
            (details, declared, Some(keys))
        }
    };
    let buckets = reader.buckets(&details).await?;
    let known = (declared, buckets);
    let tell = |detail: &Detail, keys: &[KeyView<'_>]| text_of(&metric(detail, keys, &known));
    let recalled = reader.recall(filter, |seen| totals::tell(seen, "metrics", names, tell));
    if let Some(told) = recalled.await? {
        return told.into_iter().collect();
    }
    let keys = match keys {
        Some(keys) => keys,
        None => reader.keys("metrics", names, filter).await?,
    };
    let keys = by_item(&keys);
    let own = |detail: &Detail| keys.get(detail.item.as_str()).map(Vec::as_slice).unwrap_or_default();
    details.iter().map(|detail| text_of(&metric(detail, own(detail), &known))).collect()
}

/// What is known of metrics that the catalogue does not count.
type Beside = (BTreeMap<String, Declared>, BTreeMap<String, Buckets>);

#[derive(Debug, Serialize)]
struct Metric<'a> {
    name: &'a str,
    description: &'a str,
    unit: &'a str,
    r#type: &'a str,
    data: Data<'a>,
    metadata: &'a BTreeMap<String, String>,
    scope_info: ScopeInfo<'a>,
    active_series: u64,
    active_series_otlp: u64,
    active_series_prometheus: u64,
    label_keys: KeyMap<'a>,
    resource_keys: KeyMap<'a>,
    scope_keys: KeyMap<'a>,
    #[serde(flatten)]
    common: Common<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    data_point_count: u64,
    aggregation_temporality: &'a str,
    is_monotonic: bool,
    explicit_bounds: &'a [Option<f64>],
    scales: &'a [i32],
}

fn metric<'a>(detail: &'a Detail, keys: &'a [KeyView<'a>], (declared, buckets): &'a Beside) -> Metric<'a> {
    static UNDECLARED: LazyLock<Declared> = LazyLock::new(Declared::default);
    static NO_BUCKETS: LazyLock<Buckets> = LazyLock::new(Buckets::default);
    let declared = declared.get(&detail.item).unwrap_or(&UNDECLARED);
    let buckets = buckets.get(&detail.item).unwrap_or(&NO_BUCKETS);
    let metric_type = detail.facet("type");
    let keys_of = |place| KeyMap::of(keys, place, detail.samples);
    Metric {
        name: &detail.item,
        description: &declared.about,
        unit: &declared.in_unit,
        r#type: metric_type,
        data: Data {
            data_point_count: detail.samples,
            aggregation_temporality: &declared.temporality,
            is_monotonic: declared.monotonic,
            explicit_bounds: &buckets.bounds,
            scales: &buckets.scales,
        },
        metadata: &declared.own_metadata,
        scope_info: detail.scope_info(),
        active_series: detail.active,
        active_series_otlp: detail.active,
        active_series_prometheus: detail.active.saturating_mul(buckets.weight(metric_type).prometheus),
        label_keys: keys_of("attribute"),
        resource_keys: keys_of("resource"),
        scope_keys: keys_of("scope"),
        common: detail.common(),
    }
}
