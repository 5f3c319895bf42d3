use super::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_are_the_same_hot_and_stored() {
    let place = Place::new().await;
    place
        .taken(
            r#"{"schema":{"fields":[{"name":"n","type":"int64"},{"name":"u","type":"uint64"},{"name":"m","type":"decimal(38,10)"},
            {"name":"d","type":"date"},{"name":"id","type":"uuid"},{"name":"j","type":"json"},{"name":"at","type":"timestamp"},
            {"name":"l","type":"array(decimal(9,2))"},{"name":"ids","type":"array(uuid)"},{"name":"days","type":"array(date)"},
            {"name":"t","type":"map(uint64)"},{"name":"ts","type":"map(string)"},{"name":"b","type":"boolean"}]},
            "partition":{"key":{"b":"2","a":"1"},"attributes":{"z":1.50},"timeRange":{"start":"2026-11-21","end":1795305600000}},
            "rows":[{"n":-9223372036854775808,"u":18446744073709551615,"m":1234567890123456789012345678.0123456789,"d":"2299-12-31",
              "id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","j":{"b":1.10,"a":[null,"x\ty"]},"at":"2026-11-21T05:00:00.000000001Z",
              "l":[1.25,null,-0.5],"ids":["6ba7b810-9dad-11d1-80b4-00c04fd430c8"],"days":["1900-01-01"],
              "t":{"x":18446744073709551615,"y":null},"ts":{"k":"it's"},"b":true},
             {"at":"2026-11-21T05:00:00Z"}]}"#,
        )
        .await;
    let sql = "SELECT n, u, m, d, id, j, l, ids, days, t, ts, b, _partition_key, _partition_attributes, \
               toUnixTimestamp64Nano(_partition_start), toUnixTimestamp64Nano(_partition_end) FROM visits ORDER BY _seq";
    let partition = "{\"a\":\"1\",\"b\":\"2\"}\t{\"z\":1.50}\t1795219200000000000\t1795305600000000000";
    let expected = format!(
        "-9223372036854775808\t18446744073709551615\t1234567890123456789012345678.0123456789\t2299-12-31\t\
         6ba7b810-9dad-11d1-80b4-00c04fd430c8\t{{\"b\":1.10,\"a\":[null,\"x\\\\ty\"]}}\t[1.25,NULL,-0.5]\t\
         ['6ba7b810-9dad-11d1-80b4-00c04fd430c8']\t['1900-01-01']\t{{'x':18446744073709551615,'y':NULL}}\t\
         {{'k':'it\\'s'}}\ttrue\t{partition}\n\
         \\N\t\\N\t\\N\t\\N\t\\N\t\\N\t[]\t[]\t[]\t{{}}\t{{}}\t\\N\t{partition}"
    );
    place.hot_and_stored(sql, &expected).await;
    let types = ["u", "m", "d", "id", "l", "t"].map(|name| format!("any(toTypeName({name}))")).join(", ");
    assert_eq!(
        place.answer(&format!("SELECT {types} FROM visits")).await,
        "Nullable(UInt64)\tNullable(Decimal(38, 10))\tNullable(Date32)\tNullable(UUID)\t\
         Array(Nullable(Decimal(9, 2)))\tMap(String, Nullable(UInt64))"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_dataset_have_schemas_and_rows_of_their_own() {
    let place = Place::new().await;
    place.taken(r#"{"rows":[{"n":1}]}"#).await;
    place.taken(r#"{"tableName":"Page-Views","rows":[{"n":"text"},{"page":"/a"}]}"#).await;
    place.hot_and_stored("SELECT n FROM visits", "1").await;
    place.hot_and_stored("SELECT n, page FROM visits__page_views ORDER BY _seq", "text\t\\N\n\\N\t/a").await;
    let labels: Vec<_> = place.states.catalog.datasets().await.expect("datasets");
    let labels: Vec<_> = labels.iter().map(|dataset| (dataset.label.as_str(), dataset.version)).collect();
    assert_eq!(labels, [("Page-Views", 1), ("records", 1)]);
}
