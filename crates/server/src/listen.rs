//! Accept loops with limits, and the graceful stop.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use futures_util::stream::{self, Stream};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tidegate_model::limits::{
    CONNECTIONS_MAX, GRPC_CONNECTION_WINDOW_BYTES, GRPC_STREAM_WINDOW_BYTES, GRPC_STREAMS_MAX, HEAD_READ_MS,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::metrics::Door;
use crate::otlp;
use crate::stages::Stages;
use crate::telemetry::Stopping;
use crate::{api, connection::Counted};

/// Idle HTTP/2 connections are asked for a sign of life so often.
const GRPC_KEEPALIVE: Duration = Duration::from_secs(60);

/// What the doors listen on.
#[derive(Debug)]
pub struct Listeners {
    /// The main API.
    pub http: TcpListener,
    /// OTLP/HTTP.
    pub otlp_http: TcpListener,
    /// OTLP/gRPC.
    pub otlp_grpc: TcpListener,
}

/// Settings of the doors.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections of each listener.
    pub connections_max: usize,
    /// How long a connection may take to send a request's head.
    pub head_wait: Duration,
    /// How long requests in flight may take to end after a stop.
    pub stop_wait: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let head_wait = Duration::from_millis(HEAD_READ_MS);
        Self { connections_max: CONNECTIONS_MAX, head_wait, stop_wait: Duration::from_secs(5) }
    }
}

/// Serves every door until `stop` is true and the requests in flight have ended.
pub async fn serve(stages: Stages, listeners: Listeners, options: ServerOptions, stop: watch::Receiver<bool>) {
    let api_router = api::router(stages.clone()).layer(Extension(Stopping(stop.clone())));
    let api = serve_http(Door::Api, listeners.http, api_router, &stages, &options, stop.clone());
    let http_router = otlp::http::router(stages.clone());
    let otlp_http = serve_http(Door::Http, listeners.otlp_http, http_router, &stages, &options, stop.clone());
    let otlp_grpc = serve_grpc(listeners.otlp_grpc, &stages, &options, stop.clone());
    tokio::join!(api, otlp_http, otlp_grpc);
}

async fn serve_http(
    door: Door,
    listener: TcpListener,
    router: Router,
    stages: &Stages,
    options: &ServerOptions,
    stop: watch::Receiver<bool>,
) {
    let gauge = stages.metrics.connections(door.as_str());
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = stopped(stop.clone()) => break,
        };
        let Some((stream, permit)) = accepted else { break };
        let io = TokioIo::new(Counted::new(stream, permit, gauge.clone()));
        connections.spawn(serve_connection(io, router.clone(), options.head_wait, stop.clone()));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(options.stop_wait, ended).await.is_err() {
        tracing::warn!(
            door = door.as_str(),
            connections = connections.len(),
            "requests did not end in time, dropping them"
        );
    }
}

async fn serve_connection(io: TokioIo<Counted>, router: Router, head_wait: Duration, stop: watch::Receiver<bool>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_wait);
    let mut connection = std::pin::pin!(http.serve_connection(io, TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_grpc(listener: TcpListener, stages: &Stages, options: &ServerOptions, stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let gauge = stages.metrics.connections(Door::Grpc.as_str());
    let incoming = connections(listener, permits, gauge);
    let serving = tonic::transport::Server::builder()
        .initial_stream_window_size(GRPC_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(GRPC_CONNECTION_WINDOW_BYTES)
        .max_frame_size(1 << 20)
        .max_concurrent_streams(GRPC_STREAMS_MAX)
        .http2_keepalive_interval(Some(GRPC_KEEPALIVE))
        .add_routes(otlp::grpc::routes(stages))
        .serve_with_incoming_shutdown(incoming, stopped(stop.clone()));
    let limit = async {
        stopped(stop).await;
        tokio::time::sleep(options.stop_wait).await;
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::error!(error = crate::errors::chain(&error), "OTLP/gRPC ended");
        },
        () = limit => tracing::warn!(door = "otlp_grpc", "requests did not end in time, dropping them"),
    }
}

fn connections(
    listener: TcpListener,
    permits: Arc<Semaphore>,
    gauge: prometheus::IntGauge,
) -> impl Stream<Item = Result<Counted, Infallible>> {
    stream::unfold((listener, permits, gauge), |(listener, permits, gauge)| async move {
        let (stream, permit) = accept(&listener, &permits).await?;
        Some((Ok(Counted::new(stream, permit, gauge.clone())), (listener, permits, gauge)))
    })
}

/// Waits for room, then for a connection; `None` when there will be none.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small; waiting to fill a packet only costs time.
                let _ = stream.set_nodelay(true);
                return Some((stream, permit));
            }
            Err(error) => refused(&error).await,
        }
    }
}

/// Out of file handles, or the client has gone already: neither ends the server.
async fn refused(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can stop us any more: the process is ending.
    let _ = stop.wait_for(|stop| *stop).await;
}
