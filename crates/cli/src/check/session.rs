//! Saved sessions: one to compare with, and what was observed saved as one.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_model::limits::CATALOG_SESSION_BYTES_MAX;

use crate::client::{Client, encoded};

const GZIP: &[u8] = &[0x1f, 0x8b];

/// What is compared with.
#[derive(Debug)]
pub(super) enum Baseline {
    /// A session that the server has.
    Named(String),
    /// A session's file, and the name in it.
    File { name: String, content: Value },
}

impl Baseline {
    /// Finds out what is meant: with a server a session's name means its session, everything else is a file.
    pub(super) fn open(text: &str, has_server: bool) -> Result<Self> {
        let is_name = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if has_server && is_name {
            return Ok(Self::Named(text.to_owned()));
        }
        let content = read(Path::new(text))
            .with_context(|| format!("the session {text} (`tidegate check --save FILE` makes such a file)"))?;
        let name = content["id"].as_str().context("it has no `id`, so it is not a session's file")?.to_owned();
        Ok(Self::File { name, content })
    }
}

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).context("open the file")?;
    let mut text = Vec::new();
    if bytes.starts_with(GZIP) {
        let decoder = flate2::read::GzDecoder::new(bytes.as_slice());
        decoder.take(CATALOG_SESSION_BYTES_MAX + 1).read_to_end(&mut text).context("inflate it")?;
        ensure!(text.len() as u64 <= CATALOG_SESSION_BYTES_MAX, "it holds more than {CATALOG_SESSION_BYTES_MAX} bytes");
    } else {
        text = bytes;
    }
    serde_json::from_slice(&text).context("it is not JSON, so it is not a session's file")
}

/// Asks what changed since a session.
pub(super) async fn compare(client: &Client, baseline: &Baseline, service: Option<&str>) -> Result<Value> {
    match baseline {
        Baseline::Named(name) => difference(client, name, service).await,
        Baseline::File { name, content } => {
            let borrowed = passing_name();
            let mut content = content.clone();
            content["id"] = json!(borrowed);
            client
                .post::<Value>("/api/v1/sessions/import", &content)
                .await
                .context("give the session to the server")?;
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
    let mut content: Value = {
        let bytes = exported.context("read the saved session")?;
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_ref()).read_to_end(&mut text).context("inflate the saved session")?;
        serde_json::from_slice(&text).context("read the saved session")?
    };
    content["id"] = json!(session_name(path)?);
    write(path, &content).with_context(|| format!("write {}", path.display()))
}

fn write(path: &Path, content: &Value) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(&draft)?, flate2::Compression::default());
    serde_json::to_writer(&mut encoder, content)?;
    encoder.finish()?.sync_all()?;
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
    fn a_file_names_its_session() {
        let name = |path: &str| session_name(Path::new(path)).ok();
        assert_eq!(name("a/before-release.json.gz").as_deref(), Some("before-release"));
        assert_eq!(name("main").as_deref(), Some("main"));
        assert_eq!([name("Before.json"), name(".json"), name("a_b.json.gz"), name("..")], [None, None, None, None]);
    }
}
