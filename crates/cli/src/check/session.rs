//! Saved sessions: one to compare with, and what was observed saved as one.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_model::limits::CATALOG_SESSION_BYTES_MAX;

use crate::client::{Client, encoded};

/// What is compared with.
#[derive(Debug)]
pub(super) enum Baseline {
    /// A session that the server has.
    Named(String),
    /// A session's file, and the name in it.
    File { name: String, bytes: Vec<u8> },
}

impl Baseline {
    /// Finds out what is meant: with a server a session's name means its session, everything else is a file.
    pub(super) fn open(text: &str, has_server: bool) -> Result<Self> {
        let is_name = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if has_server && is_name {
            return Ok(Self::Named(text.to_owned()));
        }
        let opened = || -> Result<Self> {
            let bytes = std::fs::read(text).context("open the file")?;
            let (name, _) = renamed(&bytes, "any")?;
            Ok(Self::File { name, bytes })
        };
        opened().with_context(|| format!("the session {text} (`tidegate check --save FILE` makes such a file)"))
    }
}

/// Gives a session's file another name; returns the one that it had, and the file.
///
/// The file is gzip, and begins with a line of JSON that has the name as `id`; what follows is only the server's.
fn renamed(bytes: &[u8], name: &str) -> Result<(String, Vec<u8>)> {
    let plain = MultiGzDecoder::new(bytes).take(CATALOG_SESSION_BYTES_MAX + 1);
    let (mut lines, mut line) = (BufReader::new(plain), String::new());
    lines.read_line(&mut line).context("it is not a session's file: these are gzip")?;
    let mut header: Value = serde_json::from_str(&line).context("it is not a session's file: its first line")?;
    let had = header["id"].as_str().context("it is not a session's file: it has no `id`")?.to_owned();
    header["id"] = json!(name);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    serde_json::to_writer(&mut encoder, &header)?;
    if line.ends_with('\n') {
        encoder.write_all(b"\n")?;
    }
    let copied = std::io::copy(&mut lines, &mut encoder).context("it is not whole")?;
    let most = CATALOG_SESSION_BYTES_MAX;
    ensure!(copied + line.len() as u64 <= most, "it holds more than {most} bytes");
    Ok((had, encoder.finish()?))
}

/// Asks what changed since a session.
pub(super) async fn compare(client: &Client, baseline: &Baseline, service: Option<&str>) -> Result<Value> {
    match baseline {
        Baseline::Named(name) => difference(client, name, service).await,
        Baseline::File { name, bytes } => {
            let borrowed = passing_name();
            let (_, bytes) = renamed(bytes, &borrowed)?;
            let import = client.request(Method::POST, "/api/v1/sessions/import");
            let import = import.header("content-type", "application/gzip").body(bytes);
            client.send(import).await.context("give the session to the server")?;
            let told = difference(client, &borrowed, service).await;
            remove(client, &borrowed).await?;
            let mut told = told?;
            told["from"] = json!(name);
            Ok(told)
        }
    }
}

async fn difference(client: &Client, from: &str, service: Option<&str>) -> Result<Value> {
    let service = service.map(|name| ("service", name.to_owned()));
    let asked: Vec<_> = [("from", from.to_owned()), ("to", "live".to_owned())].into_iter().chain(service).collect();
    client.get("/api/v1/sessions/diff", &asked).await
}

/// Saves what the server's catalogue tells now as a session's file; the file's name gives the session's.
pub(super) async fn save(client: &Client, path: &Path, service: Option<&str>) -> Result<()> {
    let borrowed = passing_name();
    let services: Vec<&str> = service.into_iter().collect();
    let wanted = json!({ "name": borrowed, "description": "saved by tidegate check", "services": services });
    client.post::<Value>("/api/v1/sessions", &wanted).await.context("save the session")?;
    let request = client.request(Method::GET, &format!("/api/v1/sessions/{borrowed}/export"));
    let exported = match client.send(request).await {
        Ok(answer) => answer.bytes().await.map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    remove(client, &borrowed).await?;
    let (_, bytes) = renamed(&exported.context("read the saved session")?, &session_name(path)?)?;
    write(path, &bytes).with_context(|| format!("write {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(std::fs::rename(draft, path)?)
}

/// Returns the session's name for a file such as `before-release.json.gz`.
pub(super) fn session_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.trim_end_matches(".gz").trim_end_matches(".json");
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 128 || !name.bytes().all(is_good) {
        bail!(
            "{} cannot be a session: its name is the session's, of a-z, 0-9 and -, such as before-release.json.gz",
            path.display()
        );
    }
    Ok(name.to_owned())
}

async fn remove(client: &Client, name: &str) -> Result<()> {
    let request = client.request(Method::DELETE, &format!("/api/v1/sessions/{}", encoded(name)));
    client.send(request).await.with_context(|| format!("remove the session `{name}` again"))?;
    Ok(())
}

/// A name that is the server's for as long as this process asks.
fn passing_name() -> String {
    format!("tidegate-check-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_session_changes() {
        for rest in ["", "\n", "\n{\"catalog_signals\":[1]}\n"] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(format!("{{\"format\":2,\"id\":\"main\"}}{rest}").as_bytes()).expect("a Vec takes all");
            let file = encoder.finish().expect("a Vec takes all");
            let (had, file) = renamed(&file, "other").expect("a session");
            let mut text = String::new();
            MultiGzDecoder::new(file.as_slice()).read_to_string(&mut text).expect("gzip");
            assert_eq!((had.as_str(), text), ("main", format!("{{\"format\":2,\"id\":\"other\"}}{rest}")));
        }
        assert!(renamed(b"{\"id\":\"main\"}", "other").is_err_and(|error| error.to_string().contains("gzip")));
    }

    #[test]
    fn a_file_names_its_session() {
        let name = |path: &str| session_name(Path::new(path)).ok();
        assert_eq!(name("a/before-release.json.gz").as_deref(), Some("before-release"));
        assert_eq!(name("main").as_deref(), Some("main"));
        assert_eq!([name("Before.json"), name(".json"), name("a_b.json.gz"), name("..")], [None, None, None, None]);
    }
}
