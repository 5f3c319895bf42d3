use anyhow::{Result, ensure};
use tidegate_core::objects::{Bucket, BucketOptions};

use super::{Gate, S3};

/// Three pieces, the last one short.
const BYTES: usize = (32 << 20) + 17;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_file_is_an_object_whole_or_not_at_all() -> Result<()> {
    let server = S3::start().await?;
    let gate = Gate::to(server.address).await?;
    let options = BucketOptions {
        endpoint: format!("http://{}", gate.address),
        region: "here".to_owned(),
        bucket: "rows".to_owned(),
        prefix: "long".to_owned(),
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
        path_style: true,
    };
    let bucket = Bucket::new(options)?;
    let folder = tempfile::tempdir()?;
    let (file, copy) = (folder.path().join("file"), folder.path().join("copy"));
    let bytes: Vec<u8> = (0..BYTES).map(|n| u8::try_from(n * 7 / 1_000 % 251).unwrap_or_default()).collect();
    std::fs::write(&file, &bytes)?;

    gate.close_after(20 << 20);
    let broken = bucket.put_file("a/file.bin", &file).await.expect_err("the server went away").to_string();
    ensure!(broken.starts_with("write s3://rows/long/a/file.bin: "), "{broken}");
    ensure!(server.keys().await?.is_empty(), "a part of a file is an object");

    gate.open();
    let sent = bucket.put_file("a/file.bin", &file).await?;
    ensure!(sent.bytes == BYTES as u64);
    ensure!(bucket.sum("a/file.bin").await? == sent && bucket.get_file("a/file.bin", &copy).await? == sent);
    ensure!(std::fs::read(&copy)? == bytes, "what is read is not what was written");
    ensure!(bucket.folders("").await? == ["a"]);
    bucket.remove_folder("a").await?;
    ensure!(server.keys().await?.is_empty() && !bucket.has("a/file.bin").await?);
    Ok(())
}
