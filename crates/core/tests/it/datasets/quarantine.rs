use tidegate_core::ingest::rows::Mended;

use super::place::{Place, request};

const BODY: &str = r#"{"schema":{"fields":[{"name":"n","type":"integer"}]},"partition":{"key":{"k":"v"}},
    "rows":[{"n":1},{"n":"two"},{"n":3,"x":1},{"n":4}]}"#;

async fn begun() -> Place {
    let place = Place::new().await;
    let taken = place.taken(BODY).await;
    assert_eq!((taken.admitted.accepted, taken.admitted.rejected.total(), taken.quarantined), (2, 2, 2));
    place
}

async fn held(place: &Place) -> Vec<(u64, String, String)> {
    let held = place.states.catalog.held("visits", None, 0, 100).await.expect("refused rows");
    held.into_iter().map(|row| (row.index, row.reason, row.row)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_kept_with_their_places_and_come_back_mended() {
    let place = begun().await;
    let refused = [(1, "invalid_type", r#"{"n":"two"}"#), (2, "unknown", r#"{"n":3,"x":1}"#)];
    let refused = refused.map(|(index, reason, row)| (index, reason.to_owned(), row.to_owned()));
    assert_eq!(held(&place).await, refused);
    // The request again is a retry, and its refused rows are there once.
    assert!(place.taken(BODY).await.admitted.is_retry);
    assert_eq!(held(&place).await, refused);
    let place = place.restarted().await;
    assert_eq!(held(&place).await, refused);

    let mended =
        [Mended { id: 1, row: Some(r#"{"n":2}"#.into()) }, Mended { id: 2, row: None }, Mended { id: 9, row: None }];
    let replayed = place.ingest.replay("visits", &mended, "me").await.expect("a replay");
    assert_eq!((replayed.taken, replayed.refused.len(), replayed.missing), (vec![1], 1, vec![9]));
    place
        .hot_and_stored(
            "SELECT n, _partition_key FROM visits ORDER BY n",
            "1\t{\"k\":\"v\"}\n2\t{\"k\":\"v\"}\n4\t{\"k\":\"v\"}",
        )
        .await;
    assert_eq!(held(&place).await.len(), 1);
    let mended = [Mended { id: 2, row: Some("not json".into()) }];
    let replayed = place.ingest.replay("visits", &mended, "me").await.expect("a replay");
    assert_eq!(replayed.refused[0].2, "the row is not JSON");
    assert_eq!(place.ingest.discard("visits", &[2], "me").await.expect("discarded"), 1);
    assert_eq!(held(&place).await, []);
    // What is gone does not come back with the request that brought it.
    place.taken(BODY).await;
    assert_eq!(held(&place).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_a_crash_cut_off_is_finished_once() {
    let place = begun().await;
    let row = r#"{"n":2}"#;
    place.states.catalog.begin_replay("visits", &[(1, row)], 77).await.expect("begun");
    let place = place.restarted().await;
    place.ingest.finish_replays().await.expect("finished");
    place.hot_and_stored("SELECT count(), sum(n) FROM visits", "3\t7").await;
    // As if the end had not been written down: the rows are known by their key.
    place.states.catalog.begin_replay("visits", &[(1, row)], 77).await.expect("begun");
    let place = place.restarted().await;
    place.ingest.finish_replays().await.expect("finished");
    place.hot_and_stored("SELECT count(), sum(n) FROM visits", "3\t7").await;
    assert_eq!(held(&place).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_other_forms_are_kept_as_json() {
    let place = Place::new().await;
    place.taken(r#"{"rows":[{"n":1,"s":"x"}]}"#).await;
    let mut csv = request("visits", "n,s\n1.5,\"a \"\"b\"\"\"\n2,ok\n");
    csv.format = tidegate_core::ingest::rows::RowsFormat::Csv;
    let taken = place.ingest.dataset_rows(csv).await.expect("rows");
    assert_eq!((taken.admitted.accepted, taken.quarantined), (1, 1));
    assert_eq!(held(&place).await, [(0, "invalid_type".to_owned(), r#"{"n":1.5,"s":"a \"b\""}"#.to_owned())]);
}
