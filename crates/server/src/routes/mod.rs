//! The routes as a table: the routers and the OpenAPI document are made from it, so neither has what the other lacks.
//!
//! | file | holds |
//! |---|---|
//! | `param.rs` | [`Param`]: a parameter, checked and described by one definition |
//! | `shape.rs` | JSON schemas in few words |
//! | `document.rs` | the OpenAPI document |

mod document;
mod param;
mod shape;

pub(crate) use document::document;
pub(crate) use param::{Kind, Param};
pub(crate) use shape::{
    Shapes, anything, count, flag, found, integer, list_of, map_of, nullable, number, object, one_of_words, page_of,
    text, texts,
};

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter};

use crate::stages::Stages;

/// One method of one path.
pub(crate) struct Route {
    pub(crate) method: MethodFilter,
    pub(crate) path: &'static str,
    pub(crate) about: &'static str,
    pub(crate) takes: &'static [&'static [Param]],
    pub(crate) headers: &'static [Param],
    pub(crate) sends: Sends,
    pub(crate) gives: &'static [(u16, Gives)],
    /// Statuses of refusals beside those that any route may answer with.
    pub(crate) refuses: &'static [u16],
    handler: Option<MethodRouter<Stages>>,
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sends {
    Nothing,
    /// JSON of a named shape.
    Json(&'static str),
    /// Any of these media types.
    Media(&'static [&'static str]),
}

/// The body of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gives {
    Nothing,
    /// JSON of a named shape.
    One(&'static str),
    /// A page of a list of a named shape.
    Page(&'static str),
    /// An OTLP answer: protobuf, or JSON of a named shape; its refusals are a `google.rpc.Status`.
    Export(&'static str),
    /// Any of these media types.
    Media(&'static [&'static str]),
}

/// Begins a route that is read.
pub(crate) fn get(path: &'static str, about: &'static str) -> Route {
    begun(MethodFilter::GET, path, about)
}

/// Begins a route that is posted to.
pub(crate) fn post(path: &'static str, about: &'static str) -> Route {
    begun(MethodFilter::POST, path, about)
}

/// Begins a route that changes.
pub(crate) fn patch(path: &'static str, about: &'static str) -> Route {
    begun(MethodFilter::PATCH, path, about)
}

/// Begins a route that is put to.
pub(crate) fn put(path: &'static str, about: &'static str) -> Route {
    begun(MethodFilter::PUT, path, about)
}

/// Begins a route that removes.
pub(crate) fn delete(path: &'static str, about: &'static str) -> Route {
    begun(MethodFilter::DELETE, path, about)
}

fn begun(method: MethodFilter, path: &'static str, about: &'static str) -> Route {
    Route {
        method,
        path,
        about,
        takes: &[],
        headers: &[],
        sends: Sends::Nothing,
        gives: &[],
        refuses: &[],
        handler: None,
    }
}

impl Route {
    pub(crate) fn takes(self, takes: &'static [&'static [Param]]) -> Self {
        Self { takes, ..self }
    }

    pub(crate) fn headers(self, headers: &'static [Param]) -> Self {
        Self { headers, ..self }
    }

    pub(crate) fn sends(self, sends: Sends) -> Self {
        Self { sends, ..self }
    }

    pub(crate) fn gives(self, gives: &'static [(u16, Gives)]) -> Self {
        Self { gives, ..self }
    }

    pub(crate) fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }

    /// Puts something around what answers the route.
    pub(crate) fn layered(self, around: impl FnOnce(MethodRouter<Stages>) -> MethodRouter<Stages>) -> Self {
        Self { handler: self.handler.map(around), ..self }
    }

    /// Ends the route with what answers it.
    pub(crate) fn by(self, handler: MethodRouter<Stages>) -> Self {
        Self { handler: Some(handler), ..self }
    }
}

/// Makes a router of a table.
pub(crate) fn router(routes: Vec<Route>) -> Router<Stages> {
    routes.into_iter().fold(Router::new(), |router, route| match route.handler {
        Some(handler) => router.route(route.path, handler),
        None => router,
    })
}
