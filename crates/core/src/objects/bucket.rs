use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use sha2::{Digest, Sha256};
use tidegate_model::limits::{
    S3_CONNECT_MS, S3_PIECE_BYTES, S3_PIECES_MAX, S3_REQUEST_MS, S3_RETRIES_MAX, S3_RETRY_FIRST_MS, S3_RETRY_MS,
    S3_RETRY_PAUSE_MAX_MS, S3_TEXT_BYTES_MAX,
};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ObjectError;

/// Where a bucket is, and who asks for it.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketOptions {
    /// The server's address.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with; empty: nothing.
    pub prefix: String,
    /// Who asks.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Whether the bucket is in the path, not in the host's name.
    pub path_style: bool,
}

/// A bucket, below a prefix; clones share its connections.
#[derive(Clone)]
pub struct Bucket {
    client: Arc<AmazonS3>,
    options: Arc<BucketOptions>,
}

/// How long something is, and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summed {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl fmt::Debug for BucketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("BucketOptions");
        told.field("endpoint", &self.endpoint).field("bucket", &self.bucket).field("prefix", &self.prefix);
        told.finish_non_exhaustive()
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Bucket {
    /// Prepares requests to a bucket; asks for nothing yet.
    pub fn new(options: BucketOptions) -> Result<Self, ObjectError> {
        // Fails when it was called before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(S3_RETRY_FIRST_MS),
                max_backoff: Duration::from_millis(S3_RETRY_PAUSE_MAX_MS),
                base: 2.0,
            },
            max_retries: S3_RETRIES_MAX,
            retry_timeout: Duration::from_millis(S3_RETRY_MS),
        };
        let requests = ClientOptions::new()
            .with_allow_http(options.endpoint.starts_with("http://"))
            .with_connect_timeout(Duration::from_millis(S3_CONNECT_MS))
            .with_timeout(Duration::from_millis(S3_REQUEST_MS));
        let host_style = if options.path_style { options.endpoint.clone() } else { with_bucket(&options) };
        let client = AmazonS3Builder::new()
            .with_endpoint(host_style)
            .with_region(&options.region)
            .with_bucket_name(&options.bucket)
            .with_access_key_id(&options.access_key_id)
            .with_secret_access_key(&options.secret_access_key)
            .with_virtual_hosted_style_request(!options.path_style)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_client_options(requests)
            .with_retry(retry)
            .build()
            .map_err(|error| ObjectError::Settings(error.to_string()))?;
        Ok(Self { client: Arc::new(client), options: Arc::new(options) })
    }

    /// Returns where the bucket is.
    #[must_use]
    pub fn options(&self) -> &BucketOptions {
        &self.options
    }

    /// Returns the same bucket, further below.
    #[must_use]
    pub fn below(&self, folder: &str) -> Self {
        let prefix = self.whole_key(folder);
        Self {
            client: Arc::clone(&self.client),
            options: Arc::new(BucketOptions { prefix, ..(*self.options).clone() }),
        }
    }

    /// Names an object or a folder of them, as people and other tools do: `s3://bucket/prefix/key`.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{}", self.options.bucket, self.whole_key(key))
    }

    /// Writes an object of these bytes.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectError> {
        let put = self.client.put(&self.path(key)?, bytes.into()).await;
        put.map(drop).map_err(|error| ObjectError::of("write", self.url(key), &error))
    }

    /// Writes an object of a file, in pieces where it is long; returns what was sent.
    pub async fn put_file(&self, key: &str, file: &FilePath) -> Result<Summed, ObjectError> {
        let path = self.path(key)?;
        let mut opened = File::open(file).await.map_err(disk("open", file))?;
        let length = opened.metadata().await.map_err(disk("look at", file))?.len();
        if length <= S3_PIECE_BYTES {
            let mut bytes = Vec::new();
            opened.read_to_end(&mut bytes).await.map_err(disk("read", file))?;
            let sent = Summed { bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(&bytes)) };
            self.put(key, bytes.into()).await?;
            return Ok(sent);
        }
        let failed = |error| ObjectError::of("write", self.url(key), &error);
        let piece = usize::try_from(S3_PIECE_BYTES.max(length.div_ceil(S3_PIECES_MAX))).unwrap_or(usize::MAX);
        let upload = self.client.put_multipart(&path).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, piece);
        match send(&mut opened, &mut upload, piece).await {
            Ok(sent) => upload.finish().await.map(|_| sent).map_err(failed),
            Err(broken) => {
                // What was sent so far is no object, and only costs room there.
                if let Err(error) = upload.abort().await {
                    tracing::warn!(object = self.url(key), %error, "the pieces of a failed upload could not be removed");
                }
                Err(match broken {
                    Broken::Server(error) => failed(error),
                    Broken::Disk(error) => disk("read", file)(error),
                })
            }
        }
    }

    /// Reads a short object whole.
    pub async fn get(&self, key: &str) -> Result<Bytes, ObjectError> {
        let found = self.client.get(&self.path(key)?).await;
        let found = found.map_err(|error| ObjectError::of("read", self.url(key), &error))?;
        if found.meta.size > S3_TEXT_BYTES_MAX {
            let object = self.url(key);
            return Err(ObjectError::TooLong { object, bytes: found.meta.size, most: S3_TEXT_BYTES_MAX });
        }
        found.bytes().await.map_err(|error| ObjectError::of("read", self.url(key), &error))
    }

    /// Says whether there is such an object.
    pub async fn has(&self, key: &str) -> Result<bool, ObjectError> {
        match self.client.head(&self.path(key)?).await {
            Ok(_) => Ok(true),
            Err(error) => match ObjectError::of("look for", self.url(key), &error) {
                ObjectError::Missing { .. } => Ok(false),
                other => Err(other),
            },
        }
    }

    /// Reads an object into a file that is not there yet, synced; returns what was read.
    pub async fn get_file(&self, key: &str, file: &FilePath) -> Result<Summed, ObjectError> {
        let mut made = File::create_new(file).await.map_err(disk("make", file))?;
        let read = self.pieces(key, Some((&mut made, file))).await?;
        made.sync_all().await.map_err(disk("sync", file))?;
        Ok(read)
    }

    /// Reads an object back, and keeps nothing of it but its length and its checksum.
    pub async fn sum(&self, key: &str) -> Result<Summed, ObjectError> {
        self.pieces(key, None).await
    }

    /// Lists the folders right below one: the parts of keys up to the next `/`.
    pub async fn folders(&self, below: &str) -> Result<Vec<String>, ObjectError> {
        let listed = self.client.list_with_delimiter(Some(&self.path(below)?)).await;
        let listed = listed.map_err(|error| ObjectError::of("list", self.url(below), &error))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Removes every object of a folder; one that is not there is none.
    pub async fn remove_folder(&self, folder: &str) -> Result<(), ObjectError> {
        let failed = |error| ObjectError::of("remove", self.url(folder), &error);
        let path = self.path(folder)?;
        let found: Vec<_> =
            self.client.list(Some(&path)).map_ok(|meta| meta.location).try_collect().await.map_err(failed)?;
        for location in found {
            match self.client.delete(&location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Removes an object; one that is not there is none.
    pub async fn remove(&self, key: &str) -> Result<(), ObjectError> {
        match self.client.delete(&self.path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(ObjectError::of("remove", self.url(key), &error)),
        }
    }

    async fn pieces(&self, key: &str, mut into: Option<(&mut File, &FilePath)>) -> Result<Summed, ObjectError> {
        let path = self.path(key)?;
        let failed = |error| ObjectError::of("read", self.url(key), &error);
        let length = self.client.head(&path).await.map_err(failed)?.size;
        let (mut sum, mut at) = (Sha256::new(), 0);
        while at < length {
            let end = length.min(at + S3_PIECE_BYTES);
            let piece = self.client.get_range(&path, at..end).await.map_err(failed)?;
            sum.update(&piece);
            if let Some((file, name)) = &mut into {
                file.write_all(&piece).await.map_err(disk("write", name))?;
            }
            at = end;
        }
        if let Some((file, name)) = &mut into {
            file.flush().await.map_err(disk("write", name))?;
        }
        Ok(Summed { bytes: length, sha256: hex::encode(sum.finalize()) })
    }

    fn path(&self, key: &str) -> Result<Path, ObjectError> {
        Path::parse(self.whole_key(key)).map_err(|_| ObjectError::Name(self.url(key)))
    }

    fn whole_key(&self, key: &str) -> String {
        if self.options.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.options.prefix) }
    }
}

/// Why an upload in pieces broke off.
enum Broken {
    Server(object_store::Error),
    Disk(std::io::Error),
}

async fn send(file: &mut File, upload: &mut WriteMultipart, piece: usize) -> Result<Summed, Broken> {
    let (mut sum, mut sent) = (Sha256::new(), 0);
    let mut buffer = vec![0; piece];
    loop {
        let mut filled = 0;
        while filled < piece {
            match file.read(&mut buffer[filled..]).await.map_err(Broken::Disk)? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(Summed { bytes: sent, sha256: hex::encode(sum.finalize()) });
        }
        sum.update(&buffer[..filled]);
        sent += filled as u64;
        // One piece is on its way while the next one is read.
        upload.wait_for_capacity(1).await.map_err(Broken::Server)?;
        upload.write(&buffer[..filled]);
    }
}

/// Puts the bucket before the host's name, as requests of the virtual-hosted style have it.
fn with_bucket(options: &BucketOptions) -> String {
    let endpoint = &options.endpoint;
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{}.{host}", options.bucket),
        None => endpoint.clone(),
    }
}

fn disk(step: &'static str, path: &FilePath) -> impl FnOnce(std::io::Error) -> ObjectError {
    let path = path.to_owned();
    move |source| ObjectError::Disk { step, path, source }
}
