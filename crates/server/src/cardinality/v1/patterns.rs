use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::answer::{Answer, Ask, Exact, OVERFLOW, text_of, unknown};
use super::super::arguments::Page;
use super::super::kept::Texts;
use super::super::keys::{Key, KeyList, KeyView, KeysOf};
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
pub(in super::super) struct Piece<'a> {
    pub(in super::super) root: u64,
    pub(in super::super) severity: Cow<'a, str>,
    pub(in super::super) service: Cow<'a, str>,
    pub(in super::super) n: u64,
    pub(in super::super) example_of: Cow<'a, str>,
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
    let (page, total) = (wanted.page, found.total);
    let tell = move |patterns: Vec<Pattern<'_>>| {
        Answer::told(&Patterns {
            total,
            limit: page.limit,
            offset: page.offset,
            has_more: page.has_more(total),
            exact: Exact::unless(patterns.iter().any(Pattern::is_overflow)),
            patterns,
        })
    };
    told(&ask.reader, &roots, Asked::each(&found.rows), &wanted.filter, tell).await?
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
    let all = ask.reader.details("logs", &[severity.to_owned()], &filter).await?;
    let total_severity_count = all.first().map_or(0, |detail| detail.samples);
    let (name, exact) = (severity.to_owned(), template != OVERFLOW);
    let tell = move |patterns: Vec<Pattern<'_>>| {
        let told = patterns.into_iter().next().map(|pattern| {
            Answer::told(&OfSeverity {
                template: pattern.template,
                template_id: pattern.template_id,
                example_body: pattern.example_body,
                severity: &name,
                total_count: pattern.total_count,
                total_severity_count,
                services: pattern.services,
                exact: Exact::unless(!exact),
            })
        });
        told.transpose()
    };
    let asked = Asked { roots: ids.into_iter().collect(), severity: Some(severity.to_owned()) };
    let unknown = || {
        let what = format!("template with records of severity `{severity}`:");
        unknown(&what, template, "/api/v1/logs/patterns")
    };
    told(&ask.reader, &roots, asked, &filter, tell).await??.ok_or_else(unknown)
}

#[derive(Debug, Serialize)]
struct OfSeverity<'a> {
    template: Option<&'a str>,
    template_id: String,
    example_body: &'a str,
    severity: &'a str,
    total_count: u64,
    total_severity_count: u64,
    services: Vec<&'a OfService<'a>>,
    #[serde(flatten)]
    exact: Exact,
}

/// Finds the templates that are wanted, the most frequent first.
pub(in super::super) async fn ranked(
    reader: &Reader,
    roots: &Roots,
    wanted: &Wanted,
) -> Result<Ranked<Ranking>, Failure> {
    let (least, page) = ((wanted.count_min, wanted.services_min), wanted.page);
    let recalled = reader.recall(&wanted.filter, |seen| Some(totals::ranked_templates(seen, roots, least, page)));
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

/// Templates that are asked for.
#[derive(Debug, Clone)]
pub(in super::super) struct Asked {
    /// In this order.
    roots: Vec<u64>,
    /// Only their records of one severity, and all of them as one template.
    severity: Option<String>,
}

impl Asked {
    /// Asks for each of some templates.
    pub(in super::super) fn each(rows: &[Ranking]) -> Self {
        Self { roots: rows.iter().map(|row| row.root).collect(), severity: None }
    }

    /// Returns the number under which the attributes of a template are found.
    const fn number(&self, root: u64) -> u64 {
        if self.severity.is_some() { 0 } else { root }
    }

    fn is_of(&self, severity: &str) -> bool {
        self.severity.as_ref().is_none_or(|only| only == severity)
    }
}

/// The attributes of templates, by number and service.
type Keys<'a> = BTreeMap<(u64, &'a str), Vec<KeyView<'a>>>;

/// Tells of templates.
pub(in super::super) async fn told<T>(
    reader: &Reader,
    roots: &Roots,
    asked: Asked,
    filter: &Filter,
    tell: impl Fn(Vec<Pattern<'_>>) -> T,
) -> Result<T, Failure> {
    let ids: BTreeSet<u64> = asked.roots.iter().copied().collect();
    let texts = reader.template_texts(ids.clone()).await?;
    let recalled = reader.recall(filter, |seen| {
        let (pieces, stamps) = totals::pieces(seen, roots, &ids);
        let state = &reader.stages.cardinality.kept;
        // Of a window and of one severity other sources may bear the same stamp.
        let keeps = seen.sees_all() && asked.severity.is_none();
        let kept = if keeps { state.find(&stamps) } else { Texts::new() };
        let number = |name: &str, template_id, service: &str| {
            let root = roots.of(template_id);
            let is_asked = asked.is_of(name) && ids.contains(&root) && !kept.contains_key(&(root, service));
            is_asked.then(|| asked.number(root))
        };
        let keys = totals::keys_where(seen, number)?;
        let services = services(&asked, &pieces, &keys, &kept);
        if let (true, Ok(services)) = (keeps, &services) {
            let fresh = services.iter().filter(|(by, _)| !kept.contains_key(*by));
            state.keep(fresh.filter_map(|(by, own)| Some((*by, *stamps.get(by)?, Arc::clone(&own.text)))));
        }
        Some(services.map(|services| tell(patterns(&asked, &pieces, &services, &texts))))
    });
    if let Some(told) = recalled.await? {
        return told;
    }
    let (pieces, keys) =
        tokio::try_join!(pieces(reader, roots, &ids, filter), keys(reader, roots, &asked, &ids, filter))?;
    let numbered = keys.iter().map(|key| {
        let (root, service) = key.item.split_once(' ').unwrap_or_default();
        ((asked.number(root.parse().unwrap_or(0)), service), key.view())
    });
    let mut keys = Keys::new();
    numbered.for_each(|(by, key)| keys.entry(by).or_default().push(key));
    let services = services(&asked, &pieces, &keys, &Texts::new())?;
    Ok(tell(patterns(&asked, &pieces, &services, &texts)))
}

async fn pieces(
    reader: &Reader,
    roots: &Roots,
    ids: &BTreeSet<u64>,
    filter: &Filter,
) -> Result<Vec<Piece<'static>>, Failure> {
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

/// Returns the attributes of templates; an item is a template and a service.
async fn keys(
    reader: &Reader,
    roots: &Roots,
    asked: &Asked,
    ids: &BTreeSet<u64>,
    filter: &Filter,
) -> Result<Vec<Key>, Failure> {
    // All as one template are found under one number.
    let root = if asked.severity.is_some() { "0" } else { Roots::SQL };
    let item = format!("concat(toString({root}), ' ', toString(service_name))");
    let condition = format!(
        "signal = 'logs' AND template_id IN {{ids:Array(UInt64)}}{}",
        if asked.severity.is_some() { " AND name = {severity:String}" } else { "" }
    );
    let severity = asked.severity.as_deref().unwrap_or_default();
    let bind = |sql: Sql| roots.bind(sql).numbers("ids", roots.members(ids)).text("severity", severity);
    reader.keys_of(KeysOf { item: &item, condition: &condition, filter }, bind).await
}

/// Templates in services, by the template's number.
type Services<'a> = BTreeMap<(u64, &'a str), OfService<'a>>;

/// Tells of templates in services, but for what was kept of them.
fn services<'a>(
    asked: &Asked,
    pieces: &'a [Piece<'_>],
    keys: &Keys<'_>,
    kept: &Texts<'_>,
) -> Result<Services<'a>, Failure> {
    let mut groups = BTreeMap::<(u64, &str), (u64, Vec<&str>)>::new();
    for piece in pieces.iter().filter(|piece| asked.is_of(&piece.severity)) {
        let group = groups.entry((asked.number(piece.root), &*piece.service)).or_default();
        group.0 += piece.n;
        group.1.push(&piece.severity);
    }
    let own = |(by, (sample_count, severities)): ((u64, &'a str), (u64, Vec<&str>))| {
        let text = match kept.get(&by) {
            Some(text) => Arc::clone(text),
            None => {
                let keys = keys.get(&by).map(Vec::as_slice).unwrap_or_default();
                let [resource_keys, attribute_keys] = ["resource", "attribute"].map(|place| KeyList::of(keys, place));
                text_of(&Told { service_name: by.1, sample_count, severities, resource_keys, attribute_keys })?.into()
            }
        };
        Ok((by, OfService { service_name: by.1, sample_count, text }))
    };
    groups.into_iter().map(own).collect()
}

fn patterns<'a>(
    asked: &Asked,
    pieces: &'a [Piece<'_>],
    services: &'a Services<'a>,
    texts: &'a BTreeMap<u64, String>,
) -> Vec<Pattern<'a>> {
    let mut by_number: BTreeMap<u64, Vec<&Piece<'_>>> = BTreeMap::new();
    for piece in pieces.iter().filter(|piece| asked.is_of(&piece.severity)) {
        by_number.entry(asked.number(piece.root)).or_default().push(piece);
    }
    if asked.severity.is_some() {
        return by_number.values().map(|all| pattern(all, services, 0, texts)).collect();
    }
    let own = |root: &u64| by_number.get(root).map(|all| pattern(all, services, *root, texts));
    asked.roots.iter().filter_map(own).collect()
}

/// One template.
#[derive(Debug, Serialize)]
pub(in super::super) struct Pattern<'a> {
    template: Option<&'a str>,
    template_id: String,
    example_body: &'a str,
    total_count: u64,
    severity_breakdown: BTreeMap<&'a str, u64>,
    services: Vec<&'a OfService<'a>>,
}

/// One template in one service, and what is told of it.
#[derive(Debug)]
struct OfService<'a> {
    service_name: &'a str,
    sample_count: u64,
    text: Arc<RawValue>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    service_name: &'a str,
    sample_count: u64,
    severities: Vec<&'a str>,
    resource_keys: KeyList<'a>,
    attribute_keys: KeyList<'a>,
}

impl Serialize for OfService<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
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
    pieces: &[&'a Piece<'_>],
    services: &'a Services<'a>,
    number: u64,
    texts: &'a BTreeMap<u64, String>,
) -> Pattern<'a> {
    let mut severities = BTreeMap::<&str, u64>::new();
    for piece in pieces {
        *severities.entry(&piece.severity).or_default() += piece.n;
    }
    let root = pieces.first().map_or(number, |piece| piece.root);
    Pattern {
        template: texts.get(&root).map(String::as_str),
        template_id: root.to_string(),
        example_body: pieces.iter().map(|piece| &*piece.example_of).max().unwrap_or_default(),
        total_count: pieces.iter().map(|piece| piece.n).sum(),
        severity_breakdown: severities,
        services: services.range((number, "")..).take_while(|(by, _)| by.0 == number).map(|(_, own)| own).collect(),
    }
}
