use std::fmt;

/// The label that holds a series' name.
pub const METRIC_NAME: &str = "__name__";

/// The labels of a series, by name; none is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Returns the text of a label, empty where it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.place(name).map_or("", |at| self.0[at].1.as_str())
    }

    /// Sets a label; an empty text removes it.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match (self.place(name), value.is_empty()) {
            (Ok(at), true) => drop(self.0.remove(at)),
            (Ok(at), false) => self.0[at].1 = value,
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (name.to_owned(), value)),
        }
    }

    /// Returns the labels with one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Returns the labels without the series' name.
    #[must_use]
    pub fn unnamed(&self) -> Self {
        self.without(&[])
    }

    /// Returns the labels without these and without the series' name.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        let is_kept = |name: &String| name != METRIC_NAME && !names.contains(name);
        Self(self.0.iter().filter(|(name, _)| is_kept(name)).cloned().collect())
    }

    /// Returns these labels only.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        Self(self.0.iter().filter(|(name, _)| names.contains(name)).cloned().collect())
    }

    /// Lists names and texts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.as_str().cmp(name))
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.set(name.as_ref(), value);
        }
        labels
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get(METRIC_NAME))?;
        f.write_str("{")?;
        let own = self.iter().filter(|(name, _)| *name != METRIC_NAME);
        for (at, (name, value)) in own.enumerate() {
            write!(f, "{}{name}={value:?}", if at == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}
