use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::answer::{Answer, Ask, List, list, text_of, unknown};
use super::super::items::{Common, Detail};
use super::super::keys::{KeyMap, KeyView, by_item, percentage};
use super::super::read::{Filter, Reader, Sql};
use super::super::templates::Roots;
use super::super::totals;
use crate::errors::Failure;

/// Templates that one severity lists, the most frequent first; `GET logs/patterns` pages through all.
const TEMPLATES_LISTED: usize = 100;

/// Answers `GET logs`: by severity.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let names = ask.reader.names("name", Some("logs"), &filter, page).await?;
    let (data, patterns) =
        tokio::try_join!(told(&ask.reader, &names.items, &filter), pattern_count(&ask.reader, &filter))?;
    let list = list(data, page, names.total, names.samples, names.capped);
    Answer::told(&Severities { list, total_log_patterns: patterns })
}

#[derive(Debug, Serialize)]
struct Severities {
    #[serde(flatten)]
    list: List<Box<RawValue>>,
    total_log_patterns: u64,
}

/// Answers `GET logs/{severity}`.
pub(in super::super) async fn one(ask: Ask) -> Result<Answer, Failure> {
    let severity = ask.path("severity");
    let told = told(&ask.reader, &[severity.to_owned()], &ask.filter()?).await?;
    told.into_iter().next().map(Answer::from).ok_or_else(|| unknown("severity", severity, "/api/v1/logs"))
}

/// Answers `GET logs/service/{service}/severity/{severity}`.
pub(in super::super) async fn of_service(ask: Ask) -> Result<Answer, Failure> {
    let (service, severity) = (ask.path("service"), ask.path("severity"));
    let filter = Filter { service: Some(service.to_owned()), window: ask.arguments.window()? };
    let told = told_of(&ask.reader, &[severity.to_owned()], &filter, Some(service)).await?;
    let unknown = || unknown("log record with the severity", severity, "/api/v1/logs/by-service");
    told.into_iter().next().map(Answer::from).ok_or_else(unknown)
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct OfService {
    pub(in super::super) service: String,
    pub(in super::super) severity: String,
    pub(in super::super) n: u64,
}

/// Answers `GET logs/by-service`.
pub(in super::super) async fn by_service(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let recalled = ask.reader.recall(&filter, |seen| Some(totals::services_of_severities(seen, page)));
    let ranked = match recalled.await? {
        Some(ranked) => ranked,
        None => {
            let inner = format!(
                "SELECT toString(service_name) AS service, toString(name) AS severity, sum(records) AS n \
                 FROM catalog_signals WHERE signal = 'logs'{} GROUP BY service, severity",
                filter.condition()
            );
            let query = ("service, severity, n", inner.as_str(), "service, severity");
            ask.reader.ranked::<OfService>(query, |sql| Sql::new(sql).filtered(&filter), page).await?
        }
    };
    let row = |row: &OfService| json!({ "service_name": row.service, "severity": row.severity, "sample_count": row.n });
    Answer::told(&list(ranked.rows.iter().map(row).collect(), page, ranked.total, ranked.samples, false))
}

/// Tells some severities, in their order.
pub(in super::super) async fn told(
    reader: &Reader,
    names: &[String],
    filter: &Filter,
) -> Result<Vec<Box<RawValue>>, Failure> {
    told_of(reader, names, filter, None).await
}

/// Tells some severities, in their order, and that it is of one service.
async fn told_of(
    reader: &Reader,
    names: &[String],
    filter: &Filter,
    service: Option<&str>,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let templates = templates(reader, names, filter).await?;
    let tell = |detail: &Detail, keys: &[KeyView<'_>]| text_of(&log(service, detail, keys, &templates));
    let recalled = reader.recall(filter, |seen| totals::tell(seen, "logs", names, tell));
    if let Some(told) = recalled.await? {
        return told.into_iter().collect();
    }
    let (details, keys) = tokio::try_join!(reader.details("logs", names, filter), reader.keys("logs", names, filter))?;
    let keys = by_item(&keys);
    let own = |detail: &Detail| keys.get(detail.item.as_str()).map(Vec::as_slice).unwrap_or_default();
    details.iter().map(|detail| text_of(&log(service, detail, own(detail), &templates))).collect()
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    severity: &'a str,
    severity_number: u8,
    body_templates: Vec<BodyTemplate<'a>>,
    body_template_count: usize,
    event_names: Vec<&'a str>,
    has_trace_context: bool,
    has_span_context: bool,
    dropped_attributes_stats: Dropped,
    attribute_keys: KeyMap<'a>,
    resource_keys: KeyMap<'a>,
    scope_keys: KeyMap<'a>,
    #[serde(flatten)]
    common: Common<'a>,
}

#[derive(Debug, Serialize)]
struct BodyTemplate<'a> {
    template: &'a str,
    template_id: String,
    count: u64,
    percentage: f64,
    example: &'a str,
}

#[derive(Debug, Serialize)]
struct Dropped {
    total_dropped: u64,
    records_with_dropped: u64,
    max_dropped: u64,
}

fn log<'a>(
    service_name: Option<&'a str>,
    detail: &'a Detail,
    keys: &'a [KeyView<'a>],
    templates: &'a BTreeMap<String, Vec<Template>>,
) -> Log<'a> {
    let templates = templates.get(&detail.item).map(Vec::as_slice).unwrap_or_default();
    let number = detail.facets("severity_number");
    let [total_dropped, max_dropped, records_with_dropped] = detail.dropped(0);
    let listed = templates.iter().take(TEMPLATES_LISTED).map(|template| BodyTemplate {
        template: &template.text,
        template_id: template.id.to_string(),
        count: template.n,
        percentage: percentage(template.n, detail.samples),
        example: &template.example,
    });
    let keys_of = |place| KeyMap::of(keys, place, detail.samples);
    Log {
        service_name,
        severity: &detail.item,
        severity_number: number.iter().filter_map(|number| number.parse().ok()).max().unwrap_or(0),
        body_templates: listed.collect(),
        body_template_count: templates.len(),
        event_names: detail.facets("event"),
        has_trace_context: !detail.facet("trace").is_empty(),
        has_span_context: !detail.facet("span").is_empty(),
        dropped_attributes_stats: Dropped { total_dropped, records_with_dropped, max_dropped },
        attribute_keys: keys_of("attribute"),
        resource_keys: keys_of("resource"),
        scope_keys: keys_of("scope"),
        common: detail.common(),
    }
}

/// A template of one severity.
#[derive(Debug)]
struct Template {
    id: u64,
    text: String,
    n: u64,
    example: String,
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct TemplateRow {
    pub(in super::super) item: String,
    pub(in super::super) root: u64,
    pub(in super::super) n: u64,
    pub(in super::super) example_of: String,
}

/// Returns the templates of each severity, the most frequent first.
async fn templates(
    reader: &Reader,
    names: &[String],
    filter: &Filter,
) -> Result<BTreeMap<String, Vec<Template>>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let roots = reader.roots().await?;
    let rows = template_rows(reader, &roots, names, filter).await?;
    let texts = reader.template_texts(rows.iter().map(|row| row.root).collect::<BTreeSet<_>>()).await?;
    let mut found: BTreeMap<String, Vec<Template>> = BTreeMap::new();
    for row in rows {
        let text = texts.get(&row.root).cloned().unwrap_or_default();
        let template = Template { id: row.root, text, n: row.n, example: row.example_of };
        found.entry(row.item).or_default().push(template);
    }
    Ok(found)
}

async fn template_rows(
    reader: &Reader,
    roots: &Roots,
    names: &[String],
    filter: &Filter,
) -> Result<Vec<TemplateRow>, Failure> {
    let recalled = reader.recall(filter, |seen| Some(totals::severities_of(seen, roots, names)));
    if let Some(rows) = recalled.await? {
        return Ok(rows);
    }
    let sql = Sql::new(format!(
        "SELECT toString(name) AS item, {} AS root, sum(records) AS n, max(example) AS example_of \
         FROM catalog_signals WHERE signal = 'logs' AND name IN {{names:Array(String)}}{} \
         GROUP BY item, root ORDER BY item, n DESC, root",
        Roots::SQL,
        filter.condition()
    ));
    let sql = roots.bind(sql.texts("names", names.iter().map(String::as_str)).filtered(filter));
    reader.rows(sql).await
}

#[derive(Debug, Default, Deserialize)]
struct Count {
    n: u64,
}

/// Counts the templates that log records have.
pub(super) async fn pattern_count(reader: &Reader, filter: &Filter) -> Result<u64, Failure> {
    let roots = reader.roots().await?;
    if let Some(count) = reader.recall(filter, |seen| Some(totals::pattern_count(seen, &roots))).await? {
        return Ok(count);
    }
    let sql = Sql::new(format!(
        "SELECT uniqExact({}) AS n FROM catalog_signals WHERE signal = 'logs' AND template_id != 0{}",
        Roots::SQL,
        filter.condition()
    ));
    Ok(reader.row::<Count>(roots.bind(sql).filtered(filter)).await?.n)
}
