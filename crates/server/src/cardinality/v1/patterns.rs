use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::answer::{Answer, Ask, Exact, OVERFLOW, unknown};
use super::super::arguments::Page;
use super::super::keys::{Key, KeyList, KeysOf, by_item};
use super::super::read::{Filter, Ranked, Reader, Sql};
use super::super::templates::Roots;
use super::super::totals;
use crate::errors::Failure;

/// Which templates are listed.
#[derive(Debug)]
pub(in super::super) struct Wanted {
    pub(in super::super) count_min: u64,
    pub(in super::super) services_min: u64,
    pub(in super::super) page: Page,
    pub(in super::super) filter: Filter,
}

/// A template that is listed.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Ranking {
    pub(in super::super) root: u64,
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct Piece {
    pub(in super::super) root: u64,
    pub(in super::super) severity: String,
    pub(in super::super) service: String,
    pub(in super::super) n: u64,
    pub(in super::super) example_of: String,
}

/// Answers `GET logs/patterns`.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let wanted = Wanted {
        count_min: ask.arguments.any_number(["minCount", "min_count"]),
        services_min: ask.arguments.any_number(["minServices", "min_services"]),
        page: ask.arguments.page(),
        filter: ask.filter()?,
    };
    let roots = ask.reader.roots().await?;
    let found = ranked(&ask.reader, &roots, &wanted).await?;
    let told = told(&ask.reader, &roots, &found.rows, &wanted.filter).await?;
    let patterns = told.all();
    Answer::told(&Patterns {
        total: found.total,
        limit: wanted.page.limit,
        offset: wanted.page.offset,
        has_more: wanted.page.has_more(found.total),
        exact: Exact::unless(patterns.iter().any(Pattern::is_overflow)),
        patterns,
    })
}

#[derive(Debug, Serialize)]
struct Patterns<'a> {
    patterns: Vec<Pattern<'a>>,
    total: u64,
    limit: u64,
    offset: u64,
    has_more: bool,
    #[serde(flatten)]
    exact: Exact,
}

/// Answers `GET logs/patterns/{severity}/{template}`; the template by its text, or by its id.
pub(in super::super) async fn one(ask: Ask) -> Result<Answer, Failure> {
    let (severity, template) = (ask.path("severity"), ask.path("template"));
    let filter = ask.filter()?;
    let roots = ask.reader.roots().await?;
    let ids = ask.reader.templates_named(template, &roots).await?;
    let pieces = pieces(&ask.reader, &roots, &ids, &filter).await?;
    let own: Vec<&Piece> = pieces.iter().filter(|piece| piece.severity == severity).collect();
    if own.is_empty() {
        return Err(unknown(
            &format!("template with records of severity `{severity}`:"),
            template,
            "/api/v1/logs/patterns",
        ));
    }
    let texts = ask.reader.template_texts(ids.clone()).await?;
    let keys = keys(&ask.reader, &roots, &ids, Some(severity), &filter).await?;
    let all = ask.reader.details("logs", &[severity.to_owned()], &filter).await?;
    let pattern = pattern(&own, &keys, own[0].root, &texts);
    Answer::told(&OfSeverity {
        template: pattern.template,
        template_id: pattern.template_id,
        example_body: pattern.example_body,
        severity,
        total_count: pattern.total_count,
        total_severity_count: all.first().map_or(0, |detail| detail.samples),
        services: pattern.services,
        exact: Exact::unless(template == OVERFLOW),
    })
}

#[derive(Debug, Serialize)]
struct OfSeverity<'a> {
    template: Option<&'a str>,
    template_id: String,
    example_body: &'a str,
    severity: &'a str,
    total_count: u64,
    total_severity_count: u64,
    services: Vec<OfService<'a>>,
    #[serde(flatten)]
    exact: Exact,
}

/// Finds the templates that are wanted, the most frequent first.
pub(in super::super) async fn ranked(
    reader: &Reader,
    roots: &Roots,
    wanted: &Wanted,
) -> Result<Ranked<Ranking>, Failure> {
    let (known, least, page) = (roots.clone(), (wanted.count_min, wanted.services_min), wanted.page);
    let recalled = reader.recall(&wanted.filter, move |seen| Some(totals::ranked_templates(seen, &known, least, page)));
    if let Some(ranked) = recalled.await? {
        return Ok(ranked);
    }
    let inner = format!(
        "SELECT {} AS root, sum(records) AS n, uniqExact(service_name) AS spread FROM catalog_signals \
         WHERE signal = 'logs'{} GROUP BY root HAVING n >= {{count_min:UInt64}} AND spread >= {{services_min:UInt64}}",
        Roots::SQL,
        wanted.filter.condition()
    );
    let bind = |sql: String| {
        let sql = roots.bind(Sql::new(sql)).filtered(&wanted.filter);
        sql.number("count_min", wanted.count_min).number("services_min", wanted.services_min)
    };
    reader.ranked::<Ranking>(("root", &inner, "n DESC, root"), bind, wanted.page).await
}

/// What is told of some templates.
#[derive(Debug)]
pub(in super::super) struct Found {
    roots: Vec<u64>,
    pieces: Vec<Piece>,
    keys: BTreeMap<String, Vec<Key>>,
    texts: BTreeMap<u64, String>,
}

/// Reads what is told of some templates, in their order.
pub(in super::super) async fn told(
    reader: &Reader,
    roots: &Roots,
    rows: &[Ranking],
    filter: &Filter,
) -> Result<Found, Failure> {
    let ids: BTreeSet<u64> = rows.iter().map(|row| row.root).collect();
    let (pieces, keys, texts) = tokio::try_join!(
        pieces(reader, roots, &ids, filter),
        keys(reader, roots, &ids, None, filter),
        reader.template_texts(ids.clone()),
    )?;
    Ok(Found { roots: rows.iter().map(|row| row.root).collect(), pieces, keys, texts })
}

impl Found {
    /// Tells them.
    pub(in super::super) fn all(&self) -> Vec<Pattern<'_>> {
        let mut by_root: BTreeMap<u64, Vec<&Piece>> = BTreeMap::new();
        for piece in &self.pieces {
            by_root.entry(piece.root).or_default().push(piece);
        }
        let own = |root: u64| by_root.get(&root).map(Vec::as_slice).unwrap_or_default();
        self.roots.iter().map(|root| pattern(own(*root), &self.keys, *root, &self.texts)).collect()
    }
}

async fn pieces(reader: &Reader, roots: &Roots, ids: &BTreeSet<u64>, filter: &Filter) -> Result<Vec<Piece>, Failure> {
    let (known, asked) = (roots.clone(), ids.clone());
    if let Some(pieces) = reader.recall(filter, move |seen| Some(totals::pieces(seen, &known, &asked))).await? {
        return Ok(pieces);
    }
    let sql = Sql::new(format!(
        "SELECT {} AS root, toString(name) AS severity, toString(service_name) AS service, sum(records) AS n, \
         max(example) AS example_of FROM catalog_signals \
         WHERE signal = 'logs' AND template_id IN {{ids:Array(UInt64)}}{} \
         GROUP BY root, severity, service ORDER BY root, severity, service",
        Roots::SQL,
        filter.condition()
    ));
    reader.rows(roots.bind(sql).numbers("ids", roots.members(ids)).filtered(filter)).await
}

/// Returns the attributes of templates, by template and service.
async fn keys(
    reader: &Reader,
    roots: &Roots,
    ids: &BTreeSet<u64>,
    severity: Option<&str>,
    filter: &Filter,
) -> Result<BTreeMap<String, Vec<Key>>, Failure> {
    let (known, asked, only) = (roots.clone(), ids.clone(), severity.map(str::to_owned));
    let recalled = reader.recall(filter, move |seen| {
        totals::keys_where(seen, "logs", |name, own| {
            let root = known.of(own.template_id);
            (only.as_ref().is_none_or(|only| only == name) && asked.contains(&root)).then_some(root)
        })
    });
    if let Some(keys) = recalled.await? {
        return Ok(by_item(keys));
    }
    let item = format!("concat(toString({}), ' ', toString(service_name))", Roots::SQL);
    let condition = format!(
        "signal = 'logs' AND template_id IN {{ids:Array(UInt64)}}{}",
        if severity.is_some() { " AND name = {severity:String}" } else { "" }
    );
    let bind =
        |sql: Sql| roots.bind(sql).numbers("ids", roots.members(ids)).text("severity", severity.unwrap_or_default());
    Ok(by_item(reader.keys_of(KeysOf { item: &item, condition: &condition, filter }, bind).await?))
}

/// One template.
#[derive(Debug, Serialize)]
pub(in super::super) struct Pattern<'a> {
    template: Option<&'a str>,
    template_id: String,
    example_body: &'a str,
    total_count: u64,
    severity_breakdown: BTreeMap<&'a str, u64>,
    services: Vec<OfService<'a>>,
}

/// One template in one service.
#[derive(Debug, Serialize)]
struct OfService<'a> {
    service_name: &'a str,
    sample_count: u64,
    severities: Vec<&'a str>,
    resource_keys: KeyList<'a>,
    attribute_keys: KeyList<'a>,
}

impl<'a> Pattern<'a> {
    /// Says whether it stands for templates that were past a limit.
    pub(in super::super) fn is_overflow(&self) -> bool {
        self.template == Some(OVERFLOW)
    }

    /// Counts its records by service.
    pub(in super::super) fn by_service(&self) -> BTreeMap<&'a str, u64> {
        self.services.iter().map(|own| (own.service_name, own.sample_count)).collect()
    }
}

fn pattern<'a>(
    pieces: &[&'a Piece],
    keys: &'a BTreeMap<String, Vec<Key>>,
    root: u64,
    texts: &'a BTreeMap<u64, String>,
) -> Pattern<'a> {
    let (mut severities, mut services) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, (u64, Vec<&str>)>::new());
    for piece in pieces {
        *severities.entry(&piece.severity).or_default() += piece.n;
        let service = services.entry(&piece.service).or_default();
        service.0 += piece.n;
        service.1.push(&piece.severity);
    }
    let of_service = |(service_name, (sample_count, severities))| {
        let keys = keys.get(&format!("{root} {service_name}")).map(Vec::as_slice).unwrap_or_default();
        let [resource_keys, attribute_keys] = ["resource", "attribute"].map(|place| KeyList::of(keys, place));
        OfService { service_name, sample_count, severities, resource_keys, attribute_keys }
    };
    Pattern {
        template: texts.get(&root).map(String::as_str),
        template_id: root.to_string(),
        example_body: pieces.iter().map(|piece| piece.example_of.as_str()).max().unwrap_or_default(),
        total_count: pieces.iter().map(|piece| piece.n).sum(),
        severity_breakdown: severities,
        services: services.into_iter().map(of_service).collect(),
    }
}
