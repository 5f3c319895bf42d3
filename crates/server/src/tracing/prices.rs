use axum::extract::State;
use axum::response::Response;
use axum::routing::get as getting;
use http::{HeaderMap, StatusCode};

use super::answered;
use crate::datasets::{Want, check};
use crate::routes::{Gives, Route, get};
use crate::stages::Stages;

/// The route of prices.
pub(super) fn routes() -> Vec<Route> {
    let told = get("/tracing/prices", "Tells what models are taken to cost, in the form of a file of prices");
    vec![told.gives(&[(200, Gives::One("Prices"))]).refuses(&[401, 403]).by(getting(tell))]
}

async fn tell(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    let told = || {
        check(&stages.access, &headers, Want::Read, None)?;
        Ok(stages.tracing.prices.to_json().to_string())
    };
    answered(&stages, StatusCode::OK, told())
}
