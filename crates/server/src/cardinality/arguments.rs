use std::collections::BTreeMap;

use crate::api::sql_parameters::decoded;
use crate::errors::Failure;

use super::window::Window;

/// The items of a list when the request does not say how many.
const PAGE_DEFAULT: u64 = 100;
/// The most items of one page; 0 asks for all.
const PAGE_MAX: u64 = 10_000;
/// Stands for "all" in a LIMIT, and is the farthest a page may begin: more than any list can have.
const EVERYTHING: u64 = 1_000_000_000;

/// The parameters that narrow every read.
pub(super) const WINDOW: [&str; 2] = ["from", "to"];
/// The parameters of a page.
pub(super) const PAGING: [&str; 2] = ["limit", "offset"];

/// The query string of a request, each name known and given once.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    given: BTreeMap<String, String>,
}

/// A piece of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// As asked: 0 is all.
    pub(super) limit: u64,
    pub(super) offset: u64,
}

impl Page {
    /// Returns the number of items to read.
    pub(super) const fn items(self) -> u64 {
        if self.limit == 0 { EVERYTHING } else { self.limit }
    }

    /// Says whether items follow behind this page.
    pub(super) const fn has_more(self, total: u64) -> bool {
        self.limit != 0 && self.offset.saturating_add(self.limit) < total
    }
}

impl Arguments {
    /// Reads a query string; a name that is not among the known ones is a mistake that would change the answer.
    pub(super) fn parse(query: &str, known: &[&[&str]]) -> Result<Self, Failure> {
        let mut given = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).map_err(|error| Failure::invalid(error.to_string()))?;
            let value = decoded(value).map_err(|error| Failure::invalid(error.to_string()))?;
            if !known.concat().contains(&name.as_str()) {
                let known = known.concat();
                let known = if known.is_empty() { "it takes none".to_owned() } else { known.join(", ") };
                return Err(Failure::invalid(format!("the parameter `{name}` is not known here: {known}")));
            }
            if value.contains('\0') {
                return Err(Failure::invalid(format!("the parameter `{name}` holds a zero byte: leave it out")));
            }
            if given.insert(name.clone(), value).is_some() {
                return Err(Failure::invalid(format!("the parameter `{name}` is given twice: give it once")));
            }
        }
        Ok(Self { given })
    }

    /// Returns a parameter that is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the first given of several names of one parameter.
    pub(super) fn any_text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Returns a whole number, `None` where it is not given.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = |_| Failure::invalid(format!("`{name}` is a whole number from 0, it is `{text}`"));
        text.parse().map(Some).map_err(wrong)
    }

    /// Returns a whole number between bounds.
    pub(super) fn number_or(&self, name: &str, default: u64, max: u64) -> Result<u64, Failure> {
        let number = self.number(name)?.unwrap_or(default);
        if number > max {
            return Err(Failure::invalid(format!("`{name}` is at most {max}, it is {number}")));
        }
        Ok(number)
    }

    /// Returns a number from 0 that may have a fraction.
    pub(super) fn decimal_or(&self, name: &str, default: f64) -> Result<f64, Failure> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| Failure::invalid(format!("`{name}` is a number from 0, such as 2.5; it is `{text}`")))
    }

    /// Returns one of some words, the first of them where none is given.
    pub(super) fn word<'w>(&self, names: &[&str], words: &[&'w str]) -> Result<&'w str, Failure> {
        let Some(text) = self.any_text(names) else { return Ok(words[0]) };
        let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        found
            .copied()
            .ok_or_else(|| Failure::invalid(format!("`{}` is one of {}, it is `{text}`", names[0], words.join(", "))))
    }

    /// Returns the page asked for: `limit` and `offset`, or `page` (from 1) and `page_size`.
    pub(super) fn page(&self) -> Result<Page, Failure> {
        let size = if self.text("page_size").is_some() { "page_size" } else { "limit" };
        let limit = self.number_or(size, PAGE_DEFAULT, PAGE_MAX)?;
        let offset = match self.number_or("page", 0, EVERYTHING)? {
            0 => self.number_or("offset", 0, EVERYTHING)?,
            number => (number - 1).saturating_mul(limit).min(EVERYTHING),
        };
        Ok(Page { limit, offset })
    }

    /// Returns the hours asked for.
    pub(super) fn window(&self) -> Result<Window, Failure> {
        Window::parse(self.text("from"), self.text("to"))
    }

    /// Returns the signal asked for, in the catalogue's word.
    pub(super) fn signal(&self) -> Result<Option<&'static str>, Failure> {
        let Some(text) = self.text("signal_type") else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "metric" | "metrics" => Ok(Some("metrics")),
            "span" | "spans" | "trace" | "traces" => Ok(Some("traces")),
            "log" | "logs" => Ok(Some("logs")),
            _ => Err(Failure::invalid(format!("`signal_type` is one of metric, span, log, it is `{text}`"))),
        }
    }

    /// Returns the place of attributes asked for.
    pub(super) fn scope(&self) -> Result<Option<&'static str>, Failure> {
        if self.text("scope").is_none() {
            return Ok(None);
        }
        self.word(&["scope"], &["attribute", "resource", "scope", "event", "link"]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bad(query: &str, part: &str) {
        let read = |arguments: Arguments| {
            arguments.page()?;
            arguments.signal()?;
            arguments.window()
        };
        let error = Arguments::parse(query, &[&WINDOW, &PAGING, &["signal_type"]]).and_then(read).expect_err("wrong");
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
        let page = |query| Arguments::parse(query, &[&PAGING, &["page", "page_size"]]).and_then(|a| a.page());
        assert_eq!(page(""), Ok(Page { limit: 100, offset: 0 }));
        assert_eq!(page("limit=0&offset=7"), Ok(Page { limit: 0, offset: 7 }));
        assert_eq!(page("page=3&page_size=20"), Ok(Page { limit: 20, offset: 40 }));
        assert!(Page { limit: 2, offset: 1 }.has_more(4));
        assert!(!Page { limit: 2, offset: 2 }.has_more(4));
    }
}
