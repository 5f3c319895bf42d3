use anyhow::Result;

use super::Api;

/// Texts that have broken other programs.
const ODD: &[&str] = &[
    "%27%3B+DROP+TABLE+logs%3B--",
    "%27",
    "%5C",
    "%5C%27",
    "%22",
    "%60",
    "a%09b%0Ac",
    "%F0%9F%A6%80",
    "%C3%A9%CC%81",
    "%7Bx%3AString%7D",
    "%25s",
    "_hot_logs",
    "catalog_signals",
    "-1",
    "0",
    "18446744073709551615",
    "99999999999999999999999",
    "1e9",
    "NaN",
    "%00",
    "%FF",
    "..%2F..%2Fetc",
    "%24%24",
    "%2F%2A",
    "a%2Fb%2Fc",
];

const LISTS: &[&str] = &[
    "/api/v1/summary",
    "/api/v1/metrics",
    "/api/v1/spans",
    "/api/v1/span-patterns",
    "/api/v1/logs",
    "/api/v1/logs/by-service",
    "/api/v1/logs/patterns",
    "/api/v1/logs/patterns/events",
    "/api/v1/services",
    "/api/v1/cardinality/high",
    "/api/v1/cardinality/complexity",
    "/api/v1/attributes",
    "/v2/metrics",
    "/v2/cardinality",
    "/v2/logs/patterns",
    "/v2/logs/patterns/similar",
];

const ITEMS: &[&str] = &[
    "/api/v1/metrics/{}",
    "/api/v1/spans/{}",
    "/api/v1/logs/{}",
    "/api/v1/logs/service/{}/severity/{}",
    "/api/v1/logs/patterns/{}/{}",
    "/api/v1/services/{}/overview",
    "/api/v1/services/{}/attributes",
    "/api/v1/attributes/{}",
    "/api/v1/attributes/{}/services",
    "/api/v1/attributes/{}/telemetry",
    "/api/v1/attributes/{}/watch",
    "/v2/cardinality/{}",
    "/v2/cardinality/{}/what-if",
    "/v2/cardinality/user/what-if?values={}",
    "/v2/cardinality/queue?period={}",
    "/v2/logs/patterns/similar?template={}",
    "/api/v1/sessions/{}",
    "/api/v1/sessions/{}/export",
    "/api/v1/sessions/diff?from={}&to=live",
];

const PARAMETERS: &[&str] = &[
    "service",
    "limit",
    "offset",
    "from",
    "to",
    "threshold",
    "signal_type",
    "scope",
    "min_cardinality",
    "max_cardinality",
    "sort_by",
    "sort_order",
    "minCount",
    "minServices",
    "page",
    "page_size",
    "q",
    "session",
    "nonsense",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_not_known_is_told() -> Result<()> {
    let api = Api::start().await?;
    for (path, status, part) in [
        ("/api/v1/metrics/none", 404, "no metric `none`"),
        ("/api/v1/spans/none", 404, "no span `none`"),
        ("/api/v1/logs/none", 404, "no severity `none`"),
        ("/api/v1/logs/service/shop/severity/none", 404, "severity `none`"),
        ("/api/v1/logs/patterns/INFO/none", 404, "template"),
        ("/api/v1/services/none/overview", 404, "no service `none`"),
        ("/api/v1/services/none/attributes", 404, "service `none`"),
        ("/api/v1/attributes/none", 404, "no attribute `none`"),
        ("/api/v1/attributes/none/services", 404, "no attribute `none`"),
        ("/api/v1/attributes/none/telemetry", 404, "no attribute `none`"),
        ("/api/v1/nothing", 404, "nothing at"),
        ("/api/v1/admin/clear", 405, "method"),
        ("/api/v1/metrics?lmit=1", 400, "`lmit` is not known"),
        ("/api/v1/metrics?limit=many", 400, "whole number"),
        ("/api/v1/metrics?limit=10001", 400, "at most 10000"),
        ("/api/v1/metrics?from=2026-02-01&to=2026-01-01", 400, "before"),
        ("/api/v1/attributes?sort_by=colour", 400, "one of cardinality, count"),
        ("/api/v1/cardinality/high?limit=1001", 400, "at most 1000"),
        ("/api/v1/metrics?session=none", 404, "no session `none`"),
        ("/api/v1/metrics?session=..%2Fx", 400, "a session's name"),
        ("/api/v1/sessions/diff?to=live", 400, "`from` is missing"),
        ("/v2/cardinality/user/what-if?session=live", 400, "`session` is not known"),
        ("/v2/nothing", 404, "nothing at"),
        ("/v2/cardinality/none", 404, "no attribute `none`"),
        ("/v2/cardinality/none/what-if", 404, "no attribute `none`"),
        ("/v2/cardinality/user?period=90m", 400, "whole hours or days"),
        ("/v2/logs/patterns/similar", 400, "`template` is missing"),
    ] {
        let (found, answer) = api.get(path).await?;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| text.contains(part)), "{path}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_texts_are_answered_and_never_a_failure_of_the_server() -> Result<()> {
    let api = Api::start().await?;
    let mut asked = 0_u32;
    for odd in ODD {
        for path in ITEMS {
            check(&api, &path.replace("{}", odd)).await?;
            asked += 1;
        }
        for path in LISTS {
            // Each text meets each list with two of the parameters, and over all texts with all of them.
            for step in 0..2 {
                let name = PARAMETERS[(asked as usize * 7 + step * 5) % PARAMETERS.len()];
                check(&api, &format!("{path}?{name}={odd}")).await?;
            }
            check(&api, &format!("{path}?service={odd}")).await?;
            asked += 1;
        }
    }
    Ok(())
}

async fn check(api: &Api, path: &str) -> Result<()> {
    let (status, answer) = api.get(path).await?;
    assert!(matches!(status, 200 | 400 | 404), "{path}: {status} {answer}");
    assert!(status == 200 || answer["error"].is_string(), "{path}: {answer}");
    Ok(())
}
