use std::path::{Component, Path as FilePath};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get as getting, patch as patching, post as posting};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{CatalogError, StorageTarget, TargetPlace};
use tidegate_model::ErrorKind;
use tidegate_model::limits::SQL_BODY_BYTES_MAX;

use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, delete, get, patch, post};
use crate::stages::Stages;

/// The folder of all exports.
pub(super) const LOCAL: &str = "local";
/// The bucket of the settings.
const S3: &str = "s3";
const ID_BYTES_MAX: usize = 64;

/// Why it is not known where an export goes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("there is no storage target `{0}`")]
    Unknown(String),
    #[error("the storage target `{0}` is on an S3 server, and the settings name none")]
    NoServer(String),
    #[error("look up the storage target")]
    Catalog(#[from] CatalogError),
}

/// A target that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    id: String,
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    folder: Option<String>,
    bucket: Option<String>,
    prefix: Option<String>,
}

/// The routes of storage targets.
pub(super) fn routes() -> Vec<Route> {
    const ALL: &str = "/admin/storage-targets";
    const ONE: &str = "/admin/storage-targets/{id}";
    vec![
        get(ALL, "Lists the places that exports may go to")
            .gives(&[(200, Gives::One("StorageTargets"))])
            .refuses(&[401, 403])
            .by(getting(list)),
        post(ALL, "Makes a place that exports may go to")
            .sends(Sends::Json("StorageTargetAsked"))
            .gives(&[(201, Gives::One("StorageTarget"))])
            .refuses(&[401, 403, 408, 409, 413])
            .by(posting(make)),
        patch(ONE, "Changes what is said of a place, and, while nothing uses it, where it is")
            .sends(Sends::Json("StorageTargetChange"))
            .gives(&[(200, Gives::One("StorageTarget"))])
            .refuses(&[401, 403, 404, 408, 409, 413])
            .by(patching(change)),
        delete(ONE, "Removes a place that nothing uses; what was exported to it stays there")
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404, 409])
            .by(deleting(remove)),
    ]
}

/// Refuses a target that nobody made.
pub(crate) async fn check_known(stages: &Stages, id: &str) -> Result<(), Failure> {
    place(stages, id).await.map(drop).map_err(|error| failed(&error))
}

/// Returns the folder of a target, or the address of its objects.
pub(super) async fn place(stages: &Stages, id: &str) -> Result<String, TargetError> {
    let folder = &stages.exports.options.folder;
    let bucket = stages.exports.options.bucket.as_ref();
    let no_server = || TargetError::NoServer(id.to_owned());
    if id == LOCAL {
        return Ok(folder.to_string_lossy().into_owned());
    }
    if id == S3 {
        let url = bucket.ok_or_else(no_server)?.url("");
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let found = stages.catalog.storage_target(id).await?.ok_or_else(|| TargetError::Unknown(id.to_owned()))?;
    match found.place {
        TargetPlace::Folder(below) => Ok(folder.join(below).to_string_lossy().into_owned()),
        TargetPlace::Objects { .. } if bucket.is_none() => Err(no_server()),
        TargetPlace::Objects { bucket, prefix } if prefix.is_empty() => Ok(format!("s3://{bucket}")),
        TargetPlace::Objects { bucket, prefix } => Ok(format!("s3://{bucket}/{prefix}")),
    }
}

/// Tells a client what is wrong with a target.
pub(super) fn failed(error: &TargetError) -> Failure {
    match error {
        TargetError::Unknown(_) => Failure::invalid(error.to_string())
            .with_hint("GET /admin/storage-targets lists them, POST makes one; `local` is the folder of exports"),
        TargetError::NoServer(_) => Failure::invalid(error.to_string()).with_hint("set `[s3]`, and start again"),
        TargetError::Catalog(error) => Failure::of(error.kind(), error),
    }
}

/// Lets nobody name what is beside the place of exports.
pub(super) fn check_below(field: &str, path: &str) -> Result<(), Failure> {
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(name) if name.to_str().is_some_and(|name| !name.starts_with('.')));
    let is_below = !path.is_empty() && path.len() <= 255 && FilePath::new(path).components().all(is_name);
    if is_below && !path.ends_with('/') && !path.contains("//") && !path.contains(char::is_control) {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "`{field}` is a path below the place of exports, such as `month/january`, without `..`, it is `{path}`"
    ))
    .with_hint("the setting `exports.folder` says where all exports go"))
}

async fn list(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    let listed = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        stages.catalog.storage_targets().await.map_err(|error| failed(&error.into()))
    };
    match listed.await {
        Ok(made) => {
            let all: Vec<_> = built_in(&stages).into_iter().chain(made.iter().map(told)).collect();
            Json(json!({ "targets": all })).into_response()
        }
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn make(State(stages): State<Stages>, request: Request) -> Response {
    match made(&stages, request).await {
        Ok(target) => (StatusCode::CREATED, Json(told(&target))).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn made(stages: &Stages, request: Request) -> Result<StorageTarget, Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Admin, None)?;
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let asked: Asked = body::json(
        &body,
        r#"send {"id":…,"kind":"local" or "s3","config":{"folder":…} or {"bucket":…,"prefix":…},"description":…}"#,
    )?;
    check_id(&asked.id)?;
    let place = place_asked(stages, &asked)?;
    let created_by = actor(&parts.headers).unwrap_or_default();
    let target = StorageTarget {
        id: asked.id,
        place,
        description: asked.description,
        created_by,
        created_at: stages.clock.now(),
    };
    let is_free = ![LOCAL, S3].contains(&target.id.as_str());
    if !is_free || !stages.catalog.add_storage_target(&target).await.map_err(|error| failed(&error.into()))? {
        let message = format!("there is a storage target `{}` already, or there are too many of them", target.id);
        return Err(
            Failure::new(ErrorKind::Conflict, message).with_hint("choose another id, or change that one with PATCH")
        );
    }
    Ok(target)
}

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    description: Option<String>,
    config: Option<Config>,
}

async fn change(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let changed = async {
        let (parts, body) = request.into_parts();
        let mut target = made_one(&stages, &parts.headers, &id).await?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let Change { description, config } =
            body::json(&body, r#"send {"description":…,"config":{"folder":…} or {"bucket":…,"prefix":…}}"#)?;
        let before = target.place.clone();
        if let Some(config) = config {
            let (kind, description) = (target.place.kind().to_owned(), String::new());
            target.place = place_asked(&stages, &Asked { id, kind, description, config })?;
        }
        let is_moved = target.place != before;
        target.description = description.unwrap_or(target.description);
        if is_moved && stages.exports.options.target == target.id {
            return Err(used(&target.id));
        }
        let is_changed = stages.catalog.change_storage_target(&target).await.map_err(|error| failed(&error.into()))?;
        if is_changed { Ok(target) } else { Err(used(&target.id)) }
    };
    match changed.await {
        Ok(target) => Json(told(&target)).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn remove(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let removed = async {
        made_one(&stages, &headers, &id).await?;
        let is_default = stages.exports.options.target == id;
        let is_removed =
            !is_default && stages.catalog.remove_storage_target(&id).await.map_err(|error| failed(&error.into()))?;
        if is_removed { Ok(()) } else { Err(used(&id)) }
    };
    match removed.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

/// Finds a target that somebody made.
async fn made_one(stages: &Stages, headers: &HeaderMap, id: &str) -> Result<StorageTarget, Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    if [LOCAL, S3].contains(&id) {
        let message = format!("the storage target `{id}` is that of the settings");
        return Err(Failure::new(ErrorKind::Conflict, message).with_hint("change the settings, and start again"));
    }
    let found = stages.catalog.storage_target(id).await.map_err(|error| failed(&error.into()))?;
    found.ok_or_else(|| Failure::new(ErrorKind::NotFound, TargetError::Unknown(id.to_owned()).to_string()))
}

fn used(id: &str) -> Failure {
    let message = format!("the storage target `{id}` is in use: a dataset, the settings or a waiting export names it");
    Failure::new(ErrorKind::Conflict, message)
        .with_hint("PUT /admin/datasets/{id}/storage-target names another; a description can be changed at any time")
}

fn check_id(id: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Failure::invalid(format!("`id` has 1 to {ID_BYTES_MAX} letters, digits, `-`, `_` and `.`, it is `{id}`")))
}

fn place_asked(stages: &Stages, asked: &Asked) -> Result<TargetPlace, Failure> {
    let Config { folder, bucket, prefix } = &asked.config;
    match asked.kind.as_str() {
        "local" if bucket.is_none() && prefix.is_none() => {
            let folder = folder.as_deref().unwrap_or_default();
            check_below("config.folder", folder)?;
            Ok(TargetPlace::Folder(folder.to_owned()))
        }
        "s3" if folder.is_none() => {
            let own = stages.exports.options.bucket.as_ref();
            let own = own.ok_or_else(|| failed(&TargetError::NoServer(asked.id.clone())))?.options();
            let prefix = prefix.as_deref().unwrap_or(&own.prefix);
            if !prefix.is_empty() {
                check_below("config.prefix", prefix)?;
            }
            let bucket = bucket.as_deref().unwrap_or(&own.bucket);
            check_id(bucket)?;
            Ok(TargetPlace::Objects { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        }
        "local" | "s3" => {
            Err(Failure::invalid("`config` of `local` is `folder`, that of `s3` is `bucket` and `prefix`"))
        }
        other => Err(Failure::invalid(format!("`kind` is `local` or `s3`, it is `{other}`"))),
    }
}

fn built_in(stages: &Stages) -> Vec<Value> {
    let options = &stages.exports.options;
    let of = |id: &str, config: Value, description: &str| {
        json!({
            "id": id, "kind": id, "config": config, "description": description, "builtIn": true,
            "createdAt": null, "createdBy": null,
        })
    };
    let mut all = vec![of(LOCAL, json!({ "folder": options.folder }), "the folder of exports")];
    if let Some(bucket) = &options.bucket {
        let config = json!({ "bucket": bucket.options().bucket, "prefix": bucket.options().prefix });
        all.push(of(S3, config, "the bucket of the settings"));
    }
    all
}

fn told(target: &StorageTarget) -> Value {
    let config = match &target.place {
        TargetPlace::Folder(folder) => json!({ "folder": folder }),
        TargetPlace::Objects { bucket, prefix } => json!({ "bucket": bucket, "prefix": prefix }),
    };
    json!({
        "id": target.id,
        "kind": target.place.kind(),
        "config": config,
        "description": target.description,
        "builtIn": false,
        "createdAt": target.created_at.to_string(),
        "createdBy": target.created_by,
    })
}
