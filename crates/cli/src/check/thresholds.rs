use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// From which number on something is a warning, and from which it fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fail: Option<u64>,
}

/// Makes the thresholds that are one number each, with what they are about.
macro_rules! thresholds {
    ($($(#[doc = $doc:literal])+ $name:ident = $limits:expr,)+) => {
        /// What is allowed. A name that is missing in a file has its default.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct Thresholds {
            $($(#[doc = $doc])+ pub(super) $name: Limits,)+
            /// Other limits for the distinct values of one attribute.
            pub(super) attribute: BTreeMap<String, Limits>,
            /// Other limits for the series of one metric.
            pub(super) metric: BTreeMap<String, Limits>,
            /// Attributes that must not come.
            pub(super) forbidden_attributes: Vec<String>,
            /// Attributes that should not come.
            pub(super) discouraged_attributes: Vec<String>,
        }

        impl Default for Thresholds {
            fn default() -> Self {
                Self {
                    $($name: $limits,)+
                    attribute: BTreeMap::new(),
                    metric: BTreeMap::new(),
                    forbidden_attributes: Vec::new(),
                    discouraged_attributes: Vec::new(),
                }
            }
        }

        impl Thresholds {
            const NAMES: &[&str] = &[$(stringify!($name)),+];

            fn by_name(&mut self, name: &str) -> Option<&mut Limits> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

thresholds! {
    /// Distinct values of an attribute.
    attribute_cardinality = Limits { warn: Some(1_000), fail: Some(10_000) },
    /// Series of a metric.
    metric_series = Limits { warn: Some(1_000), fail: Some(10_000) },
    /// Series of all metrics together.
    active_series = Limits { warn: None, fail: None },
    /// Names of metrics.
    metrics = Limits { warn: None, fail: None },
    /// Names of spans.
    span_names = Limits { warn: Some(1_000), fail: Some(10_000) },
    /// Templates of log bodies.
    log_templates = Limits { warn: Some(1_000), fail: Some(10_000) },
    /// Keys of attributes.
    attributes = Limits { warn: None, fail: None },
    /// Names of services.
    services = Limits { warn: None, fail: None },
    /// Log records, spans and data points.
    samples = Limits { warn: None, fail: None },
    /// Bytes of names, bodies and attributes as text.
    bytes = Limits { warn: None, fail: None },
    /// Records that were refused.
    rejected = Limits { warn: Some(1), fail: None },
}

/// A threshold of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) number: u64,
}

/// Reads `NAME=NUMBER`; a name may hold `=`, as an attribute's may.
pub(super) fn given(text: &str) -> Result<Given, String> {
    let (name, number) = text.rsplit_once('=').ok_or("write it as NAME=NUMBER, such as metric_series=500")?;
    let number = number.replace('_', "").parse().map_err(|_| format!("`{number}` is not a whole number"))?;
    Ok(Given { name: name.to_owned(), number })
}

impl Thresholds {
    /// Lays flags over a file over the defaults; what a flag names is as the flags say, and nothing else of it is kept.
    pub(super) fn load(file: Option<&Path>, warn: &[Given], fail: &[Given]) -> Result<Self, String> {
        let mut thresholds = match file {
            Some(path) => read(path)?,
            None => Self::default(),
        };
        let mut named: BTreeMap<&str, Limits> = BTreeMap::new();
        for Given { name, number } in warn {
            named.entry(name).or_default().warn = Some(*number);
        }
        for Given { name, number } in fail {
            named.entry(name).or_default().fail = Some(*number);
        }
        for (name, limits) in named {
            *thresholds.slot(name)? = limits;
        }
        thresholds.check()?;
        Ok(thresholds)
    }

    /// Returns the limits of an attribute.
    pub(super) fn of_attribute(&self, key: &str) -> Limits {
        self.attribute.get(key).copied().unwrap_or(self.attribute_cardinality)
    }

    /// Returns the limits of a metric.
    pub(super) fn of_metric(&self, name: &str) -> Limits {
        self.metric.get(name).copied().unwrap_or(self.metric_series)
    }

    fn slot(&mut self, name: &str) -> Result<&mut Limits, String> {
        if let Some(key) = name.strip_prefix("attribute.").filter(|key| !key.is_empty()) {
            return Ok(self.attribute.entry(key.to_owned()).or_default());
        }
        if let Some(metric) = name.strip_prefix("metric.").filter(|metric| !metric.is_empty()) {
            return Ok(self.metric.entry(metric.to_owned()).or_default());
        }
        let known = Self::NAMES.join(", ");
        let unknown = format!("there is no threshold `{name}`; there are {known}, attribute.KEY and metric.NAME");
        self.by_name(name).ok_or(unknown)
    }

    fn check(&mut self) -> Result<(), String> {
        let of_one = self.attribute.iter().map(|(key, limits)| (format!("attribute.{key}"), *limits));
        let of_one = of_one.chain(self.metric.iter().map(|(name, limits)| (format!("metric.{name}"), *limits)));
        let mut all: Vec<(String, Limits)> = of_one.collect();
        all.extend(Self::NAMES.iter().filter_map(|name| Some(((*name).to_owned(), *self.by_name(name)?))));
        for (name, limits) in all {
            if [limits.warn, limits.fail].contains(&Some(0)) {
                return Err(format!("the threshold {name} is reached by nothing at all: it must be at least 1"));
            }
            if let (Some(warn), Some(fail)) = (limits.warn, limits.fail)
                && warn > fail
            {
                return Err(format!("the threshold {name} fails at {fail}, so it never warns at {warn}: lower `warn`"));
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Thresholds, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the file of thresholds {shown} cannot be read: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("in the file of thresholds {shown}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(file: &str, warn: &[&str], fail: &[&str]) -> Result<Thresholds, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("check.toml");
        std::fs::write(&path, file).map_err(|error| error.to_string())?;
        let read = |texts: &[&str]| texts.iter().map(|text| given(text)).collect::<Result<Vec<_>, _>>();
        Thresholds::load(Some(&path), &read(warn)?, &read(fail)?)
    }

    #[test]
    fn flags_lie_over_the_file_and_that_over_the_defaults() {
        let file = "metric_series = { fail = 7 }\nforbidden_attributes = [\"user.email\"]\n[attribute.\"user.id\"]\nwarn = 50\n";
        let thresholds = loaded(file, &["attribute.a=b=3"], &["attribute_cardinality=20_000"]).expect("right");
        assert_eq!(thresholds.of_metric("any"), Limits { warn: None, fail: Some(7) });
        assert_eq!(thresholds.of_attribute("any"), Limits { warn: None, fail: Some(20_000) });
        assert_eq!(thresholds.of_attribute("user.id"), Limits { warn: Some(50), fail: None });
        assert_eq!(thresholds.of_attribute("a=b"), Limits { warn: Some(3), fail: None });
        assert_eq!(thresholds.span_names, Thresholds::default().span_names);
        assert_eq!(thresholds.forbidden_attributes, ["user.email"]);
    }

    #[test]
    fn a_wrong_threshold_is_named() {
        let told = |file, warn: &[&str], fail: &[&str]| loaded(file, warn, fail).expect_err("wrong");
        assert!(told("metric_serie = { fail = 7 }", &[], &[]).contains("unknown field `metric_serie`"));
        assert!(told("metric_series = { max = 7 }", &[], &[]).contains("unknown field `max`"));
        assert!(told("metric_series = 7", &[], &[]).contains("in the file of thresholds"));
        assert!(told("", &["serie=3"], &[]).contains("there is no threshold `serie`; there are attribute_cardinality"));
        assert!(told("", &["metrics"], &[]).contains("NAME=NUMBER"));
        assert!(told("", &[], &["metrics=many"]).contains("`many` is not a whole number"));
        assert!(told("", &["metrics=0"], &[]).contains("at least 1"));
        assert!(told("", &["metrics=9"], &["metrics=8"]).contains("never warns at 9"));
    }
}
