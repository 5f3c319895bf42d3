use crate::error::shown;
use crate::members::Members;
use crate::{Invalid, Json};

/// Specs of one request: each keeps the values of every trace of the window.
const SPECS_MAX: usize = 50;
/// Bins of one histogram.
const BINS_MAX: u32 = 10_000;

/// What is told of the values at one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What kind of values they are; others are left out.
    pub kind: MetricType,
    /// Where they stand in the attributes.
    pub path: String,
    /// Bins of the histogram; otherwise the root of the count, rounded up.
    pub bins: Option<u32>,
    /// Where the histogram begins; otherwise at the smallest value.
    pub vmin: Option<f64>,
    /// Where it ends; otherwise at the largest.
    pub vmax: Option<f64>,
    /// Whether these are the edges of the outer bins, or their middles.
    pub is_edge: bool,
}

/// Kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Numbers that are hardly ever equal.
    NumericContinuous,
    /// Numbers that often are.
    NumericDiscrete,
    /// Yes or no.
    Binary,
    /// One of some words.
    CategoricalSingle,
    /// Several of them.
    CategoricalMultiple,
    /// Texts, which are counted.
    String,
    /// Anything, which is counted.
    Json,
}

const TYPES: &[(&str, MetricType)] = &[
    ("numeric/continuous", MetricType::NumericContinuous),
    ("numeric/discrete", MetricType::NumericDiscrete),
    ("binary", MetricType::Binary),
    ("categorical/single", MetricType::CategoricalSingle),
    ("categorical/multiple", MetricType::CategoricalMultiple),
    ("string", MetricType::String),
    ("json", MetricType::Json),
];

impl MetricType {
    /// Returns how requests name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("json", |(name, _)| name)
    }
}

impl Spec {
    /// Returns a spec without options.
    #[must_use]
    pub fn of(kind: MetricType, path: &str) -> Self {
        Self { kind, path: path.to_owned(), bins: None, vmin: None, vmax: None, is_edge: true }
    }

    /// Reads the specs of a request; without any, the default ones.
    pub fn read_all(list: Option<&Json>, place: &str) -> Result<Vec<Self>, Invalid> {
        let Some(list) = list.filter(|list| **list != Json::Null) else { return Ok(default_specs()) };
        let specs = list.as_list().ok_or_else(|| {
            Invalid::at(place, format!("{} stands where an array is expected", list.kind()), "send an array of specs")
        })?;
        if specs.is_empty() || specs.len() > SPECS_MAX {
            let problem = format!("it has {} specs", specs.len());
            return Err(Invalid::at(place, problem, format!("send 1 to {SPECS_MAX}, or none for the default ones")));
        }
        let read: Vec<Self> = specs
            .iter()
            .enumerate()
            .map(|(index, spec)| Self::read(spec, &format!("{place}[{index}]")))
            .collect::<Result<_, _>>()?;
        for (index, spec) in read.iter().enumerate() {
            if read[..index].iter().any(|before| before.path == spec.path) {
                let problem = format!("`{}` stands twice", shown(&spec.path));
                return Err(Invalid::at(format!("{place}[{index}].path"), problem, "ask for each path once"));
            }
        }
        Ok(read)
    }

    fn read(spec: &Json, place: &str) -> Result<Self, Invalid> {
        let members = Members::of(spec, place)?;
        members.known(&["type", "path", "bins", "vmin", "vmax", "edge"])?;
        let lacks = |name: &str, help: String| Invalid::at(members.place_of(name), "it is missing", help);
        let known = || TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let word = members.text("type")?.ok_or_else(|| lacks("type", format!("it is one of {}", known())))?;
        let kind = TYPES.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind).ok_or_else(|| {
            Invalid::at(
                members.place_of("type"),
                format!("`{}` is none", shown(word)),
                format!("it is one of {}", known()),
            )
        })?;
        let path = members.text("path")?.filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| {
            lacks("path", "name an attribute, as `attributes.ag.metrics.tokens.cumulative.total`".to_owned())
        })?;
        let all = (f64::MIN, f64::MAX);
        let (vmin, vmax) = (members.number("vmin", all)?, members.number("vmax", all)?);
        if let (Some(low), Some(high)) = (vmin, vmax)
            && low > high
        {
            return Err(Invalid::at(
                members.place_of("vmin"),
                format!("{low} is above `vmax`, {high}"),
                "send the lower one as `vmin`",
            ));
        }
        Ok(Self {
            kind,
            path: path.to_owned(),
            bins: members.whole("bins", (1, BINS_MAX))?,
            vmin,
            vmax,
            is_edge: members.flag("edge")?.unwrap_or(true),
        })
    }
}

/// What is told where nobody asks for anything else.
#[must_use]
pub fn default_specs() -> Vec<Spec> {
    let numbers = ["duration.cumulative", "errors.cumulative", "costs.cumulative.total", "tokens.cumulative.total"];
    let numbers = numbers.map(|path| Spec::of(MetricType::NumericContinuous, &format!("attributes.ag.metrics.{path}")));
    let words = ["trace", "span"];
    let words = words.map(|path| Spec::of(MetricType::CategoricalSingle, &format!("attributes.ag.type.{path}")));
    numbers.into_iter().chain(words).collect()
}
