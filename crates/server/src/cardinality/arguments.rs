use std::collections::BTreeMap;

use crate::api::sql_parameters::decoded;
use crate::errors::Failure;
use crate::routes::{Kind, Param};

use super::window::Window;

/// The items of a list when the request does not say how many.
const PAGE_DEFAULT: u64 = 100;
/// The most items of one page; 0 asks for all.
const PAGE_MAX: u64 = 10_000;
/// Stands for "all" in a LIMIT, and is the farthest a page may begin: more than any list can have.
const EVERYTHING: u64 = 1_000_000_000;

/// The times that an answer is about.
pub(super) const WINDOW: &[Param] = &[
    Param { name: "from", kind: Kind::Time, about: "the first hour" },
    Param { name: "to", kind: Kind::Time, about: "no hour that begins at it or later" },
];
/// Times, and what is read.
pub(super) const VIEW: &[Param] = &[
    WINDOW[0],
    WINDOW[1],
    Param::text("session", "saved sessions to read, with commas between; `live` for what is stored and hot"),
];
/// A page.
pub(super) const PAGING: &[Param] = &[
    Param::number("limit", PAGE_DEFAULT, PAGE_MAX, "items of a page; 0 for all"),
    Param::number("offset", 0, EVERYTHING, "items before the page"),
];
/// A page by its number.
pub(super) const PAGE_NUMBERS: &[Param] = &[
    Param { name: "page", kind: Kind::Number { default: None, max: EVERYTHING }, about: "the page's number, from 1" },
    Param {
        name: "page_size",
        kind: Kind::Number { default: None, max: PAGE_MAX },
        about: "items of a page, as `limit`",
    },
];
/// One producer.
pub(super) const SERVICE: &[Param] = &[Param::text("service", "only what this service sent")];
/// One kind of telemetry.
pub(super) const SIGNAL: &[Param] = &[Param {
    name: "signal_type",
    kind: Kind::Word {
        words: &["metric", "span", "log", "metrics", "spans", "logs", "trace", "traces"],
        default: false,
    },
    about: "only telemetry of this kind",
}];
/// One place of attributes.
pub(super) const SCOPE: &[Param] = &[Param {
    name: "scope",
    kind: Kind::Word { words: &["attribute", "resource", "scope", "event", "link"], default: false },
    about: "only attributes of this place",
}];

/// The query string of a request, each name known and given once.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    given: BTreeMap<&'static str, String>,
    known: Vec<&'static Param>,
}

/// A piece of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// As asked: 0 is all.
    pub(super) limit: u64,
    pub(super) offset: u64,
}

impl Page {
    pub(super) const ALL: Self = Self { limit: 0, offset: 0 };

    /// Returns the number of items to read.
    pub(super) const fn items(self) -> u64 {
        if self.limit == 0 { EVERYTHING } else { self.limit }
    }

    /// Takes the page out of the whole.
    pub(super) fn of<I: IntoIterator>(self, all: I) -> impl Iterator<Item = I::Item> + use<I> {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        all.into_iter().skip(size(self.offset)).take(size(self.items()))
    }

    /// Says whether items follow behind this page.
    pub(super) const fn has_more(self, total: u64) -> bool {
        self.limit != 0 && self.offset.saturating_add(self.limit) < total
    }
}

impl Arguments {
    /// Reads a query string and checks it; a name that is not known is a mistake that would change the answer.
    pub(super) fn parse(query: &str, known: &[&'static [Param]]) -> Result<Self, Failure> {
        let known: Vec<&'static Param> = known.iter().copied().flatten().collect();
        let mut given = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).map_err(|error| Failure::invalid(error.to_string()))?;
            let value = decoded(value).map_err(|error| Failure::invalid(error.to_string()))?;
            let Some(param) = known.iter().find(|param| param.name == name) else {
                let names: Vec<&str> = known.iter().map(|param| param.name).collect();
                let known = if names.is_empty() { "it takes none".to_owned() } else { names.join(", ") };
                return Err(Failure::invalid(format!("the parameter `{name}` is not known here: {known}")));
            };
            check(param, &value)?;
            if given.insert(param.name, value).is_some() {
                return Err(Failure::invalid(format!("the parameter `{name}` is given twice: give it once")));
            }
        }
        if let Some(missing) =
            known.iter().find(|param| matches!(param.kind, Kind::Needed) && !given.contains_key(param.name))
        {
            return Err(Failure::invalid(format!("`{}` is missing: give {}", missing.name, missing.about)));
        }
        Ok(Self { given, known })
    }

    /// Says whether the route takes a parameter.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.iter().any(|param| param.name == name)
    }

    /// Returns a parameter that is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns a whole number, or the parameter's default.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let param = self.known.iter().find(|param| param.name == name)?;
        let Kind::Number { default, .. } = param.kind else { return None };
        self.text(name).and_then(|text| text.parse().ok()).or(default)
    }

    /// Returns a number that may have a fraction, or the parameter's default.
    pub(super) fn decimal(&self, name: &str) -> f64 {
        let default = self.known.iter().find(|param| param.name == name).map_or(0.0, |param| match param.kind {
            Kind::Decimal { default } => default,
            _ => 0.0,
        });
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Returns the first of several names of one number that is given, or the default of the first.
    pub(super) fn any_number(&self, names: [&str; 2]) -> u64 {
        let given = names.into_iter().find(|name| self.text(name).is_some());
        self.number(given.unwrap_or(names[0])).unwrap_or_default()
    }

    /// Returns one of the parameter's words, or its default.
    pub(super) fn word(&self, name: &str) -> Option<&'static str> {
        let param = self.known.iter().find(|param| param.name == name)?;
        let Kind::Word { words, default } = param.kind else { return None };
        match self.text(name) {
            Some(text) => words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied(),
            None => default.then_some(words[0]),
        }
    }

    /// Returns the direction of an order; texts rise and all else falls, unless it is asked for otherwise.
    pub(super) fn direction(&self, of_text: bool) -> &'static str {
        let given = self.word("sort_order").or(self.word("sort_direction"));
        given.unwrap_or(if of_text { "asc" } else { "desc" })
    }

    /// Says whether a flag is given as true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// Returns the page asked for: `limit` and `offset`, or `page` (from 1) and `page_size`.
    pub(super) fn page(&self) -> Page {
        let limit = self.number("page_size").or(self.number("limit")).unwrap_or(PAGE_DEFAULT);
        let offset = match self.number("page").unwrap_or(0) {
            0 => self.number("offset").unwrap_or(0),
            number => (number - 1).saturating_mul(limit).min(EVERYTHING),
        };
        Page { limit, offset }
    }

    /// Returns the hours asked for.
    pub(super) fn window(&self) -> Result<Window, Failure> {
        Window::parse(self.text("from"), self.text("to"))
    }

    /// Returns the signal asked for, in the catalogue's word.
    pub(super) fn signal(&self) -> Option<&'static str> {
        match self.word("signal_type")? {
            "metric" | "metrics" => Some("metrics"),
            "log" | "logs" => Some("logs"),
            _ => Some("traces"),
        }
    }
}

/// Checks a parameter's text.
fn check(param: &Param, value: &str) -> Result<(), Failure> {
    let name = param.name;
    if value.contains('\0') {
        return Err(Failure::invalid(format!("the parameter `{name}` holds a zero byte: leave it out")));
    }
    if value.is_empty() {
        return if matches!(param.kind, Kind::Needed) {
            Err(Failure::invalid(format!("`{name}` is missing: give {}", param.about)))
        } else {
            Ok(())
        };
    }
    match param.kind {
        Kind::Text | Kind::Needed | Kind::Time => Ok(()),
        Kind::Number { max, .. } => {
            let wrong = |_| Failure::invalid(format!("`{name}` is a whole number from 0, it is `{value}`"));
            let number: u64 = value.parse().map_err(wrong)?;
            if number > max {
                return Err(Failure::invalid(format!("`{name}` is at most {max}, it is {number}")));
            }
            Ok(())
        }
        Kind::Decimal { .. } => {
            let number = value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
            let wrong = || Failure::invalid(format!("`{name}` is a number from 0, such as 2.5; it is `{value}`"));
            number.map(drop).ok_or_else(wrong)
        }
        Kind::Word { words, .. } => one_of(name, words, value),
        Kind::Flag => one_of(name, &["false", "true"], value),
    }
}

fn one_of(name: &str, words: &[&str], value: &str) -> Result<(), Failure> {
    if words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
        return Ok(());
    }
    Err(Failure::invalid(format!("`{name}` is one of {}, it is `{value}`", words.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bad(query: &str, part: &str) {
        let read = |arguments: Arguments| {
            arguments.page();
            arguments.signal();
            arguments.window()
        };
        let error = Arguments::parse(query, &[WINDOW, PAGING, SIGNAL]).and_then(read).expect_err("wrong");
        assert!(error.message.contains(part), "{error:?}");
    }

    #[test]
    fn wrong_parameters_are_named() {
        check_bad("lmit=3", "`lmit` is not known here: from, to, limit, offset, signal_type");
        check_bad("limit=3&limit=4", "`limit` is given twice");
        check_bad("limit=-1", "`limit` is a whole number");
        check_bad("limit=10001", "`limit` is at most 10000");
        check_bad("signal_type=x", "metric, span, log");
        check_bad("from=yesterday", "`from`");
        check_bad("from=%00", "zero byte");
        check_bad("from=%zz", "two hex digits");
    }

    #[test]
    fn pages_are_counted_by_offset_or_by_number() {
        let page = |query| Arguments::parse(query, &[PAGING, PAGE_NUMBERS]).map(|arguments| arguments.page());
        assert_eq!(page(""), Ok(Page { limit: 100, offset: 0 }));
        assert_eq!(page("limit=0&offset=7"), Ok(Page { limit: 0, offset: 7 }));
        assert_eq!(page("page=3&page_size=20"), Ok(Page { limit: 20, offset: 40 }));
        assert!(Page { limit: 2, offset: 1 }.has_more(4));
        assert!(!Page { limit: 2, offset: 2 }.has_more(4));
    }
}
