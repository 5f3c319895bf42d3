use crate::error::shown;
use crate::{Invalid, Json};

/// A way into JSON, from the outside to the inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

/// One step of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a member.
    Name(String),
    /// Into an element, counted from 0.
    Index(u32),
}

/// Steps of a path: attributes are not nested deeper than JSON may be.
const STEPS_MAX: usize = crate::json::DEPTH_MAX;

impl Path {
    /// Reads `a.b.c`, all of it names.
    #[must_use]
    pub fn dotted(text: &str) -> Self {
        Self(text.split('.').map(|name| Step::Name(name.to_owned())).collect())
    }

    /// Reads a key as requests have it: `"a.b"`, or `["a", "b.c", 0]` where names have dots or elements are meant.
    pub fn read(key: &Json, place: &str) -> Result<Self, Invalid> {
        let path = match key {
            Json::Text(text) if !text.is_empty() => Self::dotted(text),
            Json::List(steps) if !steps.is_empty() => {
                let steps = steps.iter().enumerate().map(|(at, step)| step_of(step, &format!("{place}[{at}]")));
                Self(steps.collect::<Result<_, _>>()?)
            }
            other => {
                let problem = format!("`{}` is no path", shown(&other.to_string()));
                return Err(Invalid::at(
                    place,
                    problem,
                    "send names with dots between them, or a list of names and indices",
                ));
            }
        };
        if path.0.len() > STEPS_MAX {
            let problem = format!("the path has {} steps", path.0.len());
            return Err(Invalid::at(place, problem, format!("send up to {STEPS_MAX}")));
        }
        Ok(path)
    }

    /// Finds what stands there; `null` is nothing.
    #[must_use]
    pub fn find<'j>(&self, value: &'j Json) -> Option<&'j Json> {
        let found = self.0.iter().try_fold(value, |value, step| match (step, value) {
            (Step::Name(name), Json::Object(members)) => members.get(name),
            (Step::Index(index), Json::List(elements)) => elements.get(usize::try_from(*index).ok()?),
            _ => None,
        });
        found.filter(|value| **value != Json::Null)
    }
}

fn step_of(step: &Json, place: &str) -> Result<Step, Invalid> {
    match step {
        Json::Text(name) => Ok(Step::Name(name.clone())),
        Json::Number(number) => {
            let index = number.as_str().parse().ok().filter(|index| *index < u32::MAX);
            index.map(Step::Index).ok_or_else(|| {
                Invalid::at(place, format!("`{}` is no index", number.as_str()), "indices are whole numbers from 0")
            })
        }
        other => Err(Invalid::at(place, format!("{} is no step", other.kind()), "send a name or an index")),
    }
}
