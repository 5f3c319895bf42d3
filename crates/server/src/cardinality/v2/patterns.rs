use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::answer::{Answer, Ask, say_exact, text_of};
use super::super::listing::{Extent, Piece, in_pieces, listed};
use super::super::read::Sql;
use super::super::templates::Roots;
use super::super::v1::patterns::{Asked, Pattern, Wanted, ranked, told};
use super::distance::{grams, likeness, words_apart};
use crate::errors::Failure;

/// Templates that differ in at most so many words are near: the reference says a distance below 3.
const WORDS_APART_MAX: usize = 2;
/// Templates that share at least so much of their three-letter pieces are near.
const LIKENESS_MIN: f64 = 0.7;

/// Answers `GET logs/patterns`: templates and the services that they come from.
pub(super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let wanted = Wanted {
        count_min: ask.arguments.number("min_count").unwrap_or(1),
        services_min: ask.arguments.number("min_services").unwrap_or(1),
        page: ask.arguments.page(),
        filter: ask.filter()?,
    };
    // Of one moment for the whole list: a template that is merged meanwhile stays where it was ranked.
    let roots = Arc::new(ask.reader.roots().await?);
    let found = ranked(&ask.reader, &roots, &wanted).await?;
    let extent = Extent { page: wanted.page, total: found.total, samples: found.samples, capped: false };
    let pieces = in_pieces(found.rows).then(move |rows| {
        let (reader, roots, filter) = (ask.reader.clone(), Arc::clone(&roots), wanted.filter.clone());
        async move { told(&reader, &roots, Asked::each(&rows), &filter, spread).await? }
    });
    listed(extent, pieces.boxed()).await
}

fn spread(patterns: Vec<Pattern<'_>>) -> Result<Piece<Box<RawValue>>, Failure> {
    let capped = patterns.iter().any(Pattern::is_overflow);
    let items = patterns.into_iter().map(|pattern| text_of(&Spread::of(pattern)));
    Ok(Piece { items: items.collect::<Result<_, _>>()?, capped })
}

/// A template and how its records are spread over services.
#[derive(Debug, Serialize)]
struct Spread<'a> {
    #[serde(flatten)]
    pattern: Pattern<'a>,
    service_count: usize,
    service_distribution: BTreeMap<&'a str, u64>,
}

impl<'a> Spread<'a> {
    fn of(pattern: Pattern<'a>) -> Self {
        let service_distribution = pattern.by_service();
        Self { pattern, service_count: service_distribution.len(), service_distribution }
    }
}

#[derive(Debug, Deserialize)]
struct Counted {
    root: u64,
    n: u64,
}

/// Answers `GET logs/patterns/similar`: templates near a text, the nearest first.
pub(super) async fn similar(ask: Ask) -> Result<Answer, Failure> {
    let filter = ask.filter()?;
    let limit = ask.arguments.number("limit").unwrap_or(0);
    let template = ask.arguments.text("template").unwrap_or_default();
    let roots = ask.reader.roots().await?;
    let sql = Sql::new(format!(
        "SELECT {} AS root, sum(records) AS n FROM catalog_signals WHERE signal = 'logs' AND template_id != 0{} \
         GROUP BY root ORDER BY root",
        Roots::SQL,
        filter.condition()
    ));
    let counts: Vec<Counted> = ask.reader.rows(roots.bind(sql).filtered(&filter)).await?;
    let texts = ask.reader.template_texts(counts.iter().map(|count| count.root).collect()).await?;
    let own = grams(template);
    let mut near: Vec<(f64, Value)> = counts
        .iter()
        .filter_map(|count| {
            let text = texts.get(&count.root)?;
            let apart = words_apart(template, text, WORDS_APART_MAX);
            let likeness = likeness(&own, &grams(text));
            let is_near = text != template && (apart.is_some() || likeness >= LIKENESS_MIN);
            let value = json!({
                "template": text,
                "template_id": count.root.to_string(),
                "total_count": count.n,
                "edit_distance": apart,
                "similarity": likeness,
            });
            is_near.then_some((likeness, value))
        })
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let total = near.len();
    let kept = if limit == 0 { total } else { usize::try_from(limit).unwrap_or(total) };
    let patterns: Vec<Value> = near.into_iter().take(kept).map(|(_, value)| value).collect();
    let mut value = json!({ "template": template, "patterns": patterns, "total": total });
    say_exact(&mut value, false);
    Ok(value.into())
}
