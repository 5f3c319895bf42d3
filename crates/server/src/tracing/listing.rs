use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tidegate_traces::{Json, QueryBody, Sql, read_moment};

use super::asked::{conditions, reader};
use super::read::Select;
use super::{answered, asked, invalid, told};
use crate::datasets::Want;
use crate::errors::Failure;
use crate::stages::Stages;

/// Sessions or users of a page that asks for no number.
const LIMIT_DEFAULT: u32 = 100;

/// Answers `POST …/sessions/query`.
pub(super) async fn sessions(State(stages): State<Stages>, request: Request) -> Response {
    list(&stages, request, ("session_id", "session_ids")).await
}

/// Answers `POST …/users/query`.
pub(super) async fn users(State(stages): State<Stages>, request: Request) -> Response {
    list(&stages, request, ("user_id", "user_ids")).await
}

async fn list(stages: &Stages, request: Request, (column, name): (&str, &str)) -> Response {
    let outcome = async {
        let mut asked = asked(stages, request, Want::Read).await?;
        // Where a page begins is the place of an id here, not of a span.
        let next = take_next(&mut asked.body)?;
        let query = QueryBody::read(&asked.body, &["realtime"]).map_err(|error| invalid(&error))?;
        let is_realtime = asked.body.at("realtime") == Some(&Json::Bool(true));
        let (limit, mut sql) = (query.window.limit.unwrap_or(LIMIT_DEFAULT), Sql::default());
        let of_time = if is_realtime { "max" } else { "min" };
        let (word, later) = if query.window.is_ascending { ("ASC", ">") } else { ("DESC", "<") };
        let all = format!("{} AND `{column}` != ''", conditions(&query, "start_time", &mut sql));
        let having = next.map(|(time, id)| {
            let (time, id) = (sql.moment(time), sql.text(&id));
            format!("HAVING at {later} {time} OR (at = {time} AND id {later} {id})")
        });
        let columns = format!("`{column}` AS id, {of_time}(`start_time`) AS at");
        let having = having.unwrap_or_default();
        let behind = format!("GROUP BY id {having} ORDER BY at {word}, id {word} LIMIT {}", u64::from(limit) + 1);
        let mut rows =
            reader(stages, &asked).select(Select { columns: &columns, conditions: all, behind }, sql).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| is_more).map(place_of).transpose()?;
        let ids: Vec<Json> = rows.iter().filter_map(|row| row.at("id").cloned()).collect();
        let mut out = format!("{{\"count\":{},\"{name}\":{},", ids.len(), Json::List(ids));
        told::close(&mut out, last);
        Ok(out)
    };
    answered(stages, StatusCode::OK, outcome.await)
}

/// Where a page ended, as text: the time of its last id, and the id.
fn place_of(row: &Json) -> Result<String, Failure> {
    let at = read_moment(row.at("at").unwrap_or(&Json::Null), "at");
    let at = at.map_err(|error| Failure::of(tidegate_model::ErrorKind::Corrupt, &error))?;
    Ok(format!("{}_{}", at.0, row.at("id").and_then(Json::as_text).unwrap_or_default()))
}

type Place = (tidegate_model::UnixNanos, String);

fn take_next(body: &mut Json) -> Result<Option<Place>, Failure> {
    let Json::Object(members) = body else { return Ok(None) };
    let within = match members.get_mut("windowing") {
        Some(Json::Object(windowing)) => windowing.remove("next"),
        _ => None,
    };
    let Some(next) = within.or_else(|| members.remove("next")).filter(|next| *next != Json::Null) else {
        return Ok(None);
    };
    let place = next.as_text().and_then(|text| text.split_once('_'));
    let place = place.and_then(|(time, id)| Some((tidegate_model::UnixNanos(time.parse().ok()?), id.to_owned())));
    place.map(Some).ok_or_else(|| Failure::invalid("`next` is no cursor: send `windowing.next` of an answer as it is"))
}
