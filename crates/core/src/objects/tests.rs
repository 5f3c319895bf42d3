use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn bucket(endpoint: &str, path_style: bool) -> Bucket {
    let options = BucketOptions {
        endpoint: endpoint.to_owned(),
        region: "here".to_owned(),
        bucket: "rows".to_owned(),
        prefix: "a/b".to_owned(),
        access_key_id: "key".to_owned(),
        secret_access_key: "never shown".to_owned(),
        path_style,
    };
    Bucket::new(options).expect("a bucket")
}

/// Answers every request with these words, and returns where.
async fn answering(words: &'static str) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // A connection that breaks is the client's to mend.
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(words.as_bytes()).await;
        }
    });
    Ok(format!("http://{address}"))
}

#[tokio::test]
async fn a_refusal_names_the_object_what_was_answered_and_what_mends_it() {
    let check = async |words: &'static str, parts: &[&str]| {
        let there = bucket(&answering(words).await.expect("a server"), true);
        let error = there.put("one/rows.parquet", "x".into()).await.expect_err("a refusal").to_string();
        assert!(error.starts_with("write s3://rows/a/b/one/rows.parquet: "), "{error}");
        parts.iter().for_each(|part| assert!(error.contains(part), "{part} is not in: {error}"));
        assert!(!error.contains("never shown") && !format!("{there:?}").contains("never shown"));
    };
    check(
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 42\r\nconnection: close\r\n\r\n<Error><Code>AccessDenied</Code></Error>   ",
        &["AccessDenied", "s3.access_key_id"],
    )
    .await;
    check(
        "HTTP/1.1 404 Not Found\r\ncontent-length: 39\r\nconnection: close\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>",
        &["NoSuchBucket", "make the bucket"],
    )
    .await;
}

#[test]
fn names_are_told_with_their_bucket_and_cannot_leave_it() {
    let there = bucket("http://127.0.0.1:9", false);
    assert_eq!(there.url("x/y"), "s3://rows/a/b/x/y");
    assert_eq!(there.options().prefix, "a/b");
}
