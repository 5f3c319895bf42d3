use std::collections::BTreeMap;

use crate::members::Members;
use crate::{Invalid, Json, json};

/// What models cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices(BTreeMap<String, Price>);

/// What a model costs, in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// What it reads.
    pub input: f64,
    /// What it reads, and has read before; where that has no price of its own, it costs as much.
    pub cached_input: Option<f64>,
    /// What it writes.
    pub output: f64,
}

/// The most that a million tokens may be said to cost: beyond it somebody mixed up the units.
const PRICE_MAX: f64 = 1e6;

impl Prices {
    /// Returns those that are known here; the file says where they are from, and of which day.
    pub fn known() -> Result<Self, Invalid> {
        Self::read(include_str!("prices.json"))
    }

    /// Reads a file of prices: `{"models": {"name": {"input": 1, "cached_input": 0.1, "output": 4}}}`.
    pub fn read(text: &str) -> Result<Self, Invalid> {
        let file = json::parse(text)?;
        let file = Members::of(&file, "")?;
        file.known(&["source", "date", "unit", "models"])?;
        let lacks = |place: String| Invalid::at(place, "it is missing", "send US dollars per million tokens");
        let models = file.get("models").ok_or_else(|| lacks("models".to_owned()))?;
        let mut prices = BTreeMap::new();
        Members::of(models, "models")?;
        for (name, price) in models.as_object().into_iter().flatten() {
            let price = Members::of(price, &format!("models.{name}"))?;
            price.known(&["input", "cached_input", "output"])?;
            let number = |member: &str| price.number(member, (0.0, PRICE_MAX));
            let input = number("input")?.ok_or_else(|| lacks(price.place_of("input")))?;
            let output = number("output")?.ok_or_else(|| lacks(price.place_of("output")))?;
            prices.insert(name.to_lowercase(), Price { input, cached_input: number("cached_input")?, output });
        }
        Ok(Self(prices))
    }

    /// Puts other prices over these.
    pub fn override_with(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Tells them in the form of a file of prices.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let models = self.0.iter().map(|(name, price)| {
            let cached = price.cached_input.map(|cached| ("cached_input", Json::number(cached)));
            let told = [("input", Json::number(price.input)), ("output", Json::number(price.output))];
            (name.clone(), Json::object(told.into_iter().chain(cached)))
        });
        let unit = ("unit".to_owned(), Json::text("US dollars per million tokens"));
        Json::object([unit, ("models".to_owned(), Json::object(models))])
    }

    /// Finds a model's price: by its name, and by its name without who offers it and without its date.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        let name = model.to_lowercase();
        let bare = name.rsplit(['/', '.']).next().filter(|bare| bare.starts_with("claude")).unwrap_or(&name);
        let bare = bare.rsplit('/').next().unwrap_or(bare);
        [name.as_str(), bare, undated(bare)].into_iter().find_map(|name| self.0.get(name)).copied()
    }
}

/// Cuts off what says which build of a model it is: `-2024-08-06`, `-20241022`, `-20241022-v2:0`, `@20241022`, `-latest`.
fn undated(name: &str) -> &str {
    let name = name.strip_suffix("-latest").unwrap_or(name);
    let is_build = |tail: &str| {
        let digits = tail.split(['v', ':', '-']).flat_map(str::chars);
        digits.clone().filter(char::is_ascii_digit).count() >= 8 && digits.clone().all(|c| c.is_ascii_digit())
    };
    let cuts = name.match_indices(['-', '@']);
    cuts.map(|(at, _)| at).find(|at| is_build(&name[at + 1..])).map_or(name, |at| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_price_is_found_whoever_offers_it() {
        let prices = Prices::known().expect("the file is read");
        let input = |name: &str| prices.of(name).map(|price| price.input);
        assert_eq!(input("gpt-4o"), Some(2.5));
        assert_eq!(input("openai/gpt-4o-mini-2024-07-18"), Some(0.15));
        assert_eq!(input("GPT-4.1"), Some(2.0));
        assert_eq!(input("claude-3-5-sonnet-latest"), Some(3.0));
        assert_eq!(input("us.anthropic.claude-3-5-haiku-20241022-v1:0"), Some(0.8));
        assert_eq!(input("claude-sonnet-4@20250514"), Some(3.0));
        assert_eq!(input("gpt-4o-audio-preview"), None);
        assert_eq!(input("my-own"), None);
        assert_eq!(input(""), None);
    }

    #[test]
    fn prices_are_put_over_others_and_wrong_ones_are_refused() {
        let mut prices = Prices::known().expect("the file is read");
        let others =
            Prices::read(r#"{"models": {"My-Own": {"input": 1, "output": 2}, "gpt-4o": {"input": 9, "output": 9}}}"#);
        prices.override_with(others.expect("prices"));
        assert_eq!(prices.of("my-own"), Some(Price { input: 1.0, cached_input: None, output: 2.0 }));
        assert_eq!(prices.of("gpt-4o").map(|price| price.input), Some(9.0));
        assert_eq!(Prices::read(&prices.to_json().to_string()), Ok(prices), "they are told as they are read");
        let wrong = Prices::read(r#"{"models": {"x": {"input": -1, "output": 2}}}"#).expect_err("a negative price");
        assert_eq!(wrong.to_string(), "models.x.input: -1 is out of range; send 0 to 1000000");
    }
}
