use std::path::PathBuf;

/// Where ClickHouse is, and who we are there.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// `http://127.0.0.1:8123`; empty: not known yet, [`super::Store::set_url`] tells it.
    pub url: String,
    /// The user that writes.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database of all tables, made when absent.
    pub database: String,
    /// PEM file of the authority, for https.
    pub ca_cert: Option<PathBuf>,
    /// The user for queries of users; `None`: the same as `user`, then only `readonly` guards.
    pub reader: Option<(String, String)>,
    /// The cluster's name in ClickHouse's configuration; `None`: one server.
    pub cluster: Option<String>,
    /// How bodies are compressed; `None`: not at all on loopback, where it only costs CPU, and zstd elsewhere.
    pub compression: Option<Compression>,
}

/// How the bodies of inserts and answers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 frames for inserts: a third of the bytes for little CPU; answers come plain.
    Lz4,
    /// Zstandard both ways: fewer bytes than LZ4, more CPU.
    Zstd,
}

impl StoreOptions {
    /// Returns how bodies are compressed at this address.
    pub(super) fn compression_at(&self, url: &reqwest::Url) -> Compression {
        self.compression.unwrap_or(if is_loopback(url) { Compression::None } else { Compression::Zstd })
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
