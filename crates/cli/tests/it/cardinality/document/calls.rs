use serde_json::{Value, json};

/// One request of a documented route, in the order in which they are sent.
pub(super) struct Call {
    pub(super) method: &'static str,
    /// As the document writes it.
    pub(super) route: &'static str,
    /// As it is sent.
    pub(super) sent: &'static str,
    pub(super) body: Option<(&'static str, Body)>,
    pub(super) status: u16,
}

pub(super) enum Body {
    Json(Value),
    Bytes(Vec<u8>),
}

const fn get(route: &'static str, sent: &'static str) -> Call {
    Call { method: "get", route, sent, body: None, status: 200 }
}

const fn plain(route: &'static str) -> Call {
    get(route, route)
}

fn post(route: &'static str, sent: &'static str, body: Value) -> Call {
    Call { method: "post", route, sent, body: Some(("application/json", Body::Json(body))), status: 200 }
}

impl Call {
    fn refused(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Every route at least once, with an answer that has rows in it, and one refusal of each kind.
pub(super) fn calls(exported: Vec<u8>) -> Vec<Call> {
    let own = [
        store(),
        datasets(),
        storage_targets(),
        lifecycle(),
        alerts(),
        migrations(),
        backups(),
        lists(),
        items(),
        attributes(),
        sessions(exported),
        second(),
        otlp(),
        entries(),
        prometheus(),
        traces(),
        tracing("/tracing"),
        tracing("/preview/tracing"),
        simple("/simple/traces"),
        simple("/preview/simple/traces"),
        ai_spans(),
    ];
    own.into_iter().flatten().collect()
}

fn store() -> Vec<Call> {
    let (query, saved) = ("/datasets/{slug}/query", "/sql/saved/{id}");
    let statement = || json!({ "statement": "SELECT 1", "label": "one", "stats": { "rowCount": 1 } });
    let kept = |status| Call { method: "put", status, ..post(saved, "/sql/saved/top", statement()) };
    let rows = post("/datasets/{slug}/ingest", "/datasets/visits/ingest", json!([{ "page": "/a", "n": 1 }]));
    vec![
        plain("/"),
        get("/sql/read", "/sql/read?query=SELECT+count()+AS+n+FROM+logs"),
        get("/sql/read", "/sql/read?query=SELECT").refused(400),
        get("/sql/read", "/sql/read?query=SELECT+1&format=x").refused(406),
        post("/sql/read", "/sql/read", json!({ "sql": "SELECT 1 FROM no_such_table" })).refused(404),
        post("/sql/read", "/sql/read", json!({ "sql": "SELECT body FROM logs LIMIT 1" })),
        Call { status: 201, ..rows },
        post("/datasets/{slug}/ingest", "/datasets/X%20y/ingest", json!([{ "n": 1 }])).refused(400),
        get("/datasets/{slug}/manifests", "/datasets/visits/manifests?limit=5&state=published"),
        get("/datasets/{slug}/manifests", "/datasets/none/manifests").refused(404),
        get("/datasets/{slug}/manifests", "/datasets/visits/manifests?shard=today").refused(400),
        get("/admin/datasets/{id}/manifest", "/admin/datasets/logs/manifest?shard=2026-01-31"),
        post(
            "/admin/datasets/{id}/manifest/supersede",
            "/admin/datasets/visits/manifest/supersede?manifest=x",
            Value::Null,
        )
        .refused(404),
        post(query, "/datasets/visits/query?timeout_ms=20000", json!({ "columns": ["page"], "limit": 1 })),
        post(query, "/datasets/visits/query", json!({ "filters": { "columns": { "n": { "gte": 1 } } } })),
        post(query, "/datasets/visits/query", json!({ "colums": [] })).refused(400),
        post(query, "/datasets/none/query", json!({})).refused(404),
        plain("/sql/schema"),
        kept(201),
        kept(200),
        get(saved, "/sql/saved/top"),
        plain("/sql/saved"),
        Call { method: "delete", status: 204, ..get(saved, "/sql/saved/top") },
        get(saved, "/sql/saved/top").refused(404),
        post("/sql/admin/clickhouse", "/sql/admin/clickhouse", json!({ "sql": "SELECT 1" })).refused(403),
        plain("/ledger"),
        post("/verify", "/verify", Value::Null),
        plain("/datasets"),
        plain("/health"),
        plain("/ready"),
        plain("/metrics"),
        plain("/openapi.json"),
        plain("/api-docs/openapi.json"),
    ]
}

fn entries() -> Vec<Call> {
    let [logs, metrics, events] = ["/v1/json/logs", "/v1/json/metrics", "/v1/json/events"];
    let taken = |route, entry| Call { status: 201, ..post(route, route, entry) };
    vec![
        taken(logs, json!({ "level": "info", "source": "shop", "message": "m", "context": { "n": 1 } })),
        taken(metrics, json!([{ "metric_name": "m", "value": 1.5, "tags": { "host": "a" } }])),
        taken(events, json!([{ "event_type": "e", "source": "shop", "details": { "a": 1 } }, {}])),
        post(logs, logs, json!([{}])),
        get(logs, "/v1/json/logs?source=shop&level=info&limit=1&text=m"),
        get(logs, "/v1/json/logs?limit=0").refused(400),
        get(logs, "/v1/json/logs?hot_only=true&limit=1"),
        get(events, "/v1/json/events?hot_only=true&cursor=a").refused(400),
        get("/v1/json/logs/stats", "/v1/json/logs/stats?from=1"),
        get(metrics, "/v1/json/metrics?metric_name=m"),
        get(
            "/v1/json/metrics/aggregations",
            "/v1/json/metrics/aggregations?metric_name=m&functions=avg,rate&quantiles=0.5",
        ),
        get("/v1/json/metrics/aggregations", "/v1/json/metrics/aggregations?aggregation=year").refused(400),
        get("/v1/json/spans/red", "/v1/json/spans/red?aggregation=hour&histogram=true"),
        get("/v1/json/spans/red", "/v1/json/spans/red?quantiles=0.5,0.99"),
        get("/v1/json/spans/red", "/v1/json/spans/red?aggregation=week").refused(400),
        get(events, "/v1/json/events?event_type=e"),
        plain("/v1/json/events/stats"),
        get("/v1/json/logs/tail", "/v1/json/logs/tail?from=never").refused(400),
        get("/v1/json/events/tail", "/v1/json/events/tail?from=never").refused(400),
    ]
}

fn traces() -> Vec<Call> {
    const ONE: &str = "/v1/json/traces/{trace_id}";
    let (compare, map, export) = ("/v1/json/traces/compare", "/v1/json/services/map", "/v1/json/spans/export");
    vec![
        get(ONE, "/v1/json/traces/00000000000000000000000000000001?timeout_ms=20000"),
        get(ONE, "/v1/json/traces/ffffffffffffffffffffffffffffffff").refused(404),
        get(ONE, "/v1/json/traces/x").refused(400),
        get(
            compare,
            "/v1/json/traces/compare?left=00000000000000000000000000000001&right=00000000000000000000000000000002",
        ),
        get(compare, "/v1/json/traces/compare?left=00000000000000000000000000000001").refused(400),
        get(map, "/v1/json/services/map?from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z&rate=0.5"),
        get(map, "/v1/json/services/map?from=2026-01-31T00:00:00Z").refused(400),
        get(export, "/v1/json/spans/export?from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z&service=shop"),
        get(export, "/v1/json/spans/export?from=2&to=1").refused(400),
    ]
}

/// A span of an AI application.
fn ai_span() -> Value {
    json!({ "spans": [{ "trace_id": "0000000000000000000000000000000a", "span_id": "000000000000000b", "session_id": "s" }] })
}

fn tracing(mount: &'static str) -> Vec<Call> {
    let at = |path: &str| -> &'static str { format!("{mount}{path}").leak() };
    let taken = |path: &'static str, sent, body| Call { status: 202, ..post(path, sent, body) };
    let (ingest, query, traces, one) =
        (at("/spans/ingest"), at("/spans/query"), at("/traces/"), at("/traces/{trace_id}"));
    let sent = at("/traces/0000000000000000000000000000000a");
    let (sessions, users) = (at("/sessions/query"), at("/users/query"));
    vec![
        taken(ingest, ingest, ai_span()),
        post(ingest, ingest, json!({ "spans": [{}] })).refused(400),
        taken(traces, traces, ai_span()),
        post(query, query, json!({ "focus": "trace" })),
        post(query, query, json!({ "focus": "span", "filter": { "conditions": [{ "field": "x" }] } })).refused(400),
        post(at("/spans/analytics"), at("/spans/analytics"), json!({ "interval": 1_440 })),
        post(at("/analytics/query"), at("/analytics/query"), json!({})),
        post(sessions, sessions, json!({ "realtime": true })),
        post(users, users, json!({})),
        get(one, sent),
        get(one, at("/traces/x")).refused(400),
        Call { method: "put", ..taken(one, sent, ai_span()) },
        Call { method: "delete", status: 202, ..get(one, sent) },
    ]
}

fn simple(mount: &'static str) -> Vec<Call> {
    let at = |path: &str| -> &'static str { format!("{mount}{path}").leak() };
    let (all, query, one) = (at("/"), at("/query"), at("/{trace_id}"));
    let known = at("/0000000000000000000000000000000c");
    let span = json!({ "spans": [{ "trace_id": "0000000000000000000000000000000c", "span_id": "000000000000000d" }] });
    let link = json!({ "trace_id": "0000000000000000000000000000000a", "span_id": "000000000000000b" });
    let references = json!({ "evaluator": { "slug": "score" } });
    let trace = json!({
        "data": { "outputs": { "score": 1 } }, "tags": { "a": "b" }, "links": { "invocation": link },
        "references": references,
    });
    let sent = json!({ "trace": trace });
    vec![
        Call { status: 202, ..post(all, all, sent.clone()) },
        Call { status: 202, ..post("/traces/ingest", "/traces/ingest", span) },
        post(all, all, json!({ "trace": {} })).refused(400),
        post(query, query, json!({ "trace": { "links": { "invocation": link } }, "windowing": { "limit": 5 } })),
        post(query, query, json!({ "trace": { "origin": "nobody" } })).refused(400),
        get(one, known),
        get(one, at("/x")).refused(400),
        Call { method: "patch", status: 202, ..post(one, known, sent.clone()) },
        Call { method: "delete", status: 202, ..get(one, known) },
        get(one, known),
        Call { method: "patch", status: 404, ..post(one, known, sent) },
    ]
}

fn ai_spans() -> Vec<Call> {
    const ONE: &str = "/traces/{trace_id}";
    const SENT: &str = "/traces/0000000000000000000000000000000a";
    const MODE: &str = "/tracing/modes/{project_id}";
    const MODES: &str = "/tracing/modes/00000000-0000-0000-0000-00000000000a";
    let taken = |path: &'static str, sent, body| Call { status: 202, ..post(path, sent, body) };
    let exported = ("application/x-protobuf", Body::Bytes(Vec::new()));
    vec![
        taken("/traces/ingest", "/traces/ingest", ai_span()),
        taken("/traces/", "/traces/", ai_span()),
        get("/traces/", "/traces/?trace_ids=0000000000000000000000000000000a,0000000000000000000000000000000b"),
        get("/traces/", "/traces/").refused(400),
        post("/traces/query", "/traces/query", json!({})),
        post("/traces/query", "/traces/query", json!({ "focus": "span" })).refused(409),
        get("/spans/", "/spans/?trace_id=0000000000000000000000000000000a&project_id=00000000000000000000000000000000"),
        post("/spans/query", "/spans/query", json!({ "rate": 0.5 })),
        post("/spans/analytics/query", "/spans/analytics/query", json!({})),
        post("/spans/sessions/query", "/spans/sessions/query", json!({})),
        post("/spans/users/query", "/spans/users/query", json!({})),
        get("/spans/{trace_id}/{span_id}", "/spans/0000000000000000000000000000000a/000000000000000b"),
        get(ONE, SENT),
        Call { method: "put", ..taken(ONE, SENT, ai_span()) },
        Call { method: "delete", status: 202, ..get(ONE, SENT) },
        plain("/tracing/modes"),
        plain("/tracing/prices"),
        Call { method: "put", ..post(MODE, MODES, json!({ "mode": "clickhouse" })) },
        Call { method: "put", status: 409, ..post(MODE, MODES, json!({ "mode": "dual" })) },
        Call { method: "put", status: 400, ..post(MODE, MODES, json!({ "mode": "both" })) },
        get(MODE, MODES),
        get(MODE, "/tracing/modes/mine").refused(400),
        plain("/otlp/v1/traces"),
        Call { body: Some(exported), ..post("/otlp/v1/traces", "/otlp/v1/traces", Value::Null) },
    ]
}

fn migrations() -> Vec<Call> {
    const ALL: &str = "/admin/migrations";
    let (step, none) = ("/admin/migrations/{migration}/steps/{step}", "/admin/migrations/none");
    let begun = || json!({ "dataset": "moved", "source": { "kind": "test" }, "ask": "there" });
    let file = json!({ "files": [{ "file": "a", "fingerprint": "b", "rows": 1 }] });
    let compared = json!({ "equal": true, "head": 0, "rows": 1 });
    vec![
        Call { status: 201, ..post(ALL, ALL, begun()) },
        post(ALL, ALL, begun()),
        post(ALL, ALL, json!({ "dataset": "moved", "source": {} })).refused(409),
        post(ALL, ALL, json!({ "dataset": "M/oved", "source": {} })).refused(400),
        get(ALL, "/admin/migrations?dataset=moved"),
        get("/admin/migrations/{migration}", none).refused(404),
        post("/admin/migrations/{migration}/files", "/admin/migrations/none/files", file).refused(404),
        get("/admin/migrations/{migration}/pieces", "/admin/migrations/none/pieces").refused(404),
        Call {
            method: "put",
            ..post("/admin/migrations/{migration}/validation", "/admin/migrations/none/validation", compared)
                .refused(404)
        },
        post(step, "/admin/migrations/none/steps/freeze", json!({ "seconds": 1 })).refused(404),
        post(step, "/admin/migrations/none/steps/jump", json!({})).refused(404),
    ]
}

fn backups() -> Vec<Call> {
    const ALL: &str = "/admin/backups";
    const DRILL: &str = "/admin/backups/{name}/drill";
    let taken = |body: Value| Call { status: 201, ..post(ALL, ALL, body) };
    vec![
        taken(json!({ "name": "one" })),
        taken(json!({ "base": "one" })),
        taken(json!({ "name": "one" })).refused(409),
        taken(json!({ "base": "none" })).refused(404),
        taken(json!({ "name": "../one" })).refused(400),
        post(DRILL, "/admin/backups/one/drill", Value::Null),
        post(DRILL, "/admin/backups/none/drill", Value::Null).refused(404),
        plain(ALL),
    ]
}

fn datasets() -> Vec<Call> {
    const ONE: &str = "/admin/datasets/{id}";
    let patched = |body: Value| Call { method: "patch", ..post(ONE, "/admin/datasets/orders", body) };
    let rows = |sent: &'static str, body: Value| Call { status: 201, ..post("/datasets/{slug}/ingest", sent, body) };
    let schema = json!({ "fields": [{ "name": "n", "type": "integer" }, { "name": "price", "type": "decimal(9,2)" }] });
    let made = json!({ "slug": "orders", "name": "Orders", "metadata": { "team": "shop" }, "schema": schema });
    let breaking = json!({ "schema": { "fields": [{ "name": "n", "type": "date" }] }, "rows": [] });
    let taken = json!({ "partition": { "key": { "k": "v" } }, "rows": [{ "n": 1 }, { "n": "x" }, { "price": 0.001 }] });
    let again = json!({ "ids": [2, 99], "rows": [{ "id": 1, "row": { "n": 2 } }] });
    let (replay, gone) = ("/datasets/{slug}/quarantine/replay", "/datasets/{slug}/quarantine/{row}");
    let exports = "/admin/datasets/{id}/exports";
    let csv = Some(("text/csv", Body::Bytes(b"n,price\n3,1.50\n".to_vec())));
    vec![
        Call { status: 201, ..post("/admin/datasets", "/admin/datasets", made.clone()) },
        post("/admin/datasets", "/admin/datasets", made).refused(409),
        rows("/datasets/orders/ingest", taken),
        Call { body: csv, ..rows("/datasets/orders/ingest?tableName=other", Value::Null) },
        post("/datasets/{slug}/ingest", "/datasets/orders/ingest", breaking).refused(409),
        get("/admin/datasets", "/admin/datasets?search=ord&status=active&limit=1"),
        get("/admin/datasets", "/admin/datasets?limit=x").refused(400),
        get(ONE, "/admin/datasets/orders"),
        get(ONE, "/admin/datasets/none").refused(404),
        patched(json!({ "description": "what was bought" })),
        patched(json!({ "name": "x", "ifMatch": "2000-01-01T00:00:00Z" })).refused(412),
        get("/datasets/{slug}/quarantine", "/datasets/orders/quarantine?limit=10"),
        post(replay, "/datasets/orders/quarantine/replay", again),
        Call { method: "delete", status: 204, ..get(gone, "/datasets/orders/quarantine/2") },
        Call { method: "delete", status: 404, ..get(gone, "/datasets/orders/quarantine/2") },
        Call { status: 202, ..post(exports, "/admin/datasets/orders/exports", json!({ "folder": "a/b" })) },
        post(exports, "/admin/datasets/orders/exports", json!({ "folder": "../b" })).refused(400),
        get(exports, "/admin/datasets/orders/exports?limit=1"),
        get("/admin/datasets/{id}/exports/{export}", "/admin/datasets/orders/exports/none").refused(404),
        post("/admin/datasets/{id}/archive", "/admin/datasets/orders/archive", Value::Null),
        post("/datasets/{slug}/ingest", "/datasets/orders/ingest", json!([{ "n": 1 }])).refused(409),
        get("/admin/datasets/{id}/schema", "/admin/datasets/orders/schema"),
        get("/admin/datasets/{id}/audit", "/admin/datasets/orders/audit?success=true&startTime=2020-01-01T00:00:00Z"),
        post("/admin/schema/reconcile", "/admin/schema/reconcile", Value::Null),
    ]
}

/// Places that exports may go to, one of them that of the dataset from before.
fn storage_targets() -> Vec<Call> {
    let (targets, target) = ("/admin/storage-targets", "/admin/datasets/{id}/storage-target");
    let one_target = "/admin/storage-targets/{id}";
    vec![
        Call {
            status: 201,
            ..post(targets, targets, json!({ "id": "a", "kind": "local", "config": { "folder": "a" } }))
        },
        post(targets, targets, json!({ "id": "a", "kind": "local", "config": { "folder": "b" } })).refused(409),
        post(targets, targets, json!({ "id": "b", "kind": "local", "config": { "folder": ".." } })).refused(400),
        plain(targets),
        Call {
            method: "patch",
            ..post(one_target, "/admin/storage-targets/a", json!({ "config": { "folder": "c" } }))
        },
        Call { method: "patch", ..post(one_target, "/admin/storage-targets/none", json!({})) }.refused(404),
        Call {
            status: 201,
            ..post(targets, targets, json!({ "id": "b", "kind": "local", "config": { "folder": "b" } }))
        },
        Call { method: "delete", status: 204, ..get(one_target, "/admin/storage-targets/b") },
        Call { method: "delete", status: 404, ..get(one_target, "/admin/storage-targets/b") },
        Call {
            method: "put",
            ..post(target, "/admin/datasets/orders/storage-target", json!({ "storageTargetId": "a" }))
        },
        Call {
            method: "put",
            ..post(target, "/admin/datasets/orders/storage-target", json!({ "storageTargetId": "x" }))
        }
        .refused(400),
        // The dataset names it: what is said of it may change, its place may not, and it stays.
        Call { method: "patch", ..post(one_target, "/admin/storage-targets/a", json!({ "description": "old" })) },
        Call {
            method: "patch",
            ..post(one_target, "/admin/storage-targets/a", json!({ "config": { "folder": "d" } }))
        }
        .refused(409),
        Call { method: "delete", status: 409, ..get(one_target, "/admin/storage-targets/a") },
        Call { method: "delete", status: 409, ..get(one_target, "/admin/storage-targets/local") },
    ]
}

fn alerts() -> Vec<Call> {
    let (rules, one) = ("/admin/alerts/rules", "/admin/alerts/rules/{name}");
    let (silences, attempt) = ("/admin/alerts/silences", "/admin/alerts/try");
    let rule = json!({ "name": "many", "sql": "SELECT count() AS value FROM logs", "above": 1, "every": "1h" });
    let seasonal = json!({ "name": "odd", "sql": "SELECT toFloat64({now:DateTime64(9)}) AS value", "anomaly": {} });
    let silence = json!({ "matchers": [{ "label": "alertname", "value": "x" }], "to": "2200-01-01T00:00:00Z" });
    let put = |status, sent, body| Call { method: "put", status, ..post(one, sent, body) };
    let delete = |status, route, sent| Call { method: "delete", status, ..get(route, sent) };
    vec![
        put(201, "/admin/alerts/rules/many", rule.clone()),
        put(200, "/admin/alerts/rules/many", rule.clone()),
        put(400, "/admin/alerts/rules/many", json!({ "name": "many", "above": 1 })),
        put(400, "/admin/alerts/rules/other", rule.clone()),
        put(409, "/admin/alerts/rules/cpu-critical", json!({ "name": "cpu-critical", "sql": "SELECT 1", "above": 1 })),
        plain(rules),
        get(one, "/admin/alerts/rules/many"),
        get(one, "/admin/alerts/rules/none").refused(404),
        post(attempt, attempt, rule),
        post(attempt, attempt, seasonal),
        post(attempt, attempt, json!({ "name": "a", "sql": "SELECT 1 AS n", "above": 1 })).refused(400),
        delete(204, one, "/admin/alerts/rules/many"),
        delete(404, one, "/admin/alerts/rules/many"),
        plain("/admin/alerts"),
        Call { status: 201, ..post(silences, silences, silence) },
        post(silences, silences, json!({ "matchers": [], "to": "2200-01-01T00:00:00Z" })).refused(400),
        plain(silences),
        delete(204, "/admin/alerts/silences/{number}", "/admin/alerts/silences/1"),
        delete(404, "/admin/alerts/silences/{number}", "/admin/alerts/silences/1"),
    ]
}

fn lifecycle() -> Vec<Call> {
    const RETENTION: &str = "/admin/datasets/{id}/retention";
    const PREVIEW: &str = "/admin/datasets/{id}/retention/preview";
    const QUOTA: &str = "/admin/datasets/{id}/quota";
    const TENANT: &str = "/admin/tenants/{tenant}/quota";
    const RUN: &str = "/admin/lifecycle/run";
    const WARM: &str = "/admin/lifecycle/prewarm";
    let put = |route, sent, body: Value| Call { method: "put", ..post(route, sent, body) };
    let gone = |route, sent| Call { method: "delete", status: 204, ..get(route, sent) };
    let rules = json!({ "mode": "hybrid", "rules": { "maxAgeHours": 1, "maxTotalBytes": 1 }, "deleteGraceMinutes": 5 });
    vec![
        put(RETENTION, "/admin/datasets/visits/retention?tableName=records", rules),
        put(RETENTION, "/admin/datasets/visits/retention", json!({ "rules": { "maxAgeHours": 0 } })).refused(400),
        put(RETENTION, "/admin/datasets/none/retention", json!({})).refused(404),
        get(RETENTION, "/admin/datasets/visits/retention"),
        get(RETENTION, "/admin/datasets/logs/retention"),
        post(PREVIEW, "/admin/datasets/visits/retention/preview", json!({ "rules": { "maxAgeHours": 1 } })),
        post(PREVIEW, "/admin/datasets/visits/retention/preview", json!({ "rules": { "maxAgeHours": 0 } }))
            .refused(400),
        post(PREVIEW, "/admin/datasets/none/retention/preview", json!({})).refused(404),
        post(RUN, RUN, json!({ "datasetSlug": "visits", "operations": ["retention"], "dryRun": true })),
        post(RUN, RUN, json!({ "datasetSlug": "none" })).refused(404),
        post(RUN, RUN, json!({})),
        gone(RETENTION, "/admin/datasets/visits/retention?tableName=records"),
        gone(RETENTION, "/admin/datasets/visits/retention").refused(404),
        plain("/admin/lifecycle/status"),
        get("/admin/lifecycle/runs", "/admin/lifecycle/runs?limit=5"),
        get("/admin/lifecycle/runs", "/admin/lifecycle/runs?limit=0").refused(400),
        post(WARM, WARM, json!({ "datasetSlug": "logs", "fromShard": "2026-01-31" })),
        post(WARM, WARM, json!({ "datasetSlug": "logs", "fromShard": "today" })).refused(400),
        put(QUOTA, "/admin/datasets/visits/quota", json!({ "rowsPerSecond": 1_000_000 })),
        put(QUOTA, "/admin/datasets/none/quota", json!({})).refused(404),
        get(QUOTA, "/admin/datasets/logs/quota"),
        gone(QUOTA, "/admin/datasets/visits/quota"),
        gone(QUOTA, "/admin/datasets/visits/quota").refused(404),
        put(TENANT, "/admin/tenants/acme/quota", json!({ "storedBytes": 1_000_000_000 })),
        get(TENANT, "/admin/tenants/acme/quota"),
        gone(TENANT, "/admin/tenants/acme/quota"),
        get(TENANT, "/admin/tenants/acme/quota").refused(404),
        gone(TENANT, "/admin/tenants/acme/quota").refused(404),
    ]
}

fn lists() -> Vec<Call> {
    vec![
        plain("/api/v1/health"),
        plain("/api/v1/version"),
        plain("/api/v1/summary"),
        plain("/api/v1/metrics"),
        get("/api/v1/metrics", "/api/v1/metrics?limit=x").refused(400),
        plain("/api/v1/spans"),
        plain("/api/v1/span-patterns"),
        plain("/api/v1/logs"),
        plain("/api/v1/logs/by-service"),
        get("/api/v1/logs/patterns", "/api/v1/logs/patterns?minCount=1"),
        plain("/api/v1/logs/patterns/events"),
        get("/api/v1/logs/patterns/events", "/api/v1/logs/patterns/events?min_score=x").refused(400),
        plain("/api/v1/services"),
        get("/api/v1/cardinality/high", "/api/v1/cardinality/high?threshold=1"),
        get("/api/v1/cardinality/complexity", "/api/v1/cardinality/complexity?threshold=1"),
    ]
}

fn items() -> Vec<Call> {
    vec![
        get("/api/v1/metrics/{name}", "/api/v1/metrics/latency"),
        get("/api/v1/metrics/{name}", "/api/v1/metrics/none").refused(404),
        get("/api/v1/spans/{name}", "/api/v1/spans/checkout"),
        get("/api/v1/logs/{severity}", "/api/v1/logs/INFO"),
        get("/api/v1/logs/service/{service}/severity/{severity}", "/api/v1/logs/service/cart/severity/UNSET"),
        get("/api/v1/logs/patterns/{severity}/{template}", "/api/v1/logs/patterns/ERROR/card%20declined"),
        get("/api/v1/services/{name}/overview", "/api/v1/services/shop/overview"),
        get("/api/v1/services/{name}/attributes", "/api/v1/services/shop/attributes"),
    ]
}

fn attributes() -> Vec<Call> {
    let watch = "/api/v1/attributes/{key}/watch";
    let sent = "/api/v1/attributes/user/watch";
    vec![
        plain("/api/v1/attributes"),
        get("/api/v1/attributes/{key}", "/api/v1/attributes/user"),
        get("/api/v1/attributes/{key}/services", "/api/v1/attributes/user/services"),
        get("/api/v1/attributes/{key}/telemetry", "/api/v1/attributes/user/telemetry"),
        post(watch, sent, Value::Null),
        post(watch, sent, Value::Null).refused(409),
        get(watch, sent),
        Call { method: "delete", status: 204, ..get(watch, sent) },
        Call { method: "delete", status: 404, ..get(watch, sent) },
        post("/api/v1/admin/clear", "/api/v1/admin/clear", Value::Null),
    ]
}

fn sessions(exported: Vec<u8>) -> Vec<Call> {
    let made = |route, body| Call { status: 201, ..post(route, route, body) };
    let one = "/api/v1/sessions/{name}";
    let import = Some(("application/gzip", Body::Bytes(exported)));
    vec![
        made("/api/v1/sessions", json!({ "name": "one" })),
        post("/api/v1/sessions", "/api/v1/sessions", json!({ "name": "one" })).refused(409),
        made("/api/v1/sessions/merge", json!({ "name": "two", "sessions": ["one", "live"] })),
        Call {
            method: "post",
            route: "/api/v1/sessions/import",
            sent: "/api/v1/sessions/import",
            body: import,
            status: 201,
        },
        plain("/api/v1/sessions"),
        get(one, "/api/v1/sessions/one"),
        get("/api/v1/sessions/diff", "/api/v1/sessions/diff?from=one&to=two"),
        get("/api/v1/sessions/{name}/export", "/api/v1/sessions/one/export"),
        post("/api/v1/sessions/{name}/load", "/api/v1/sessions/one/load", Value::Null),
        post("/api/v1/sessions/{name}/merge", "/api/v1/sessions/two/merge", Value::Null),
        Call { method: "delete", status: 204, ..get(one, "/api/v1/sessions/one") },
        post("/api/v1/sessions/{name}/load", "/api/v1/sessions/live/load", Value::Null),
    ]
}

fn second() -> Vec<Call> {
    let batch = json!({ "queries": [{ "id": "a", "endpoint": "/v2/metrics", "params": { "limit": 1 } }] });
    vec![
        plain("/v2/metrics"),
        plain("/v2/cardinality"),
        get("/v2/cardinality/{key}", "/v2/cardinality/user"),
        get("/v2/cardinality/{key}", "/v2/cardinality/none").refused(404),
        get("/v2/cardinality/{key}/what-if", "/v2/cardinality/queue/what-if?values=a"),
        plain("/v2/logs/patterns"),
        get("/v2/logs/patterns/similar", "/v2/logs/patterns/similar?template=login+of+some+user"),
        plain("/v2/stats"),
        plain("/v2/stats/tables"),
        post("/v2/query/batch", "/v2/query/batch", batch),
    ]
}

fn otlp() -> Vec<Call> {
    ["/v1/logs", "/v1/traces", "/v1/metrics"]
        .into_iter()
        .flat_map(|path| [post(path, path, json!({})), post(path, path, json!([])).refused(400)])
        .collect()
}

fn prometheus() -> Vec<Call> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let form = |route: &'static str, text: &str| Call {
        method: "post",
        body: Some((FORM, Body::Bytes(text.as_bytes().to_vec()))),
        ..get(route, route)
    };
    let (query, range) = ("/prometheus/api/v1/query", "/prometheus/api/v1/query_range");
    let (series, labels) = ("/prometheus/api/v1/series", "/prometheus/api/v1/labels");
    let (format, values) = ("/prometheus/api/v1/format_query", "/prometheus/api/v1/label/{name}/values");
    let write = "/prometheus/api/v1/write";
    // An empty request, as snappy packs it.
    let written = |bytes: &[u8]| Some(("application/x-protobuf", Body::Bytes(bytes.to_vec())));
    vec![
        get(query, "/prometheus/api/v1/query?query=count({__name__=~\".%2B\"})"),
        get(query, "/prometheus/api/v1/query?query=sum(").refused(400),
        get(query, "/prometheus/api/v1/query?query=label_replace(up,\"a-b\",\"\",\"\",\"\")").refused(422),
        form(query, "query=vector(1)&time=1769850000.5"),
        get(range, "/prometheus/api/v1/query_range?query=time()&start=0&end=60&step=15"),
        get(range, "/prometheus/api/v1/query_range?query=time()&start=0&end=60&step=0").refused(400),
        form(range, "query=absent(up)&start=0&end=60&step=15s"),
        get(format, "/prometheus/api/v1/format_query?query=up%2B1"),
        form(format, "query=up"),
        get(series, "/prometheus/api/v1/series?match[]={__name__=~\".%2B\"}&limit=2"),
        plain(series).refused(400),
        form(series, "match[]=up"),
        plain(labels),
        form(labels, "match[]=up"),
        get(values, "/prometheus/api/v1/label/__name__/values"),
        plain("/prometheus/api/v1/metadata"),
        plain("/prometheus/api/v1/status/buildinfo"),
        Call { method: "post", status: 204, body: written(&[0]), ..plain(write) },
        Call { method: "post", status: 400, body: written(b"\xff\xff"), ..plain(write) },
        Call { method: "post", status: 415, body: Some(("application/json", Body::Bytes(vec![]))), ..plain(write) },
    ]
}
