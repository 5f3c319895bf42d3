use http::{HeaderMap, StatusCode};
use tidegate_core::catalog::DatasetRecord;
use tidegate_core::query::plan;
use tidegate_model::ErrorKind;

use crate::errors::Failure;
use crate::migrations::check_reads;
use crate::stages::Stages;

/// Scopes that requests must have; an empty one asks for nothing.
///
/// Tidegate knows no users of its own: it believes the headers that a gateway before it writes.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// For reads of datasets.
    pub read_scope: String,
    /// For rows into datasets.
    pub write_scope: String,
    /// For what is under `/admin`; whoever has it may do everything else too.
    pub admin_scope: String,
}

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Read,
    Write,
    Admin,
}

/// Refuses a request that lacks a scope: of the server's settings, or of the dataset's `metadata.iam`.
pub(crate) fn check(
    access: &Access,
    headers: &HeaderMap,
    want: Want,
    dataset: Option<&DatasetRecord>,
) -> Result<(), Failure> {
    let given = headers.get("x-iam-scopes").and_then(|value| value.to_str().ok());
    let given: Option<Vec<&str>> = given.map(|text| text.split(',').map(str::trim).collect());
    let has = |scope: &str| given.as_ref().is_some_and(|given| given.contains(&scope));
    if !access.admin_scope.is_empty() && has(&access.admin_scope) {
        return Ok(());
    }
    let (general, own) = match want {
        Want::Read => (&access.read_scope, "readScopes"),
        Want::Write => (&access.write_scope, "writeScopes"),
        Want::Admin => (&access.admin_scope, ""),
    };
    if !general.is_empty() && !has(general) {
        return Err(refused(given.is_some(), general));
    }
    let own = dataset.and_then(|dataset| dataset.metadata.get("iam")?.get(own)?.as_array().cloned());
    let own: Vec<&str> = own.iter().flatten().filter_map(serde_json::Value::as_str).collect();
    if own.is_empty() || own.iter().any(|scope| has(scope)) {
        return Ok(());
    }
    Err(refused(given.is_some(), &own.join("` or `")))
}

/// Checks the datasets whose tables a statement may name.
pub(crate) async fn check_sql(
    stages: &Stages,
    headers: &HeaderMap,
    (sql, params): (&str, &[(String, String)]),
) -> Result<(), Failure> {
    let names = plan::names(sql, params);
    let datasets = stages.catalog.datasets_named(|table| names.iter().any(|name| name == table.as_str())).await;
    for dataset in datasets.map_err(|error| super::failed(&error))? {
        check(&stages.access, headers, Want::Read, stages.catalog.record(&dataset.slug).as_ref())?;
        check_reads(stages, headers, (&dataset.slug, &dataset.label))?;
    }
    Ok(())
}

fn refused(has_scopes: bool, scope: &str) -> Failure {
    let status = if has_scopes { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
    Failure::new(ErrorKind::Invalid, format!("the request needs the scope `{scope}`"))
        .with_status(status)
        .with_hint("send it in the header x-iam-scopes, through the gateway that knows who asks")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;
    use tidegate_core::catalog::DatasetStatus;
    use tidegate_model::UnixNanos;

    use super::*;

    fn status(access: &Access, scopes: Option<&'static str>, want: Want) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(scopes) = scopes {
            headers.insert("x-iam-scopes", HeaderValue::from_static(scopes));
        }
        let iam = json!({ "iam": { "writeScopes": ["team:write", "other"], "readScopes": [] } });
        let record = DatasetRecord {
            slug: "d".into(),
            name: "d".into(),
            description: String::new(),
            status: DatasetStatus::Active,
            metadata: iam.as_object().cloned().expect("an object"),
            storage_target: None,
            created_at: UnixNanos(0),
            updated_at: UnixNanos(0),
            created_by: String::new(),
        };
        check(access, &headers, want, Some(&record)).map_or_else(|failure| failure.http_status().as_u16(), |()| 200)
    }

    #[test]
    fn a_request_needs_the_scopes_of_the_server_and_of_the_dataset() {
        let open = Access::default();
        assert_eq!(status(&open, None, Want::Read), 200);
        assert_eq!(status(&open, None, Want::Write), 401);
        assert_eq!(status(&open, Some("team:read"), Want::Write), 403);
        assert_eq!(status(&open, Some("x, team:write"), Want::Write), 200);
        assert_eq!(status(&open, None, Want::Admin), 200);
        let closed = Access { read_scope: "r".into(), write_scope: "w".into(), admin_scope: "a".into() };
        assert_eq!(status(&closed, Some("r"), Want::Read), 200);
        assert_eq!(status(&closed, Some("w"), Want::Read), 403);
        assert_eq!(status(&closed, Some("w"), Want::Write), 403);
        assert_eq!(status(&closed, Some("w,other"), Want::Write), 200);
        assert_eq!(status(&closed, Some("w"), Want::Admin), 403);
        for want in [Want::Read, Want::Write, Want::Admin] {
            assert_eq!(status(&closed, Some("a"), want), 200);
        }
    }
}
