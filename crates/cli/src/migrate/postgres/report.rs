use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tidegate_server::hmac_sha256;

/// A key that is shorter can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// Where the report of a comparison goes, and what signs it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Signing {
    /// Write the comparison to this file as JSON, with its SHA-256
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Sign the report with this key (HMAC-SHA256)
    #[arg(long, value_name = "FILE", requires = "report")]
    sign_key_file: Option<PathBuf>,
}

/// Writes a report: the comparison as text, so that it can be hashed letter by letter, and its signature.
pub(super) fn write(signing: &Signing, comparison: &impl Serialize) -> Result<()> {
    let Some(path) = &signing.report else { return Ok(()) };
    let text = serde_json::to_string(comparison)?;
    let mut report = json!({ "comparison": text, "sha256": hex::encode(Sha256::digest(&text)) });
    if let Some(key_file) = &signing.sign_key_file {
        let key = fs::read(key_file).with_context(|| format!("read the key {}", key_file.display()))?;
        let key = key.trim_ascii();
        ensure!(key.len() >= KEY_BYTES_MIN, "the key {} has fewer than {KEY_BYTES_MIN} bytes", key_file.display());
        report["hmacSha256"] = json!(hmac_sha256(key, &[text.as_bytes()]));
    }
    fs::write(path, format!("{report:#}\n")).with_context(|| format!("write the report {}", path.display()))
}
