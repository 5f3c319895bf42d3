/// What a variable looks like; it names the variable in a text and never takes part in an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Digits, with sign, point or percent.
    Num,
    /// `0x…`, or eight and more hexadecimal digits.
    Hex,
    /// IPv4 or IPv6, a port included.
    Ip,
    /// Eight, four, four, four and twelve hexadecimal digits.
    Uuid,
    /// Six pairs of hexadecimal digits.
    Mac,
    /// A date, a time of day, or both.
    Timestamp,
    /// A number with a unit of time.
    Duration,
    /// A number with a unit of bytes.
    Size,
    /// A path of files, or of a URL without its host.
    Path,
    /// A scheme, `://`, and what follows.
    Url,
    /// A name, `@` and a host.
    Email,
    /// A host with a port.
    Host,
    /// `true`, `false`, `null` as the value of a key.
    Flag,
    /// Any other word with a digit in it, or several values in a row.
    Id,
    /// A word that turned out to vary.
    Word,
}

const BUILT_IN: [(Kind, &str); 14] = [
    (Kind::Num, "NUM"),
    (Kind::Hex, "HEX"),
    (Kind::Ip, "IP"),
    (Kind::Uuid, "UUID"),
    (Kind::Mac, "MAC"),
    (Kind::Timestamp, "TIMESTAMP"),
    (Kind::Duration, "DURATION"),
    (Kind::Size, "SIZE"),
    (Kind::Path, "PATH"),
    (Kind::Url, "URL"),
    (Kind::Email, "EMAIL"),
    (Kind::Host, "HOST"),
    (Kind::Flag, "FLAG"),
    (Kind::Id, "ID"),
];

/// Returns the names of all built-in kinds, for a person.
pub(crate) fn built_in_names() -> String {
    BUILT_IN.map(|(_, name)| name).join(", ")
}

impl Kind {
    /// Returns the built-in kind of that name, in any case.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(kind, _)| *kind)
    }

    fn bit(self) -> u8 {
        match self {
            Self::Num => 0,
            Self::Hex => 1,
            Self::Ip => 2,
            Self::Uuid => 3,
            Self::Mac => 4,
            Self::Timestamp => 5,
            Self::Duration => 6,
            Self::Size => 7,
            Self::Path => 8,
            Self::Url => 9,
            Self::Email => 10,
            Self::Host => 11,
            Self::Flag => 12,
            Self::Id => 13,
            Self::Word => 14,
        }
    }
}

/// A set of kinds; sets unite, so that what a variable is called does not depend on the order of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(pub(crate) u32);

impl Kinds {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn unite(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn holds(self, kind: Kind) -> bool {
        self.0 & Self::from(kind).0 != 0
    }

    /// Names the variable: the one kind that all its values had, else `*`.
    pub(crate) fn name(self) -> &'static str {
        if self.0.count_ones() != 1 || self.holds(Kind::Id) {
            return "*";
        }
        BUILT_IN.iter().find(|(kind, _)| self.holds(*kind)).map_or("*", |(_, name)| *name)
    }
}

impl From<Kind> for Kinds {
    #[inline]
    fn from(kind: Kind) -> Self {
        Self(1 << kind.bit())
    }
}
