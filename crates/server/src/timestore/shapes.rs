//! The JSON schemas of these routes' answers.

use crate::routes::{
    Shapes, anything, count, flag, found, list_of, map_of, nullable, number, object, one_of_words, text, texts,
};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let mut all = manifests();
    all.extend(datasets());
    all.extend(sql());
    all
}

fn manifests() -> Shapes {
    let manifest = object(&[
        ("id", text()),
        ("batch", text()),
        ("state", one_of_words(&["draft", "published", "superseded", "expired"])),
        ("version", count()),
        ("partition", text()),
        ("shard", text()),
        ("first_seq", nullable(count())),
        ("last_seq", nullable(count())),
        ("rows", count()),
        ("bytes", count()),
        ("first_time", nullable(text())),
        ("last_time", nullable(text())),
        ("checksum", nullable(text())),
        ("columns", texts()),
        ("schema_version", nullable(count())),
        ("tier", text()),
        ("drafted_at", text()),
        ("published_at", nullable(text())),
        ("superseded_at", nullable(text())),
        ("expired_at", nullable(text())),
    ]);
    let totals = ["manifests", "partitions", "rows", "bytes"].map(|name| (name, count()));
    let list = object(&[
        ("dataset", text()),
        ("table", text()),
        ("shard", nullable(text())),
        ("manifests", list_of(found("Manifest"))),
        ("next_cursor", nullable(text())),
        ("published", object(&totals)),
    ]);
    Shapes::from([("Manifest", manifest), ("Manifests", list)])
}

fn datasets() -> Shapes {
    let range = object(&[("start", anything()), ("end", anything())]);
    let filters = object(&[("partitionKey?", map_of(anything())), ("columns?", map_of(anything()))]);
    let functions = ["avg", "min", "max", "sum", "median", "count", "count_distinct", "percentile"];
    let aggregation =
        object(&[("fn", one_of_words(&functions)), ("column?", text()), ("alias?", text()), ("percentile?", number())]);
    let downsample = object(&[
        ("intervalUnit", one_of_words(&["second", "minute", "hour", "day", "week", "month"])),
        ("intervalSize?", count()),
        ("aggregations", list_of(aggregation)),
    ]);
    let asked = object(&[
        ("tableName?", text()),
        ("timeRange?", range),
        ("timestampColumn?", text()),
        ("columns?", texts()),
        ("filters?", filters),
        ("downsample?", downsample),
        ("limit?", count()),
        ("cursor?", text()),
        ("requireFresh?", flag()),
        ("minWatermark?", anything()),
    ]);
    let streaming = object(&[
        ("enabled", flag()),
        ("bufferState", one_of_words(&["disabled", "ready", "unavailable"])),
        ("rows", count()),
        ("watermark", count()),
        ("latestTimestamp", nullable(text())),
        ("fresh", flag()),
    ]);
    let sources = object(&[
        ("published", object(&[("rows", count()), ("partitions", count())])),
        ("hotBuffer", object(&[("rows", count())])),
    ]);
    let answer = object(&[
        ("dataset", text()),
        ("mode", one_of_words(&["raw", "downsampled"])),
        ("columns", texts()),
        ("warnings", texts()),
        ("streaming", streaming),
        ("latest_ingest_watermark", count()),
        ("rows", list_of(map_of(anything()))),
        ("nextCursor", nullable(text())),
        ("sources", sources),
    ]);
    Shapes::from([("DatasetAsked", asked), ("DatasetAnswer", answer)])
}

fn sql() -> Shapes {
    let saved = object(&[
        ("id", text()),
        ("statement", text()),
        ("label", nullable(text())),
        ("stats", anything()),
        ("createdBy", nullable(text())),
        ("createdAt", text()),
        ("updatedAt", text()),
    ]);
    let column = object(&[("name", text()), ("type", text()), ("nullable", flag())]);
    let table = object(&[
        ("name", text()),
        ("dataset", nullable(text())),
        ("timestampColumn", nullable(text())),
        ("columns", list_of(column)),
    ]);
    let asked =
        object(&[("sql", text()), ("mode?", one_of_words(&["auto", "query", "command"])), ("maxRows?", count())]);
    let answer = object(&[
        ("mode", one_of_words(&["query", "command"])),
        ("columns", list_of(object(&[("name", text()), ("type", text())]))),
        ("rows", list_of(map_of(anything()))),
        ("rowCount", count()),
    ]);
    Shapes::from([
        ("SavedSql", saved),
        ("SavedSqlOne", object(&[("savedQuery", found("SavedSql"))])),
        ("SavedSqlList", object(&[("savedQueries", list_of(found("SavedSql")))])),
        ("SavedSqlAsked", object(&[("statement", text()), ("label?", nullable(text())), ("stats?", anything())])),
        ("SqlSchema", object(&[("tables", list_of(table))])),
        ("AdminSqlAsked", asked),
        ("AdminSqlAnswer", answer),
    ])
}
