use axum::extract::{Request, State};
use axum::response::Response;
use tidegate_traces::{Json, QueryBody, Sql, read_moment};

use super::asked::conditions;
use super::read::{Reader, Select};
use super::sides::{self, Side, Wanted};
use super::{asked, invalid, told};
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

async fn list(stages: &Stages, request: Request, (column, name): (&'static str, &'static str)) -> Response {
    let outcome = async {
        let mut asked = asked(stages, request, Want::Read).await?;
        // Where a page begins is the place of an id here, not of a span.
        let next = take_next(&mut asked.body)?;
        let query = QueryBody::read(&asked.body, &["realtime"]).map_err(|error| invalid(&error))?;
        let is_realtime = asked.body.at("realtime") == Some(&Json::Bool(true));
        let listing = Listing { column, name, query, is_realtime, next };
        sides::told(stages, &asked, &Wanted::List(listing)).await
    };
    sides::answered(stages, outcome.await)
}

/// A list of sessions or users.
pub(super) struct Listing {
    pub(super) column: &'static str,
    pub(super) name: &'static str,
    pub(super) query: QueryBody,
    /// By their last activity; otherwise by their first.
    pub(super) is_realtime: bool,
    /// Behind this one.
    pub(super) next: Option<Place>,
}

/// Where an id stands: its time, and itself.
pub(super) type Place = (tidegate_model::UnixNanos, String);

impl Listing {
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.query.window.limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX)
    }
}

/// Tells a page.
pub(super) async fn told(side: &mut Side<'_>, listing: &Listing) -> Result<String, Failure> {
    let mut places = side.list(listing).await?;
    let is_more = places.len() > listing.limit();
    places.truncate(listing.limit());
    let last = places.last().filter(|_| is_more).map(|(at, id)| format!("{}_{id}", at.0));
    let ids: Vec<Json> = places.into_iter().map(|(_, id)| Json::Text(id)).collect();
    let mut out = format!("{{\"count\":{},\"{}\":{},", ids.len(), listing.name, Json::List(ids));
    told::close(&mut out, last);
    Ok(out)
}

/// Lists them in ClickHouse, one more than the page has.
pub(super) async fn listed_in(reader: &Reader<'_>, listing: &Listing) -> Result<Vec<Place>, Failure> {
    let (column, query, mut sql) = (listing.column, &listing.query, Sql::default());
    let of_time = if listing.is_realtime { "max" } else { "min" };
    let (word, later) = if query.window.is_ascending { ("ASC", ">") } else { ("DESC", "<") };
    let all = format!("{} AND `{column}` != ''", conditions(query, "start_time", &mut sql));
    let having = listing.next.as_ref().map(|(time, id)| {
        let (time, id) = (sql.moment(*time), sql.text(id));
        format!("HAVING at {later} {time} OR (at = {time} AND id {later} {id})")
    });
    let columns = format!("`{column}` AS id, {of_time}(`start_time`) AS at");
    let having = having.unwrap_or_default();
    let behind = format!("GROUP BY id {having} ORDER BY at {word}, id {word} LIMIT {}", listing.limit() + 1);
    let rows = reader.select(Select { columns: &columns, among: String::new(), conditions: all, behind }, sql).await?;
    rows.iter().map(place_of).collect()
}

fn place_of(row: &Json) -> Result<Place, Failure> {
    let at = read_moment(row.at("at").unwrap_or(&Json::Null), "at");
    let at = at.map_err(|error| Failure::of(tidegate_model::ErrorKind::Corrupt, &error))?;
    Ok((at, row.at("id").and_then(Json::as_text).unwrap_or_default().to_owned()))
}

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
