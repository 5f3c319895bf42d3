use axum::Router;
use axum::routing::MethodFilter;
use http::StatusCode;
use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::limits::REQUEST_BYTES_MAX;

use super::super::answer::{Answer, Ask, BODY_BYTES_MAX, Door, door, reads};
use super::content::{Session, Wanted};
use super::diff::{self, Asked, Severity};
use super::folder::{Saved, SessionFolder, checked_name, unpacked};
use crate::errors::Failure;
use crate::stages::Stages;

/// Stands for the catalogue as it is now, where a session's name is asked for.
const LIVE: &str = "live";

/// Routes `/sessions`.
pub(in super::super) fn router() -> Router<Stages> {
    let save = Door { method: MethodFilter::POST, known: &[&["force"]], body_bytes_max: BODY_BYTES_MAX };
    let import = Door { body_bytes_max: REQUEST_BYTES_MAX, ..save };
    let into_live = Door { known: &[&["signals"]], ..save };
    let remove = Door { method: MethodFilter::DELETE, known: &[], ..save };
    Router::new()
        .route("/sessions", reads(&[], all).merge(door(save, create)))
        .route("/sessions/import", door(import, import_file))
        .route("/sessions/diff", reads(&[&["from", "to", "signal_type", "service", "min_severity"]], differ))
        .route("/sessions/{name}", reads(&[], one).merge(door(remove, delete)))
        .route("/sessions/{name}/export", reads(&[], export))
        .route("/sessions/{name}/load", door(into_live, load))
        .route("/sessions/{name}/merge", door(into_live, load))
}

async fn all(ask: Ask) -> Result<Answer, Failure> {
    let told = on_disk(&ask, |folder| {
        let names = folder.names()?;
        names.iter().map(|name| folder.read(name).map(|saved| saved.session.metadata(saved.size_bytes))).collect()
    });
    let told: Vec<serde_json::Value> = told.await?;
    let total = told.len();
    Ok(json!({ "sessions": told, "total": total }).into())
}

async fn one(ask: Ask) -> Result<Answer, Failure> {
    let saved = saved(&ask, ask.path("name")).await?;
    Ok(saved.session.metadata(saved.size_bytes).into())
}

async fn create(ask: Ask) -> Result<Answer, Failure> {
    let force = force(&ask)?;
    let wanted: Wanted = serde_json::from_slice(&ask.body).map_err(|error| {
        Failure::invalid(format!("the body cannot be read ({error}): send {{\"name\":\"before-release\"}}"))
    })?;
    if checked_name(&wanted.name)? == LIVE {
        return Err(Failure::invalid("`live` stands for what is there now: choose another name"));
    }
    let session = Session::of_now(&ask.reader, wanted).await?;
    written(&ask, session, force).await
}

async fn import_file(ask: Ask) -> Result<Answer, Failure> {
    let (force, bytes) = (force(&ask)?, ask.body.clone());
    let session = on_disk(&ask, move |_| unpacked(&bytes)).await?;
    written(&ask, session, force).await
}

async fn written(ask: &Ask, session: Session, force: bool) -> Result<Answer, Failure> {
    let told = on_disk(ask, move |folder| folder.write(&session, force).map(|size| session.metadata(size))).await?;
    Ok(Answer::Json(StatusCode::CREATED, told))
}

async fn delete(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name").to_owned();
    on_disk(&ask, move |folder| folder.remove(&name)).await?;
    Ok(Answer::Empty)
}

async fn export(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name").to_owned();
    let file = format!("{name}.json.gz");
    let bytes = on_disk(&ask, move |folder| folder.bytes(&name)).await?;
    Ok(Answer::File { name: file, bytes })
}

async fn differ(ask: Ask) -> Result<Answer, Failure> {
    let signal = match ask.arguments.signal()? {
        Some("metrics") => Some("metric"),
        Some("traces") => Some("span"),
        Some(_) => Some("log"),
        None => None,
    };
    let word = ask.arguments.word(&["min_severity"], &Severity::NAMES)?;
    let severity_min = Severity::NAMES.iter().position(|name| *name == word).unwrap_or(0);
    let service = ask.arguments.text("service");
    let name = |which: &str| {
        ask.arguments.text(which).ok_or_else(|| {
            Failure::invalid(format!("`{which}` is missing: name a session, or `live` for what is there now"))
        })
    };
    let (from, to) = (named(&ask, name("from")?).await?, named(&ask, name("to")?).await?);
    Ok(diff::told(&from, &to, &Asked { signal_type: signal, service, severity_min }).into())
}

/// Loading would put a session in the place of telemetry that is stored and acknowledged.
async fn load(ask: Ask) -> Result<Answer, Failure> {
    let saved = saved(&ask, ask.path("name")).await?;
    let message = format!(
        "the session `{}` is readable, and is not put into the live catalogue: that tells of stored telemetry only",
        saved.session.id
    );
    let hint = "GET /api/v1/sessions/diff?from=…&to=live compares both";
    Err(Failure::new(ErrorKind::Invalid, message).with_status(StatusCode::NOT_IMPLEMENTED).with_hint(hint))
}

async fn named(ask: &Ask, name: &str) -> Result<Session, Failure> {
    if name == LIVE {
        return Session::of_now(&ask.reader, Wanted { name: LIVE.to_owned(), ..Wanted::default() }).await;
    }
    Ok(saved(ask, name).await?.session)
}

async fn saved(ask: &Ask, name: &str) -> Result<Saved, Failure> {
    let name = name.to_owned();
    on_disk(ask, move |folder| folder.read(&name)).await
}

/// Runs what waits for the disk where it holds up nobody else.
async fn on_disk<T: Send + 'static>(
    ask: &Ask,
    work: impl FnOnce(SessionFolder) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let Some(path) = ask.reader.stages.cardinality.sessions.clone() else {
        return Err(Failure::new(ErrorKind::Unavailable, "this server has no folder for sessions"));
    };
    let done = tokio::task::spawn_blocking(move || work(SessionFolder { path })).await;
    done.map_err(|error| Failure::of(ErrorKind::Internal, &error))?
}

fn force(ask: &Ask) -> Result<bool, Failure> {
    Ok(ask.arguments.word(&["force"], &["false", "true"])? == "true")
}
