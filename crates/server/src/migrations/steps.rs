use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_core::catalog::{CatalogError, Migration, MigrationProgress, MigrationState};
use tidegate_model::limits::{FREEZE_SECONDS, FREEZE_SECONDS_MAX, SQL_BODY_BYTES_MAX};
use tidegate_model::{ErrorKind, Seq, UnixNanos};

use super::records::{answered, audit, described, found, head};
use super::{failed, unreadable};
use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::stages::Stages;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// What a step is told beside its name.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Asked {
    /// `freeze`: it ends by itself after so long.
    seconds: Option<u64>,
    /// `switch`: so many rows of the older engine were refused, and may be.
    accept_rejected: u64,
    /// `rollback`: rows that only we have may be out of sight.
    force: bool,
    /// `finish`: the mirror's files go.
    remove_files: bool,
    /// `mirror`: somebody loads the files, and will tell.
    is_applied: bool,
    /// `applied`: up to this row.
    row: u64,
}

/// A step that may not be taken now.
#[derive(Debug)]
enum Refused {
    Catalog(CatalogError),
    Step(Vec<String>),
}

impl From<CatalogError> for Refused {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

/// Answers `POST /admin/migrations/{migration}/steps/{step}`.
pub(super) async fn step(
    State(stages): State<Stages>,
    Path((id, step)): Path<(String, String)>,
    request: Request,
) -> Response {
    answered(&stages, taken(&stages, &id, &step, request).await)
}

async fn taken(stages: &Stages, id: &str, step: &str, request: Request) -> Result<Value, Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Admin, None)?;
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let asked = if body.is_empty() { Ok(Asked::default()) } else { serde_json::from_slice(&body) };
    let asked: Asked = asked.map_err(|error| unreadable(&error))?;
    let (action, change) = named(step)?;
    let before = found(stages, id).await?;
    if !before.state.is_open() {
        return Err(not_taken(step, &[format!("it is {}", before.state.as_str())]));
    }
    let progress = stages.catalog.migration_progress(id).await.map_err(|error| failed(&error))?;
    let (head, now) = (head(stages, &before).await?, stages.clock.now());
    let moment = Moment { progress, head, now };
    let table = (before.slug.as_str(), before.label.as_str());
    let outcome = stages.catalog.update_migration(table, now, |migration| {
        // Another one may have begun for the table meanwhile.
        if migration.id != id {
            return Err(Refused::Step(vec!["it is over".to_owned()]));
        }
        change(migration, &asked, &moment).map_err(Refused::Step)
    });
    let actor = actor(&parts.headers).unwrap_or_default();
    let detail = json!({ "asked": asked, "head": head });
    let changed = match outcome.await {
        Ok(Some(changed)) => changed,
        Ok(None) => return Err(not_taken(step, &["it is over".to_owned()])),
        Err(Refused::Catalog(error)) => return Err(failed(&error)),
        Err(Refused::Step(why)) => {
            audit(stages, &before, (action, false), actor, json!({ "why": why })).await;
            return Err(not_taken(step, &why));
        }
    };
    if changed.state == MigrationState::Frozen {
        // Requests that came before it may be under way.
        stages.ingest.drain(&changed.slug, &changed.label).await?;
    }
    if changed.state == MigrationState::Finished && asked.remove_files {
        stages.mirrors.remove(&changed).await.map_err(|error| Failure::of(error.kind(), &error))?;
    }
    if step != "applied" {
        tracing::info!(migration = id, step, dataset = changed.slug, "a migration took a step");
        audit(stages, &changed, (action, true), actor, detail).await;
    }
    described(stages, &changed).await
}

/// What a step is judged by.
struct Moment {
    progress: MigrationProgress,
    head: Seq,
    now: UnixNanos,
}

type Change = fn(&mut Migration, &Asked, &Moment) -> Result<(), Vec<String>>;

fn named(step: &str) -> Result<(&'static str, Change), Failure> {
    Ok(match step {
        "freeze" => ("migration.frozen", freeze),
        "thaw" => ("migration.thawed", thaw),
        "switch" => ("migration.switched", switch),
        "rollback" => ("migration.rolled_back", roll_back),
        "finish" => ("migration.finished", finish),
        "abandon" => ("migration.abandoned", abandon),
        "mirror" => ("migration.mirrored", mirror),
        "unmirror" => ("migration.unmirrored", unmirror),
        "applied" => ("migration.applied", applied),
        other => {
            let message = format!(
                "`{other}` is no step: there are freeze, thaw, switch, rollback, finish, abandon, mirror, unmirror, applied"
            );
            return Err(Failure::new(ErrorKind::NotFound, message));
        }
    })
}

fn not_taken(step: &str, why: &[String]) -> Failure {
    let failure = Failure::new(ErrorKind::Conflict, format!("the step `{step}` is refused: {}", why.join("; ")));
    let failure = failure.with_hint("GET /admin/migrations/{migration} says how far it is; nothing was changed");
    Failure { more: vec![("reasons", json!(why))], ..failure }
}

fn freeze(migration: &mut Migration, asked: &Asked, moment: &Moment) -> Result<(), Vec<String>> {
    if migration.state == MigrationState::Switched {
        return Err(vec!["reads are switched already".to_owned()]);
    }
    close(migration, asked, moment);
    Ok(())
}

/// Freezes, or lengthens a freeze.
fn close(migration: &mut Migration, asked: &Asked, moment: &Moment) {
    let seconds = asked.seconds.unwrap_or(FREEZE_SECONDS).min(FREEZE_SECONDS_MAX);
    let nanos = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND);
    migration.state = MigrationState::Frozen;
    migration.frozen_until = Some(UnixNanos(moment.now.0.saturating_add(nanos)));
}

fn thaw(migration: &mut Migration, _asked: &Asked, _moment: &Moment) -> Result<(), Vec<String>> {
    if migration.state != MigrationState::Frozen {
        return Err(vec!["it is not frozen".to_owned()]);
    }
    migration.state = MigrationState::Copying;
    migration.frozen_until = None;
    Ok(())
}

fn switch(migration: &mut Migration, asked: &Asked, moment: &Moment) -> Result<(), Vec<String>> {
    let why = blockers(migration, &moment.progress, moment.head, (moment.now, asked.accept_rejected));
    if !why.is_empty() {
        return Err(why);
    }
    migration.state = MigrationState::Switched;
    migration.frozen_until = None;
    migration.switched_at_row = Some(moment.head);
    Ok(())
}

/// Reads go back to the older engine. Writes are frozen until it has what came here: then comes `thaw`.
fn roll_back(migration: &mut Migration, asked: &Asked, moment: &Moment) -> Result<(), Vec<String>> {
    if migration.state != MigrationState::Switched {
        return Err(vec!["reads are not switched".to_owned()]);
    }
    let since = moment.head.0.saturating_sub(migration.switched_at_row.unwrap_or_default().0);
    if since > 0 && migration.mirror_from.is_none() && !asked.force {
        return Err(vec![format!(
            "{since} rows came since the switch, and the older engine gets none of them: there is no mirror"
        )]);
    }
    close(migration, asked, moment);
    migration.switched_at_row = None;
    migration.validation = None;
    Ok(())
}

fn finish(migration: &mut Migration, _asked: &Asked, _moment: &Moment) -> Result<(), Vec<String>> {
    if migration.state != MigrationState::Switched {
        return Err(vec!["reads are not switched".to_owned()]);
    }
    migration.state = MigrationState::Finished;
    Ok(())
}

fn abandon(migration: &mut Migration, _asked: &Asked, _moment: &Moment) -> Result<(), Vec<String>> {
    if migration.state == MigrationState::Switched {
        return Err(vec!["reads are switched: finish it, or roll it back first".to_owned()]);
    }
    migration.state = MigrationState::Abandoned;
    Ok(())
}

fn mirror(migration: &mut Migration, asked: &Asked, moment: &Moment) -> Result<(), Vec<String>> {
    if migration.mirror_from.is_none() {
        migration.mirror_from = Some(moment.head);
        migration.mirrored = moment.head;
        migration.mirror_end = None;
        migration.applied = moment.head;
    }
    migration.is_applied = asked.is_applied;
    Ok(())
}

fn unmirror(migration: &mut Migration, _asked: &Asked, _moment: &Moment) -> Result<(), Vec<String>> {
    migration.mirror_from = None;
    migration.mirror_end = None;
    Ok(())
}

fn applied(migration: &mut Migration, asked: &Asked, _moment: &Moment) -> Result<(), Vec<String>> {
    if migration.mirror_from.is_none() || asked.row > migration.mirrored.0 {
        return Err(vec![format!("no file of the mirror has row {}", asked.row)]);
    }
    migration.applied = Seq(asked.row.max(migration.applied.0));
    Ok(())
}

/// Returns how many rows were refused. Of a table of PostgreSQL blocks are planned, and not rows: there the comparison,
/// which reads every row, tells of it.
pub(super) fn refused(migration: &Migration, progress: &MigrationProgress) -> u64 {
    if migration.source["kind"] == "postgres" {
        let came_to = migration.validation.as_ref().and_then(|came_to| came_to["report"]["rejected"].as_u64());
        return came_to.unwrap_or(0);
    }
    progress.seen.saturating_sub(progress.accepted)
}

/// Says what keeps reads from being switched; nothing: they may be.
pub(super) fn blockers(
    migration: &Migration,
    progress: &MigrationProgress,
    head: Seq,
    (now, accept_rejected): (UnixNanos, u64),
) -> Vec<String> {
    let mut why = Vec::new();
    let rejected = refused(migration, progress);
    if migration.state == MigrationState::Switched {
        return vec!["reads are switched".to_owned()];
    }
    if migration.state_at(now) != MigrationState::Frozen {
        why.push("the table is not frozen".to_owned());
    }
    if progress.files == 0 {
        why.push("nothing was planned".to_owned());
    }
    if progress.seen != progress.rows {
        why.push(format!(
            "{} of {} rows are not taken yet",
            progress.rows.saturating_sub(progress.seen),
            progress.rows
        ));
    }
    if rejected > accept_rejected {
        why.push(format!("{rejected} rows were refused, and {accept_rejected} may be: they are in the quarantine"));
    }
    match &migration.validation {
        None => why.push("both engines were not compared".to_owned()),
        Some(came_to) if came_to["equal"] != true => why.push("the last comparison found differences".to_owned()),
        Some(came_to) if came_to["head"] != head.0 => {
            why.push("rows came since both engines were compared".to_owned());
        }
        Some(came_to) if came_to["rows"] != progress.rows => {
            why.push("the last comparison did not cover every planned row".to_owned());
        }
        Some(came_to) => {
            if let Some(lag) = came_to["report"]["lag"].as_u64().filter(|lag| *lag > 0) {
                why.push(format!("{lag} changes of the older engine were not here yet when both were compared"));
            }
        }
    }
    if migration.mirror_from.is_some() {
        let lag = head.0.saturating_sub(migration.mirrored.0);
        let unapplied = migration.mirrored.0.saturating_sub(migration.applied.0);
        if lag > 0 {
            why.push(format!("the mirror lacks {lag} rows"));
        }
        if migration.is_applied && unapplied > 0 {
            why.push(format!("the older engine has not loaded the mirror's last {unapplied} rows"));
        }
    }
    why
}
