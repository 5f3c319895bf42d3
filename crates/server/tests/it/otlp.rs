use bytes::Bytes;
use tidegate_load::{Connection, Encoding, Source, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::house::{House, HouseOptions};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const ONE_LOG: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1789000000000000000","body":{"stringValue":"one"}}]}]}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_is_acknowledged_through_both_doors_in_every_compression() {
    let house = House::open().await;
    for (seed, (wire, address)) in
        [(Wire::Http, house.otlp_http), (Wire::Grpc, house.otlp_grpc)].into_iter().enumerate()
    {
        for (at, encoding) in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd].into_iter().enumerate() {
            let mut connection = Connection::open(wire, address, encoding).await.expect("a connection");
            let source = Source::new((seed * 3 + at) as u64, now_unix_nanos());
            for signal in Signal::ALL {
                let body = encoding.encode(source.request(signal, 0, 50)).expect("a body");
                let reply = connection.send(signal, Bytes::from(body), None).await.expect("a reply");
                assert!(reply.acked, "{wire:?} {encoding:?} {signal}: {reply:?}");
            }
        }
    }
    assert_eq!(house.ledger("logs").await, [300, 0, 300, 0, 0]);
    assert_eq!(house.ledger("spans").await, [300, 0, 300, 0, 0]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_not_a_second_row_and_a_key_belongs_to_one_content() {
    let house = House::open().await;
    assert_eq!(post(&house, JSON, &[("idempotency-key", "k")], ONE_LOG).await.0, 200);
    assert_eq!(post(&house, JSON, &[("idempotency-key", "k")], ONE_LOG).await.0, 200);
    assert_eq!(house.ledger("logs").await, [2, 0, 1, 0, 1]);
    let (status, text) = post(&house, JSON, &[("idempotency-key", "k")], &ONE_LOG.replace("one", "two")).await;
    assert_eq!(status, 409, "{text}");
    assert_eq!(post(&house, JSON, &[("idempotency-key", &"k".repeat(256))], ONE_LOG).await.0, 400);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_mirror_the_request_and_name_what_is_wrong() {
    let house = House::open().await;
    assert_eq!(post(&house, JSON, &[], ONE_LOG).await, (200, "{}".into()));
    assert_eq!(post(&house, PROTOBUF, &[], "").await, (200, String::new()));
    let (status, text) = post(&house, JSON, &[], r#"{"resourceLogs":7}"#).await;
    assert_eq!(status, 400);
    assert!(text.contains(r#""code":3"#) && text.contains("resourceLogs"), "{text}");
    assert_eq!(post(&house, PROTOBUF, &[], "\u{7}not protobuf").await.0, 400);
    assert_eq!(post(&house, "text/plain", &[], ONE_LOG).await.0, 415);
    assert_eq!(post(&house, JSON, &[("content-encoding", "br")], ONE_LOG).await.0, 415);
    assert_eq!(post(&house, JSON, &[("content-encoding", "zstd")], "not zstd").await.0, 400);
    let got = house.client.get(format!("http://{}/v1/logs", house.otlp_http)).send().await.expect("an answer");
    assert_eq!(got.status(), 405);
    assert_eq!(got.headers()["allow"], "POST");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_row_never_sinks_its_request() {
    let house = House::open().await;
    let two = ONE_LOG.replace("}]}]}]}", r#"},{"traceId":"abc","body":{"stringValue":"bad id"}}]}]}]}"#);
    let (status, text) = post(&house, JSON, &[], &two).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#""rejectedLogRecords":"1""#), "{text}");
    assert_eq!(house.ledger("logs").await, [2, 0, 1, 1, 0]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_costs_its_sender_an_error() {
    let house = House::open().await;
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bomb = encoding.encode(vec![0; 65 << 20]).expect("a bomb");
        let request = house.client.post(format!("http://{}/v1/logs", house.otlp_http)).body(bomb);
        let request = request.header("content-type", PROTOBUF).header("content-encoding", encoding.name());
        assert_eq!(request.send().await.expect("an answer").status(), 413);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_is_answered_with_a_time_to_come_again() {
    let house = House::with(HouseOptions { wal_bytes: 1, ..HouseOptions::default() }).await;
    let request = house.client.post(format!("http://{}/v1/logs", house.otlp_http)).body(ONE_LOG);
    let answer = request.header("content-type", JSON).send().await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    let mut connection = Connection::open(Wire::Grpc, house.otlp_grpc, Encoding::Plain).await.expect("a connection");
    let body = Source::new(1, now_unix_nanos()).request(Signal::Logs, 0, 1);
    let reply = connection.send(Signal::Logs, Bytes::from(body), None).await.expect("a reply");
    assert_eq!((reply.acked, reply.status), (false, 8), "{reply:?}");
    let (status, ready) = house.get("/ready").await;
    assert_eq!((status, &ready["not_ready"][0]), (503, &"writes".into()), "{ready}");
    house.close().await;
}

async fn post(house: &House, content_type: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut request = house.client.post(format!("http://{}/v1/logs", house.otlp_http)).body(body.to_owned());
    for (name, value) in headers.iter().chain(&[("content-type", content_type)]) {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let mirrored = if content_type == JSON { JSON } else { PROTOBUF };
    assert_eq!(answer.headers()["content-type"], mirrored);
    (status, String::from_utf8_lossy(&answer.bytes().await.expect("a body")).into_owned())
}
