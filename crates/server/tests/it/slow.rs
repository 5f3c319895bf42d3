use std::net::SocketAddr;
use std::time::Duration;

use tidegate_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, HouseOptions};

/// How long the server of a test waits for a client that is silent.
const SHORT: Duration = Duration::from_millis(150);

/// What did not happen by then has hung.
const LIMIT: Duration = Duration::from_secs(20);

const ROW: &str = r#"{"a":1}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_pauses_too_long_is_refused_at_every_door() {
    let house = House::with(HouseOptions { body_idle: SHORT, ..HouseOptions::default() }).await;
    let doors = [
        (house.http, "/datasets/d/ingest", "application/x-ndjson"),
        (house.http, "/sql/read", "text/plain"),
        (house.otlp_http, "/v1/logs", "application/json"),
    ];
    for (address, path, media_type) in doors {
        let mut connection = connected(address).await;
        send(&mut connection, &head(path, media_type, 100)).await;
        send(&mut connection, ROW).await;
        let answer = to_the_end(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(answer.contains("no byte of the body came for 150 ms"), "{path}: {answer}");
    }
    assert_eq!(house.ledger("d").await, [0; 5]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_ends_its_head_is_closed() {
    let doors = ServerOptions { head_wait: SHORT, ..ServerOptions::default() };
    let house = House::with(HouseOptions { doors, ..HouseOptions::default() }).await;
    for begun in ["", "POST /sql/read HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = connected(house.http).await;
        send(&mut connection, begun).await;
        let answer = to_the_end(&mut connection).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_waits_until_another_ends() {
    let doors = ServerOptions { connections_max: 2, ..ServerOptions::default() };
    let house = House::with(HouseOptions { doors, ..HouseOptions::default() }).await;
    let mut allowed = [connected(house.http).await, connected(house.http).await];
    for connection in &mut allowed {
        send(connection, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(piece(connection).await.starts_with("HTTP/1.1 200 "));
    }
    let mut third = connected(house.http).await;
    send(&mut third, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(tokio::time::timeout(SHORT, third.readable()).await.is_err(), "a third one is answered beside two");
    let [first, _second] = allowed;
    drop(first);
    assert!(piece(&mut third).await.starts_with("HTTP/1.1 200 "));
    drop((third, _second));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_stores_nothing_and_hurts_nobody() {
    let house = House::open().await;
    for _ in 0..50 {
        let mut connection = connected(house.http).await;
        send(&mut connection, &head("/datasets/d/ingest", "application/x-ndjson", 100)).await;
        send(&mut connection, ROW).await;
        // Closed while most of it is still announced.
        drop(connection);
    }
    let url = format!("http://{}/datasets/d/ingest", house.http);
    let request = house.client.post(url).header("content-type", "application/x-ndjson").body(ROW);
    assert_eq!(request.send().await.expect("an answer").status(), 201);
    assert_eq!(house.ledger("d").await, [1, 0, 1, 0, 0]);
    house.close().await;
}

fn head(path: &str, media_type: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n")
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("a connection")
}

async fn send(connection: &mut TcpStream, text: &str) {
    connection.write_all(text.as_bytes()).await.expect("the server reads");
}

async fn piece(connection: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4_096];
    let read = tokio::time::timeout(LIMIT, connection.read(&mut bytes)).await.expect("in time").expect("an answer");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

async fn to_the_end(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LIMIT, connection.read_to_end(&mut bytes)).await;
    read.expect("the server closes the connection").expect("an end");
    String::from_utf8_lossy(&bytes).into_owned()
}
