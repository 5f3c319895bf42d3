use http::HeaderMap;
use tidegate_traces::Uuid;

use crate::errors::Failure;
use crate::routes::Param;

/// The header that names a project.
const HEADER: &str = "x-project-id";

pub(super) const PROJECT: &[Param] =
    &[Param::text("project_id", "the project; without it that of the header x-project-id, or the one of zeros")];
pub(super) const PROJECT_HEADER: &[Param] = &[Param::text(HEADER, "the project, where the query string names none")];

/// Finds the project of a request. One that names none is of the project of zeros, which nobody else's spans are in.
pub(super) fn project(headers: &HeaderMap, query: &[(String, String)]) -> Result<Uuid, Failure> {
    let asked = query.iter().find(|(name, _)| name == "project_id").map(|(_, value)| value.as_str());
    let told = headers.get(HEADER).map(|value| value.to_str().unwrap_or("?"));
    let Some(text) = asked.or(told) else { return Ok(Uuid::default()) };
    Uuid::read(text, "project_id").map_err(|error| super::invalid(&error))
}
