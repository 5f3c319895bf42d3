use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};
use tidegate_core::objects::{Bucket, BucketOptions};
use tidegate_load::free_addresses;

use crate::eventually;

const BUCKET: &str = "rows";

/// An S3 server with an empty bucket; it goes with the test, and what it holds.
pub(super) struct S3 {
    process: Child,
    pub(super) address: SocketAddr,
}

impl S3 {
    /// Installs the server if it is not, and starts it.
    pub(super) async fn start() -> Result<Self> {
        // Fails when it was called before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/install.sh");
        let installed = tokio::process::Command::new(script).stderr(Stdio::inherit()).output().await?;
        ensure!(
            installed.status.success(),
            "the S3 server of the tests cannot be installed; python3 with venv is needed"
        );
        let program = String::from_utf8(installed.stdout)?;
        let [address] = free_addresses::<1>()?;
        let port = address.port().to_string();
        let process = Command::new(program.trim())
            .args(["--host", "127.0.0.1", "--port", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { process, address };
        let url = format!("http://{address}/{BUCKET}");
        let made =
            async || Ok(reqwest::Client::new().put(&url).send().await.is_ok_and(|answer| answer.status().is_success()));
        eventually("the S3 server answers", made).await?;
        Ok(server)
    }

    /// Returns the settings that name the bucket, by this way to it.
    pub(super) fn settings(&self, way: SocketAddr) -> Vec<(String, String)> {
        let settings = [
            ("TIDEGATE_S3__ENDPOINT", format!("http://{way}")),
            ("TIDEGATE_S3__BUCKET", BUCKET.to_owned()),
            ("TIDEGATE_S3__PREFIX", "tide/gate".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Lists the keys of all objects.
    pub(super) async fn keys(&self) -> Result<Vec<String>> {
        let url = format!("http://{}/{BUCKET}?list-type=2", self.address);
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        Ok(keys.map(|(key, _)| key.to_owned()).collect())
    }

    /// Reads an object, past the server.
    pub(super) async fn read(&self, key: &str) -> Result<Vec<u8>> {
        Ok(self.bucket()?.get(key).await?.to_vec())
    }

    /// Overwrites an object, past the server.
    pub(super) async fn write(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        Ok(self.bucket()?.put(key, bytes.into()).await?)
    }

    fn bucket(&self) -> Result<Bucket> {
        let options = BucketOptions {
            endpoint: format!("http://{}", self.address),
            region: "here".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
            path_style: true,
        };
        Ok(Bucket::new(options)?)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It is gone already when these fail; a test's end has nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
