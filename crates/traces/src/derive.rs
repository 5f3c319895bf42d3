use crate::json::{Json, Object, at};
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

/// Works out what the table has beside what clients say.
#[must_use]
pub fn derive(span: &Span, prices: &Prices) -> Derived {
    let number = |path: &str| at(&span.attributes, path).and_then(Json::as_number).filter(|number| number.is_finite());
    let told = |of: &str| {
        let one = |name: &str| number(&format!("ag.metrics.{of}.incremental.{name}"));
        Amounts::of(one("prompt"), one("completion"), one("total"))
    };
    let tokens = told("tokens");
    let model = model(&span.attributes);
    let told_costs = told("costs");
    let costs = match (&model, told_costs == Amounts::default()) {
        (Some(model), true) if span.span_type.is_some_and(|kind| ASKING.contains(&kind)) => {
            let cached = number("ag.metrics.tokens.incremental.cached").unwrap_or(0.0);
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
        errors: u64::try_from(span.exceptions().count()).unwrap_or(u64::MAX),
        model,
        attribute_items: attribute_items(&span.attributes),
    }
}

fn model(attributes: &Object) -> Option<String> {
    let paths = ["ag.meta.response.model", "ag.meta.request.model", "ag.meta.model"];
    let found = paths.iter().find_map(|path| at(attributes, path).and_then(Json::as_text));
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

/// Lists `path=value` of each scalar within attributes, the names joined by dots; what is longer than 256 bytes is left out.
///
/// Filters look for these items first: whoever writes rows writes them with this.
#[must_use]
pub fn attribute_items(attributes: &Object) -> Vec<String> {
    let mut items = Vec::new();
    for (name, value) in attributes {
        collect(name, value, &mut items);
    }
    items.sort_unstable();
    items.dedup();
    items
}

fn collect(path: &str, value: &Json, items: &mut Vec<String>) {
    match value {
        Json::Null => {}
        Json::Bool(flag) => items.extend(item(path, &flag.to_string())),
        Json::Text(text) => items.extend(item(path, text)),
        Json::Number(number) => items.extend(number_items(path, number.value()).into_iter().next()),
        Json::List(elements) => {
            elements
                .iter()
                .enumerate()
                .for_each(|(index, element)| collect(&format!("{path}.{index}"), element, items));
        }
        Json::Object(members) => {
            members.iter().for_each(|(name, member)| collect(&format!("{path}.{name}"), member, items));
        }
    }
}

/// Returns the item of a text; a long one has none.
pub(crate) fn item(path: &str, text: &str) -> Option<String> {
    (path.len() + 1 + text.len() <= ITEM_BYTES_MAX).then(|| format!("{path}={text}"))
}

/// Returns the items under which a number may be found, the first as it is written here. A whole number that no double is
/// exactly, and one that is none, have none.
pub(crate) fn number_items(path: &str, number: f64) -> Vec<String> {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if !number.is_finite() || number.abs() >= WHOLE_MAX || path.len() + 32 > ITEM_BYTES_MAX {
        return Vec::new();
    }
    // Zero has two signs and one item.
    let number = if number == 0.0 { 0.0 } else { number };
    let text = Json::number(number).to_string();
    let mut items = vec![format!("{path}={text}")];
    if number.fract() == 0.0 {
        items.push(format!("{path}={text}.0"));
    }
    items
}
