use tidegate_model::UnixNanos;

use crate::error::shown;
use crate::moment::read_moment;
use crate::{Invalid, Json, Object};

/// The members of an object of a request, read by name; what is wrong is told with its place.
pub(crate) struct Members<'j> {
    object: &'j Object,
    place: String,
}

impl<'j> Members<'j> {
    /// Takes an object, or says what else stands there.
    pub(crate) fn of(value: &'j Json, place: &str) -> Result<Self, Invalid> {
        let object = value.as_object().ok_or_else(|| {
            Invalid::at(place, format!("{} stands where an object is expected", value.kind()), "send an object")
        })?;
        Ok(Self { object, place: place.to_owned() })
    }

    /// Refuses members that are not among these.
    pub(crate) fn known(&self, names: &[&str]) -> Result<(), Invalid> {
        match self.object.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Invalid::at(
                self.place_of(&shown(name)),
                format!("unknown field `{}`", shown(name)),
                format!("there are {}", names.join(", ")),
            )),
        }
    }

    /// Returns a member; `null` is as none.
    pub(crate) fn get(&self, name: &str) -> Option<&'j Json> {
        self.object.get(name).filter(|value| **value != Json::Null)
    }

    /// Returns the path to a member.
    pub(crate) fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Returns a text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'j str>, Invalid> {
        self.typed(name, "a text", Json::as_text)
    }

    /// Returns a list.
    pub(crate) fn list(&self, name: &str) -> Result<&'j [Json], Invalid> {
        Ok(self.typed(name, "an array", Json::as_list)?.unwrap_or_default())
    }

    /// Returns a boolean.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        self.typed(name, "a boolean", |value| if let Json::Bool(flag) = value { Some(*flag) } else { None })
    }

    /// Returns a number within bounds.
    pub(crate) fn number(&self, name: &str, (low, high): (f64, f64)) -> Result<Option<f64>, Invalid> {
        let number = self.typed(name, "a number", Json::as_number)?;
        match number.filter(|number| !(low..=high).contains(number)) {
            None => Ok(number),
            Some(number) => Err(Invalid::at(
                self.place_of(name),
                format!("{number} is out of range"),
                format!("send {low} to {high}"),
            )),
        }
    }

    /// Returns a whole number within bounds.
    pub(crate) fn whole(&self, name: &str, bounds: (u32, u32)) -> Result<Option<u32>, Invalid> {
        let Some(number) = self.number(name, (f64::from(bounds.0), f64::from(bounds.1)))? else { return Ok(None) };
        let whole = format!("{number:.0}").parse::<u32>().ok().filter(|whole| f64::from(*whole) == number);
        whole.map(Some).ok_or_else(|| {
            Invalid::at(self.place_of(name), format!("{number} is no whole number"), "send one without a fraction")
        })
    }

    /// Returns a time.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<UnixNanos>, Invalid> {
        self.get(name).map(|value| read_moment(value, &self.place_of(name))).transpose()
    }

    /// Returns a text that a reader takes.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        read: impl Fn(&str, &str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        self.text(name)?.map(|text| read(text, &self.place_of(name))).transpose()
    }

    fn typed<T>(&self, name: &str, wanted: &str, take: impl Fn(&'j Json) -> Option<T>) -> Result<Option<T>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        take(value).map(Some).ok_or_else(|| {
            let problem = format!("{} stands where {wanted} is expected", value.kind());
            Invalid::at(self.place_of(name), problem, format!("send {wanted}"))
        })
    }
}
