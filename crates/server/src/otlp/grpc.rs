use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tidegate_core::ingest::{Encoding, inflate};
use tidegate_model::Signal;
use tidegate_model::limits::REQUEST_BYTES_MAX;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service;

use super::{Export, compression_named, export, idempotency_key, reply};
use crate::body;
use crate::errors::Failure;
use crate::metrics::Door;
use crate::stages::Stages;

/// One flag for compression and four bytes of length go before each message.
const PREFIX_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// Routes OTLP/gRPC.
pub(crate) fn routes(stages: &Stages) -> Routes {
    let mut routes = Routes::builder();
    routes
        .add_service(Logs(ExportService { stages: stages.clone(), signal: Signal::Logs }))
        .add_service(Traces(ExportService { stages: stages.clone(), signal: Signal::Traces }))
        .add_service(Metrics(ExportService { stages: stages.clone(), signal: Signal::Metrics }));
    routes.routes()
}

/// The one unary method that all three services have.
///
/// The message is taken as raw bytes and inflated by ours: tonic's own codec costs twice as much for gzip, and
/// structs four times as much as the walker.
#[derive(Debug, Clone)]
struct ExportService {
    stages: Stages,
    signal: Signal,
}

macro_rules! service {
    ($name:ident, $path:literal) => {
        #[derive(Debug, Clone)]
        struct $name(ExportService);

        impl NamedService for $name {
            const NAME: &'static str = $path;
        }

        impl Service<Request<Body>> for $name {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                let service = self.0.clone();
                Box::pin(async move { Ok(service.answer(request).await) })
            }
        }
    };
}

service!(Logs, "opentelemetry.proto.collector.logs.v1.LogsService");
service!(Traces, "opentelemetry.proto.collector.trace.v1.TraceService");
service!(Metrics, "opentelemetry.proto.collector.metrics.v1.MetricsService");

impl ExportService {
    async fn answer(self, request: Request<Body>) -> Response<Body> {
        if !request.uri().path().ends_with("/Export") {
            return Status::unimplemented("the one method is Export").into_http();
        }
        match self.export(request).await {
            Ok(message) => success(&message),
            Err(status) => refusal(status),
        }
    }

    async fn export(&self, request: Request<Body>) -> Result<Bytes, Status> {
        let (parts, body) = request.into_parts();
        let body = axum::body::Body::new(body);
        let (bytes_max, idle) = (REQUEST_BYTES_MAX + PREFIX_BYTES, self.stages.body_idle);
        let framed = body::read(&parts.headers, body, bytes_max, idle).await.map_err(told)?;
        let (packed, message) = unframed(framed)?;
        let compression = if packed { named(&parts.headers)? } else { inflate::Compression::None };
        let idempotency_key = idempotency_key(&parts.headers).map_err(told)?;
        let (door, signal, encoding) = (Door::Grpc, self.signal, Encoding::Protobuf);
        let request = Export { door, signal, encoding, compression, body: message, idempotency_key };
        let admitted = export(&self.stages, request).await.map_err(told)?;
        Ok(reply::success(encoding, signal, &admitted))
    }
}

/// Takes the one message out of its frame; says whether it is compressed.
fn unframed(mut framed: Bytes) -> Result<(bool, Bytes), Status> {
    let Some((&[flag, a, b, c, d], rest)) = framed.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Status::invalid_argument("the request holds no message"));
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if flag > 1 || rest.len() != length {
        let text = format!("a message of {length} bytes was announced, {} came (flag {flag})", rest.len());
        return Err(Status::invalid_argument(text));
    }
    Ok((flag == 1, framed.split_off(PREFIX_BYTES)))
}

fn named(headers: &HeaderMap) -> Result<inflate::Compression, Status> {
    let name = headers.get(ENCODING).and_then(|name| name.to_str().ok()).unwrap_or_default();
    match compression_named(name) {
        Ok(inflate::Compression::None) => Err(Status::invalid_argument("a compressed message needs grpc-encoding")),
        Ok(compression) => Ok(compression),
        Err(failure) => Err(Status::unimplemented(failure.message)),
    }
}

fn told(failure: Failure) -> Status {
    let details = reply::status(Encoding::Protobuf, &failure);
    Status::with_details(failure.grpc_code(), reply::text(&failure), details)
}

fn success(message: &[u8]) -> Response<Body> {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("our own answers are a few hundred bytes"));
    framed.put_slice(message);
    let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from(i32::from(Code::Ok)))]);
    let body = Full::new(framed.freeze()).with_trailers(ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

fn refusal(status: Status) -> Response<Body> {
    let mut response: Response<Body> = status.into_http();
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    response
}
