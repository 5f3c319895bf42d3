use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::super::answer::{Answer, Ask, unknown};
use super::super::items::Detail;
use super::super::keys::{Key, by_item, map_of};
use super::super::listing::{Extent, Piece, in_pieces, listed};
use super::super::read::{Filter, Reader};
use super::super::series::{Buckets, Declared};
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
pub(in super::super) async fn told(reader: &Reader, names: &[String], filter: &Filter) -> Result<Vec<Value>, Failure> {
    let (details, keys, declared) = tokio::try_join!(
        reader.details("metrics", names, filter),
        reader.keys("metrics", names, filter),
        reader.declared(names),
    )?;
    let buckets = reader.buckets(&details).await?;
    let keys = by_item(keys);
    Ok(details.iter().map(|detail| metric(detail, &keys, &declared, &buckets)).collect())
}

fn metric(
    detail: &Detail,
    keys: &BTreeMap<String, Vec<Key>>,
    declared: &BTreeMap<String, Declared>,
    buckets: &BTreeMap<String, Buckets>,
) -> Value {
    let (no_series, no_buckets) = (Declared::default(), Buckets::default());
    let declared = declared.get(&detail.item).unwrap_or(&no_series);
    let buckets = buckets.get(&detail.item).unwrap_or(&no_buckets);
    let keys = keys.get(&detail.item).map(Vec::as_slice).unwrap_or_default();
    let metric_type = detail.facet("type");
    let prometheus = detail.active.saturating_mul(buckets.weight(metric_type).prometheus);
    let mut value = json!({
        "name": detail.item,
        "description": declared.about,
        "unit": declared.in_unit,
        "type": metric_type,
        "data": {
            "data_point_count": detail.samples,
            "aggregation_temporality": declared.temporality,
            "is_monotonic": declared.monotonic,
            "explicit_bounds": buckets.bounds,
            "scales": buckets.scales,
        },
        "metadata": declared.own_metadata,
        "scope_info": detail.scope_info(),
        "active_series": detail.active,
        "active_series_otlp": detail.active,
        "active_series_prometheus": prometheus,
    });
    for (name, place) in [("label_keys", "attribute"), ("resource_keys", "resource"), ("scope_keys", "scope")] {
        value[name] = Value::Object(map_of(keys, place, detail.samples));
    }
    detail.add_common(&mut value);
    value
}
