use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tidegate_core::query::ReadAnswer;
use tidegate_model::ErrorKind;
use tokio::sync::mpsc;

use super::super::answer::{Answer, Ask, asked};
use super::super::arguments::{SERVICE, SIGNAL};
use super::super::read::{Reader, told};
use super::super::v1::attributes::signal_type;
use super::super::view::{LIVE, View};
use super::super::window::rfc3339;
use super::content::Content;
use super::diff::{self, Asked, Severity};
use super::file::{FORMAT, Header, Stats, Tally, Wanted, opened};
use super::folder::{SessionFolder, Step, checked_name};
use super::rows::{catalog_signal, statement};
use crate::body;
use crate::errors::Failure;
use crate::routes::{Gives, Kind, Param, Route, Sends, delete, get, post};

const FORCE: &[Param] = &[Param { name: "force", kind: Kind::Flag, about: "replace a session of the same name" }];
const SIGNALS: &[Param] = &[Param::text("signals", "only these: metrics, spans, logs, with commas between")];
const DIFF: &[Param] = &[
    Param { name: "from", kind: Kind::Needed, about: "a session's name, or `live` for what is there now" },
    Param { name: "to", kind: Kind::Needed, about: "a session's name, or `live` for what is there now" },
    Param::word("min_severity", &Severity::NAMES, "only changes that matter so much"),
];
const FILE: &[&str] = &["application/gzip"];

/// Routes `/api/v1/sessions…`.
pub(in super::super) fn routes() -> Vec<Route> {
    const ONE: &[(u16, Gives)] = &[(200, Gives::One("Session"))];
    const MADE: &[(u16, Gives)] = &[(201, Gives::One("Session"))];
    const VIEWED: &[(u16, Gives)] = &[(200, Gives::One("Viewed"))];
    let list = get("/api/v1/sessions", "Lists saved sessions").gives(&[(200, Gives::One("Sessions"))]);
    let save = post("/api/v1/sessions", "Saves what is viewed, or unites saved sessions")
        .takes(&[FORCE])
        .sends(Sends::Json("SessionWanted"));
    let import =
        post("/api/v1/sessions/import", "Takes back an exported file").takes(&[FORCE]).sends(Sends::Media(FILE));
    let merge = post("/api/v1/sessions/merge", "Unites saved sessions into one")
        .takes(&[FORCE])
        .sends(Sends::Json("SessionsToMerge"));
    let compare = get("/api/v1/sessions/diff", "Tells what changed between two sessions")
        .takes(&[DIFF, SIGNAL, SERVICE])
        .gives(&[(200, Gives::One("Difference"))]);
    let export = get("/api/v1/sessions/{name}/export", "Sends a session's file")
        .gives(&[(200, Gives::Media(FILE))])
        .refuses(&[404]);
    let load =
        post("/api/v1/sessions/{name}/load", "Shows a session in the place of what is live, to all who do not say")
            .takes(&[SIGNALS])
            .gives(VIEWED);
    let add = post("/api/v1/sessions/{name}/merge", "Adds a session to what is shown").takes(&[SIGNALS]).gives(VIEWED);
    vec![
        asked(list, all),
        asked(save.gives(MADE).refuses(&[404, 409, 413, 429, 501, 504]), create),
        asked(import.gives(MADE).refuses(&[409, 413, 429]), import_file),
        asked(merge.gives(MADE).refuses(&[404, 409, 413, 429, 504]), unite),
        asked(compare.refuses(&[404, 501, 504]), differ),
        asked(get("/api/v1/sessions/{name}", "Tells what a session is").gives(ONE).refuses(&[404]), one),
        asked(
            delete("/api/v1/sessions/{name}", "Removes a session").gives(&[(204, Gives::Nothing)]).refuses(&[404]),
            remove,
        ),
        asked(export, export_file),
        asked(load.refuses(&[404]), load_one),
        asked(add.refuses(&[404]), add_one),
    ]
}

async fn all(ask: Ask) -> Result<Answer, Failure> {
    let told = on_disk(&ask, |folder| {
        let names = folder.names()?;
        names.iter().map(|name| folder.header(name).map(|(header, size)| header.told(size))).collect()
    });
    let told: Vec<Value> = told.await?;
    let total = told.len();
    let viewing = json!(ask.reader.stages.cardinality.view().names());
    Ok(json!({ "sessions": told, "total": total, "viewing": viewing }).into())
}

async fn one(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name").to_owned();
    let (header, size) = on_disk(&ask, move |folder| folder.header(&name)).await?;
    Ok(header.told(size).into())
}

async fn create(ask: Ask) -> Result<Answer, Failure> {
    let wanted: Wanted = body::json(&ask.body, r#"send {"name":"before-release"}"#)?;
    save(&ask, wanted).await
}

async fn unite(ask: Ask) -> Result<Answer, Failure> {
    let example = r#"send {"name":"both","sessions":["before","after"]}"#;
    let wanted: Wanted = body::json(&ask.body, example)?;
    if wanted.sessions.is_empty() {
        return Err(Failure::invalid(format!("`sessions` is missing: {example}")));
    }
    save(&ask, wanted).await
}

/// Writes the rows of a view into a file while they come.
async fn save(ask: &Ask, wanted: Wanted) -> Result<Answer, Failure> {
    let (stages, force, name) = (&ask.reader.stages, ask.arguments.flag("force"), wanted.name.clone());
    checked_name(&name)?;
    let view = if wanted.sessions.is_empty() {
        stages.cardinality.view().clone()
    } else {
        View::parse(&wanted.sessions.join(","))?
    };
    let _alone = stages.cardinality.saving.lock().await;
    let own = name.clone();
    on_disk(ask, move |folder| folder.check_room(&own, force)).await?;
    let reader = Reader::over(stages.clone(), Some(&view)).await?;
    let answer = reader.asked(statement(&wanted)?).await?;

    let header = Header {
        format: FORMAT,
        id: wanted.name,
        description: wanted.description,
        created: rfc3339(stages.clock.now().0),
        signals: wanted.signals,
        services: wanted.services,
        sources: view.names().into_iter().map(str::to_owned).collect(),
        stats: Stats::default(),
    };
    let told = written(ask, answer, header).await?;
    stages.cardinality.copies.lock().await.forget(&name);
    Ok(Answer::created(&told))
}

/// Writes an answer's rows as they come; what breaks off leaves nothing.
async fn written(ask: &Ask, answer: ReadAnswer, header: Header) -> Result<Value, Failure> {
    let (pieces, mut taken) = mpsc::channel::<Step>(2);
    let written = on_disk(ask, move |folder| {
        let outcome = folder.write_rows(&header.id, &mut taken).and_then(|stats| {
            let header = Header { stats, ..header.clone() };
            folder.finish(&header).map(|size| header.told(size))
        });
        folder.remove_drafts(&header.id);
        outcome
    });
    let send = async move {
        let mut body = answer.body;
        while let Some(piece) = body.next().await {
            // Whoever does not take it has failed, and says why.
            if pieces.send(Some(piece.map_err(told)?)).await.is_err() {
                return Ok(());
            }
        }
        drop(pieces.send(None).await);
        Ok::<_, Failure>(())
    };
    let (sent, written) = tokio::join!(send, written);
    sent?;
    written
}

/// Takes a file after every line of it was read.
async fn import_file(ask: Ask) -> Result<Answer, Failure> {
    let (force, bytes) = (ask.arguments.flag("force"), ask.body.clone());
    let cardinality = &ask.reader.stages.cardinality;
    let _alone = cardinality.saving.lock().await;
    let (name, told) = on_disk(&ask, move |folder| {
        let (header, lines) = opened(bytes.as_ref())?;
        let mut tally = Tally::default();
        for line in lines {
            tally.add(&line?)?;
        }
        if tally.stats() != header.stats {
            return Err(Failure::invalid("the session is not whole: it has not what its first line says"));
        }
        folder.check_room(&header.id, force)?;
        let size = folder.write(&header.id, &bytes)?;
        Ok((header.id.clone(), header.told(size)))
    })
    .await?;
    cardinality.copies.lock().await.forget(&name);
    Ok(Answer::created(&told))
}

async fn remove(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name").to_owned();
    on_disk(&ask, move |folder| folder.remove(&name)).await?;
    let cardinality = &ask.reader.stages.cardinality;
    cardinality.view().remove(ask.path("name"));
    cardinality.copies.lock().await.forget(ask.path("name"));
    Ok(Answer::Empty)
}

async fn export_file(ask: Ask) -> Result<Answer, Failure> {
    let name = ask.path("name").to_owned();
    let file = format!("{name}.json.gz");
    let bytes = on_disk(&ask, move |folder| folder.bytes(&name)).await?;
    Ok(Answer::File { name: file, bytes })
}

async fn load_one(ask: Ask) -> Result<Answer, Failure> {
    show(&ask, View { live: false, sessions: Vec::new() }).await
}

async fn add_one(ask: Ask) -> Result<Answer, Failure> {
    let view = ask.reader.stages.cardinality.view().clone();
    show(&ask, view).await
}

/// Shows a view with one session more. Telemetry goes on to be stored and counted, whatever is shown.
async fn show(ask: &Ask, mut view: View) -> Result<Answer, Failure> {
    let words = ask.arguments.text("signals").map(|text| text.split(',').collect::<Vec<_>>()).unwrap_or_default();
    let signals = words.into_iter().map(catalog_signal).collect::<Result<Vec<_>, _>>()?;
    view.add(ask.path("name"), signals.clone())?;
    let stages = &ask.reader.stages;
    // What cannot be read is not shown.
    Reader::over(stages.clone(), Some(&view)).await?;
    let signals: Vec<String> = signals.iter().map(|signal| format!("{}s", signal_type(signal))).collect();
    let told = json!({
        "status": "ok",
        "session": ask.path("name"),
        "signals": signals,
        "viewing": view.names(),
    });
    *stages.cardinality.view() = view;
    Ok(told.into())
}

async fn differ(ask: Ask) -> Result<Answer, Failure> {
    let arguments = &ask.arguments;
    let word = arguments.word("min_severity").unwrap_or_default();
    let severity_min = Severity::NAMES.iter().position(|name| *name == word).unwrap_or(0);
    let name = |which: &str| arguments.text(which).unwrap_or(LIVE);
    let (from, to) = (content(&ask, name("from")).await?, content(&ask, name("to")).await?);
    let asked =
        Asked { signal_type: arguments.signal().map(signal_type), service: arguments.text("service"), severity_min };
    Ok(diff::told(&from, &to, &asked).into())
}

async fn content(ask: &Ask, name: &str) -> Result<Arc<Content>, Failure> {
    let reader = Reader::over(ask.reader.stages.clone(), Some(&View::parse(name)?)).await?;
    match reader.sources.copies.as_ref() {
        [(copy, _)] if !reader.sources.live => copy.content(&reader, name).await,
        _ => Content::of(&reader, name).await.map(Arc::new),
    }
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
