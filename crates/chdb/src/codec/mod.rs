//! The bodies' outer forms: HTTP's `Content-Encoding` and ClickHouse's own compressed blocks.
//!
//! | file | holds |
//! |---|---|
//! | `blocks.rs` | ClickHouse's blocks with their CityHash checksums (`compress=1`, `decompress=1`) |
//! | `decode.rs` | request bodies: encoded bytes in, plain bytes out |
//! | `encode.rs` | response bodies: plain pieces in, encoded pieces out |

pub(crate) mod blocks;
pub(crate) mod decode;
pub(crate) mod encode;

#[cfg(test)]
mod tests;

/// A `Content-Encoding` that both sides know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `gzip`.
    Gzip,
    /// `deflate`, which is zlib's form.
    Deflate,
    /// `zstd`.
    Zstd,
    /// `lz4`, frames.
    Lz4,
}

impl Encoding {
    /// Finds an encoding by its name in HTTP.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            "lz4" => Some(Self::Lz4),
            _ => None,
        }
    }

    /// Picks from an `Accept-Encoding` header, cheapest for the engine first.
    pub(crate) fn accepted(header: &str) -> Option<Self> {
        let offered: Vec<Self> = header
            .split(',')
            .filter(|item| !item.replace(' ', "").ends_with(";q=0"))
            .filter_map(|item| Self::named(item.split(';').next().unwrap_or_default()))
            .collect();
        [Self::Lz4, Self::Zstd, Self::Gzip, Self::Deflate].into_iter().find(|encoding| offered.contains(encoding))
    }

    /// Returns the encoding's name in HTTP.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }
}
