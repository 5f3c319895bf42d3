use serde_json::json;

use crate::house::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_ready_without_clickhouse_and_the_answer_says_how_it_is() {
    let house = House::open().await;
    let (status, ready) = house.get("/ready").await;
    assert_eq!(status, 200);
    assert_eq!((&ready["ready"], &ready["schema"]["state"]), (&json!(true), &json!("waiting")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_without_clickhouse_is_an_error_and_never_an_empty_answer() {
    let house = House::open().await;
    house.tables_are_made();
    let (status, answer) = house.get("/sql/read?query=SELECT+count()+FROM+logs").await;
    assert!(matches!(status, 503 | 504), "{status} {answer}");
    assert!(answer["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{answer}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_told_what_is_wrong() {
    let house = House::open().await;
    house.tables_are_made();
    for (path, expected_status, part) in [
        ("/sql/read", 400, "no SQL"),
        ("/sql/read?query=DROP+TABLE+logs", 400, "this statement writes"),
        ("/sql/read?query=SELECT+1&format=xml", 406, "`xml`"),
        ("/sql/raed", 404, "/sql/raed"),
        ("/verify", 405, "/verify"),
    ] {
        let (status, answer) = house.get(path).await;
        assert_eq!(status, expected_status, "{path}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains(part)), "{answer}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_listed_and_metrics_have_their_form() {
    let house = House::open().await;
    let (_, tables) = house.get("/datasets").await;
    assert!(tables["tables"].as_array().is_some_and(|tables| tables.iter().any(|table| table["table"] == "logs")));
    let answer = house.client.get(format!("http://{}/metrics", house.http)).send().await.expect("an answer");
    let text = answer.text().await.expect("a body");
    assert!(text.contains("# TYPE timestore_replica_age_ms gauge"), "{text}");
    let page = house.client.get(format!("http://{}/", house.http)).send().await.expect("an answer");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    house.close().await;
}
