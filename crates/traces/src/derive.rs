use std::fmt::Write as _;

use tidegate_model::UnixNanos;

use crate::json::{Json, View};
use crate::prices::Prices;
use crate::span::{Span, SpanType};

/// The longest item, in bytes: names, ids and short values are looked for, prompts are not.
const ITEM_BYTES_MAX: usize = 256;

/// The kinds of spans that ask a model: what others tell of tokens, these told already.
const ASKING: &[SpanType] =
    &[SpanType::Embedding, SpanType::Query, SpanType::Completion, SpanType::Chat, SpanType::Rerank, SpanType::Llm];

/// What is worked out of a span for itself, without those below it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Derived {
    /// From its beginning to its end.
    pub duration_ms: f64,
    /// What a model read and wrote.
    pub tokens: Amounts,
    /// What that cost, in US dollars.
    pub costs: Amounts,
    /// Exceptions.
    pub errors: u64,
    /// The model that answered, or that was asked.
    pub model: Option<String>,
    /// `path=value` of each scalar within the attributes.
    pub attribute_items: Vec<String>,
}

/// Tokens or costs; what is not known is not there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Amounts {
    /// What was read.
    pub prompt: Option<f64>,
    /// What was written.
    pub completion: Option<f64>,
    /// Both.
    pub total: Option<f64>,
}

impl Amounts {
    /// Completes the total.
    fn of(prompt: Option<f64>, completion: Option<f64>, total: Option<f64>) -> Self {
        Self { prompt, completion, total: total.or_else(|| sum(prompt, completion)) }
    }

    /// Returns both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            prompt: sum(self.prompt, other.prompt),
            completion: sum(self.completion, other.completion),
            total: sum(self.total, other.total),
        }
    }
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// What columns are worked out of.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'s> {
    /// All that was said of the span.
    pub attributes: &'s View<'s>,
    /// What it does.
    pub span_type: Option<SpanType>,
    /// When it began.
    pub start_time: UnixNanos,
    /// When it ended.
    pub end_time: UnixNanos,
    /// Its exceptions.
    pub errors: u64,
}

/// Works out what the table has beside what clients say.
#[must_use]
pub fn derive(span: &Span, prices: &Prices) -> Derived {
    let basis = Basis {
        attributes: &View::of(&span.attributes),
        span_type: span.span_type,
        start_time: span.start_time,
        end_time: span.end_time,
        errors: u64::try_from(span.exceptions().count()).unwrap_or(u64::MAX),
    };
    derived(&basis, prices)
}

/// Works out the same of no more than it needs.
#[must_use]
pub fn derived(span: &Basis<'_>, prices: &Prices) -> Derived {
    let finite = |value: &View<'_>| value.as_number().filter(|number| number.is_finite());
    let metrics = span.attributes.at(&["ag", "metrics"]);
    let told = |of: &str| {
        let own = metrics.and_then(|metrics| metrics.at(&[of, "incremental"]));
        let one = |name: &str| own.and_then(|own| finite(own.at(&[name])?));
        Amounts::of(one("prompt"), one("completion"), one("total"))
    };
    let tokens = told("tokens");
    let model = model(span.attributes);
    let told_costs = told("costs");
    let costs = match (&model, told_costs == Amounts::default()) {
        (Some(model), true) if span.span_type.is_some_and(|kind| ASKING.contains(&kind)) => {
            let cached =
                metrics.and_then(|metrics| finite(metrics.at(&["tokens", "incremental", "cached"])?)).unwrap_or(0.0);
            costs(tokens, cached, prices, model)
        }
        _ => told_costs,
    };
    // The difference of two moments is at most some centuries: as a double it is exact to well below a microsecond.
    let nanos = i128::from(span.end_time.0) - i128::from(span.start_time.0);
    Derived {
        duration_ms: nanos.max(0) as f64 / 1e6,
        tokens,
        costs,
        errors: span.errors,
        model,
        attribute_items: attribute_items(span.attributes),
    }
}

fn model(attributes: &View<'_>) -> Option<String> {
    let paths: [&[&str]; 3] = [&["response", "model"], &["request", "model"], &["model"]];
    let meta = attributes.at(&["ag", "meta"])?;
    let found = paths.into_iter().find_map(|path| meta.at(path).and_then(View::as_text));
    found.filter(|model| !model.is_empty()).map(str::to_owned)
}

/// What the tokens cost; of a model without a known price nothing is said.
fn costs(tokens: Amounts, cached: f64, prices: &Prices, model: &str) -> Amounts {
    const MILLION: f64 = 1e6;
    let Some(price) = prices.of(model) else { return Amounts::default() };
    let prompt = tokens.prompt.map(|prompt| {
        let cached = cached.clamp(0.0, prompt.max(0.0));
        (prompt - cached) * price.input + cached * price.cached_input.unwrap_or(price.input)
    });
    let completion = tokens.completion.map(|completion| completion * price.output);
    Amounts::of(prompt.map(|cost| cost / MILLION), completion.map(|cost| cost / MILLION), None)
}

/// Lists `path=value` of each scalar within attributes: names joined by dots, elements as `[0]`, values as JSON writes them, but
/// for texts, which stand between quotes letter by letter.
///
/// A filter for a value asks for its item and for nothing else, so an item must mean one value at one path: names with one of
/// `.=[` have none, nor does what is longer than 256 bytes.
fn attribute_items(attributes: &View<'_>) -> Vec<String> {
    let mut items = Items::default();
    items.value(attributes);
    items.found.sort_unstable();
    items.found.dedup();
    items.found
}

/// The items that were found, and where the search is.
#[derive(Default)]
struct Items {
    path: String,
    found: Vec<String>,
}

impl Items {
    fn value(&mut self, value: &View<'_>) {
        let length = self.path.len();
        match value {
            View::Null => {}
            View::Bool(flag) => self.found.extend(flag_item(&self.path, *flag)),
            View::Text(text) => self.found.extend(text_item(&self.path, text)),
            View::Number(_) => {
                let number = value.as_number().unwrap_or(f64::NAN);
                self.found.extend(number_item(&self.path, number));
            }
            View::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    let _ = write!(self.path, "[{index}]");
                    self.value(element);
                    self.path.truncate(length);
                }
            }
            View::Object(members) => {
                for (name, value) in members.iter().filter(|(name, _)| is_plain(name)) {
                    if length > 0 {
                        self.path.push('.');
                    }
                    self.path.push_str(name);
                    self.value(value);
                    self.path.truncate(length);
                }
            }
        }
    }
}

/// Says whether a name stands in paths of items: it cannot be taken for a part of one.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', '=', '['])
}

pub(crate) fn text_item(path: &str, text: &str) -> Option<String> {
    item(path, &["\"", text, "\""])
}

pub(crate) fn flag_item(path: &str, flag: bool) -> Option<String> {
    item(path, &[if flag { "true" } else { "false" }])
}

/// Returns the item of a number, however it was written. Whole numbers that are not all doubles have none.
pub(crate) fn number_item(path: &str, number: f64) -> Option<String> {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    // Zero has two signs and one item.
    let number = if number == 0.0 { 0.0 } else { number };
    let is_known = number.is_finite() && number.abs() < WHOLE_MAX;
    let Json::Number(number) = (if is_known { Json::number(number) } else { Json::Null }) else { return None };
    item(path, &[number.as_str()])
}

fn item(path: &str, value: &[&str]) -> Option<String> {
    let bytes = path.len() + 1 + value.iter().map(|part| part.len()).sum::<usize>();
    (bytes <= ITEM_BYTES_MAX).then(|| {
        let mut item = String::with_capacity(bytes);
        item.extend([path, "="]);
        item.extend(value.iter().copied());
        item
    })
}
