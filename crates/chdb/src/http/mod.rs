//! ClickHouse's HTTP interface, as its clients use it.
//!
//! Owns sockets, headers and bodies; knows nothing of libchdb. A query runs on a thread of its own (`run`); dropping its
//! answer's body, or the request while it waits, cancels it.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | listeners, paths, a query's way through |
//! | `request.rs` | parameters and headers |
//! | `reader_settings.rs` | what a reader may set |
//! | `feed.rs` | a request's body on its way to the query's thread |
//! | `answer.rs` | an answer's headers and body, errors |
//! | `socket.rs` | a socket that tells when everything has left |

mod answer;
mod feed;
mod reader_settings;
mod request;
mod socket;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::access::{Access, Users};
use crate::admission::Admission;
use crate::engine::{CancelOnDrop, Engine, cancelled};
use crate::exception::{Exception, codes};
use crate::limits::HEADER_BYTES_MAX;
use crate::run::{Outcome, Task, run};
use crate::sessions::Sessions;

use answer::{AnswerBody, answer, exception_tag, plain, refusal};
pub(crate) use answer::{AnswerFacts, Piece, exception_tail};
pub(crate) use feed::{Feed, FeedReader};
pub(crate) use request::{ExternalShape, RequestHead, SessionAsked};
use socket::{Flushes, WatchedSocket};

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// What every request needs; clones share it.
#[derive(Debug, Clone)]
pub struct Service {
    engine: Engine,
    users: Users,
    admission: Admission,
    sessions: Sessions,
}

impl Service {
    /// Puts an engine behind the interface.
    #[must_use]
    pub fn new(engine: Engine, users: Users, admission: Admission) -> Self {
        Self { engine, users, admission, sessions: Sessions::default() }
    }

    /// Serves a listener until `stop` turns true.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((socket, _)) => {
                    tokio::spawn(self.clone().serve_connection(socket));
                }
                // Out of file descriptors, most likely: the accepted ones must get a chance to end.
                Err(error) => {
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Closes sessions that nobody used in time, until `stop` turns true; then all of them.
    pub async fn expire_sessions(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => self.sessions.expire(Instant::now()),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.sessions.clear();
    }

    async fn serve_connection(self, socket: TcpStream) {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a socket refused TCP_NODELAY");
        }
        let flushes = Flushes::default();
        let socket = WatchedSocket { inner: socket, flushes: flushes.clone() };
        let handle = service_fn(move |request| {
            let (service, flushes) = (self.clone(), flushes.clone());
            async move { Ok::<_, Infallible>(service.handle(request, flushes).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), handle)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn handle(&self, request: Request<Incoming>, flushes: Flushes) -> Response<AnswerBody> {
        match (request.method(), request.uri().path()) {
            (&Method::OPTIONS, _) => plain(StatusCode::NO_CONTENT, ""),
            (_, "/ping") => plain(StatusCode::OK, "Ok.\n"),
            (_, "/replicas_status") => plain(StatusCode::OK, "Ok."),
            (&Method::HEAD, _) => plain(StatusCode::OK, ""),
            (&Method::GET, "/") if request.uri().query().is_none_or(str::is_empty) => plain(StatusCode::OK, "Ok.\n"),
            (&Method::GET | &Method::POST, "/" | "/query") => self.query(request, flushes).await,
            _ => plain(
                StatusCode::NOT_FOUND,
                "There is no handle for this path. Use / or /ping for health checks, and GET or POST / for queries.\n",
            ),
        }
    }

    async fn query(&self, request: Request<Incoming>, flushes: Flushes) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let mut head = match RequestHead::parse(&parts) {
            Ok(head) => head,
            Err(exception) => return refusal(&self.engine, None, &exception),
        };
        let query_id = head.query_id.take().filter(|id| !id.is_empty()).unwrap_or_else(random_id);
        match self.run(head, body, query_id.clone(), flushes).await {
            Ok(response) => response,
            Err(exception) => refusal(&self.engine, Some(&query_id), &exception),
        }
    }

    async fn run(
        &self,
        mut head: RequestHead,
        body: Incoming,
        query_id: String,
        flushes: Flushes,
    ) -> Result<Response<AnswerBody>, Exception> {
        let started = Instant::now();
        let name = if head.user.is_empty() { "default".to_owned() } else { head.user.clone() };
        let user = self.users.authenticate(&name, &head.password)?;
        let feed = match head.boundary.clone() {
            Some(boundary) => feed::pump_multipart(body, boundary, &mut head).await?,
            None => feed::pump_plain(body),
        };
        if user.access == Access::Read {
            reader_settings::check(&head.settings)?;
        }
        let permit = self.admission.enter().await?;
        let session = self.session(&head, user.access, &name, started)?;
        let registration = self.engine.register(&query_id, &name, &head.query)?;
        let cancel = CancelOnDrop { engine: self.engine.clone(), query_id: query_id.clone(), armed: true };
        let (reply, outcome) = oneshot::channel();
        let shown =
            RequestHead { compress: head.compress, accept_encoding: head.accept_encoding, ..RequestHead::default() };
        let task = Task {
            engine: self.engine.clone(),
            head,
            access: user.access,
            feed,
            session,
            registration,
            query_id,
            exception_tag: exception_tag(),
            _permit: permit,
            started,
        };
        tokio::task::spawn_blocking(move || run(task, reply));
        self.answer(&shown, outcome, cancel, flushes).await
    }

    async fn answer(
        &self,
        shown: &RequestHead,
        outcome: oneshot::Receiver<Outcome>,
        mut cancel: CancelOnDrop,
        flushes: Flushes,
    ) -> Result<Response<AnswerBody>, Exception> {
        let outcome = outcome.await;
        match outcome {
            Ok(Outcome::Answer { facts, first, rest: Some(rest) }) => {
                Ok(answer(&self.engine, shown, &facts, AnswerBody::streaming(first, rest, cancel, flushes)))
            }
            Ok(Outcome::Answer { facts, first, rest: None }) => {
                cancel.armed = false;
                Ok(answer(&self.engine, shown, &facts, AnswerBody::whole(first)))
            }
            Ok(Outcome::Refused(exception)) => {
                cancel.armed = false;
                Err(exception)
            }
            Err(_) => Err(cancelled()),
        }
    }

    /// A reader's statements leave nothing behind, so its sessions hold nothing and need no connection.
    fn session(
        &self,
        head: &RequestHead,
        access: Access,
        user: &str,
        now: Instant,
    ) -> Result<Option<crate::sessions::Session>, Exception> {
        match &head.session {
            Some(_) if head.readonly => {
                let message = "A session cannot run a single statement under the reader's rules";
                Err(Exception::of(codes::BAD_ARGUMENTS, "BAD_ARGUMENTS", message))
            }
            Some(asked) if access == Access::Full => self.sessions.take(&self.engine, user, asked, now).map(Some),
            _ => Ok(None),
        }
    }
}

/// Draws a query's id in the form of a UUID, as ClickHouse does.
fn random_id() -> String {
    let [a, b, c, d, rest @ ..]: [u16; 8] = rand::random();
    let [e, f, g, h] = rest;
    let (version, variant) = (c & 0x0fff | 0x4000, d & 0x3fff | 0x8000);
    format!("{a:04x}{b:04x}-{e:04x}-{version:04x}-{variant:04x}-{f:04x}{g:04x}{h:04x}")
}
