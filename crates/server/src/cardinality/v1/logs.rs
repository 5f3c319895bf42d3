use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer::{Answer, Ask, list, unknown};
use super::super::items::Detail;
use super::super::keys::{Key, by_item, map_of, percentage};
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
    let mut value = list(data, page, names.total, names.samples, names.capped);
    value["total_log_patterns"] = json!(patterns);
    Ok(value.into())
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
    let told = told(&ask.reader, &[severity.to_owned()], &filter).await?;
    let Some(mut value) = told.into_iter().next() else {
        return Err(unknown("log record with the severity", severity, "/api/v1/logs/by-service"));
    };
    value["service_name"] = json!(service);
    Ok(value.into())
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
    let recalled = ask.reader.recall(&filter, move |seen| Some(totals::services_of_severities(seen, page)));
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
    Ok(list(ranked.rows.iter().map(row).collect(), page, ranked.total, ranked.samples, false).into())
}

/// Tells some severities, in their order.
pub(in super::super) async fn told(reader: &Reader, names: &[String], filter: &Filter) -> Result<Vec<Value>, Failure> {
    let (details, keys, templates) = tokio::try_join!(
        reader.details("logs", names, filter),
        reader.keys("logs", names, filter),
        templates(reader, names, filter),
    )?;
    let keys = by_item(keys);
    let none = Vec::new();
    Ok(details.iter().map(|detail| log(detail, keys.get(&detail.item).unwrap_or(&none), &templates)).collect())
}

fn log(detail: &Detail, keys: &[Key], templates: &BTreeMap<String, Vec<Template>>) -> Value {
    let numbers = detail.facets("severity_number");
    let number = numbers.iter().filter_map(|number| number.parse::<u8>().ok()).max().unwrap_or(0);
    let templates = templates.get(&detail.item).map(Vec::as_slice).unwrap_or_default();
    let told = templates.iter().take(TEMPLATES_LISTED).map(|template| {
        json!({
            "template": template.text,
            "template_id": template.id.to_string(),
            "count": template.n,
            "percentage": percentage(template.n, detail.samples),
            "example": template.example,
        })
    });
    let mut value = json!({
        "severity": detail.item,
        "severity_number": number,
        "body_templates": told.collect::<Vec<_>>(),
        "body_template_count": templates.len(),
        "event_names": detail.facets("event"),
        "has_trace_context": !detail.facet("trace").is_empty(),
        "has_span_context": !detail.facet("span").is_empty(),
        "dropped_attributes_stats": detail.dropped(0, "records_with_dropped", "max_dropped"),
    });
    for (name, place) in [("attribute_keys", "attribute"), ("resource_keys", "resource"), ("scope_keys", "scope")] {
        value[name] = Value::Object(map_of(keys, place, detail.samples));
    }
    detail.add_common(&mut value);
    value
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
    let (known, asked) = (roots.clone(), names.to_vec());
    let recalled = reader.recall(filter, move |seen| Some(totals::severities_of(seen, &known, &asked)));
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
    let known = roots.clone();
    if let Some(count) = reader.recall(filter, move |seen| Some(totals::pattern_count(seen, &known))).await? {
        return Ok(count);
    }
    let sql = Sql::new(format!(
        "SELECT uniqExact({}) AS n FROM catalog_signals WHERE signal = 'logs' AND template_id != 0{}",
        Roots::SQL,
        filter.condition()
    ));
    Ok(reader.row::<Count>(roots.bind(sql).filtered(filter)).await?.n)
}
