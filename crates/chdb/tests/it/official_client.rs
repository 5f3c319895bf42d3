//! The official `clickhouse` crate, unchanged.

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, PASSWORD};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Event {
    id: u64,
    name: String,
    tags: Vec<(String, String)>,
}

#[tokio::test]
async fn the_official_client_creates_inserts_reads_and_sees_errors() {
    let engine = Engine::start(&[]);
    let client = Client::default().with_url(engine.url()).with_user("tidegate").with_password(PASSWORD);
    client.query("CREATE DATABASE d ENGINE = Atomic").execute().await.unwrap();
    let client = client.with_database("d");
    let ddl = "CREATE TABLE events (id UInt64, name String, tags Map(String, String)) ENGINE = MergeTree ORDER BY id";
    client.query(ddl).execute().await.unwrap();

    let events: Vec<Event> = (0..10_000)
        .map(|id| Event { id, name: format!("event {id}"), tags: vec![("k".into(), id.to_string())] })
        .collect();
    let mut insert = client.insert::<Event>("events").await.unwrap();
    for event in &events {
        insert.write(event).await.unwrap();
    }
    insert.end().await.unwrap();

    let sql = "SELECT ?fields FROM events WHERE id >= ? ORDER BY id";
    assert_eq!(client.query(sql).bind(0).fetch_all::<Event>().await.unwrap(), events);
    assert_eq!(client.query(sql).bind(9_999).fetch_one::<Event>().await.unwrap(), events[9_999]);
    let parameter = client.query("SELECT count() FROM events WHERE id < {limit:UInt64}").param("limit", 10_u64);
    assert_eq!(parameter.fetch_one::<u64>().await.unwrap(), 10);

    let missing = client.query("SELECT id FROM missing").fetch_one::<u64>().await.unwrap_err();
    assert!(missing.to_string().contains("UNKNOWN_TABLE"), "{missing}");
    let halfway = client.query("SELECT toUInt64(number + throwIf(number = 2000000)) FROM numbers(10000000)");
    let halfway = halfway.fetch_all::<u64>().await.unwrap_err();
    assert!(halfway.to_string().contains("FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"), "{halfway}");
}
