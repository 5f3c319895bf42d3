use std::io;
use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tidegate_model::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The two ways that OTLP comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// OTLP/HTTP with protobuf bodies.
    Http,
    /// OTLP/gRPC.
    Grpc,
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// gzip, level 6.
    Gzip,
    /// zstd, level 3.
    Zstd,
}

impl Encoding {
    /// Returns the name in headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Compresses a body.
    pub fn encode(self, body: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(body),
            Self::Zstd => zstd::bulk::compress(&body, 3),
            Self::Gzip => {
                let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
                let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
                let bytes = compressor.gzip_compress(&body, &mut out).map_err(io::Error::other)?;
                out.truncate(bytes);
                Ok(out)
            }
        }
    }
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The request was acknowledged: its rows are promised, but for those that a partial success names.
    pub acked: bool,
    /// The HTTP status, or the gRPC status code.
    pub status: u16,
    /// The body of an HTTP answer, or the message of a gRPC error.
    pub text: Bytes,
}

/// One connection to an OTLP port; one request at a time.
#[derive(Debug)]
pub struct Connection {
    form: Form,
    encoding: Encoding,
}

#[derive(Debug)]
enum Form {
    Http(TcpStream, BytesMut),
    Grpc(SendRequest<Bytes>, SocketAddr),
}

impl Connection {
    /// Connects.
    pub async fn open(wire: Wire, address: SocketAddr, encoding: Encoding) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let form = match wire {
            Wire::Http => Form::Http(stream, BytesMut::new()),
            Wire::Grpc => {
                let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
                // The connection's end reaches the sender as an error of its next request.
                tokio::spawn(connection);
                Form::Grpc(sender, address)
            }
        };
        Ok(Self { form, encoding })
    }

    /// Sends one export request and waits for the answer; an `Err` leaves the outcome unknown and the connection dead.
    pub async fn send(&mut self, signal: Signal, body: Bytes, idempotency_key: Option<&str>) -> io::Result<Reply> {
        match &mut self.form {
            Form::Http(stream, rest) => {
                let head = http_head(signal, body.len(), self.encoding, idempotency_key);
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await?;
                let (status, text) = read_answer(stream, rest).await?;
                Ok(Reply { acked: status == 200, status, text })
            }
            Form::Grpc(sender, address) => {
                let request = grpc_request(signal, *address, self.encoding, idempotency_key)?;
                export(sender, request, framed(&body, self.encoding)).await.map_err(io::Error::other)
            }
        }
    }
}

fn http_head(signal: Signal, bytes: usize, encoding: Encoding, idempotency_key: Option<&str>) -> String {
    let mut head = format!("POST /v1/{signal} HTTP/1.1\r\nhost: load\r\ncontent-type: application/x-protobuf\r\n");
    if encoding != Encoding::Plain {
        head += &format!("content-encoding: {}\r\n", encoding.name());
    }
    if let Some(key) = idempotency_key {
        head += &format!("{IDEMPOTENCY_HEADER}: {key}\r\n");
    }
    head + &format!("content-length: {bytes}\r\n\r\n")
}

/// Reads one answer with a content length; `rest` keeps what came after it.
async fn read_answer(stream: &mut TcpStream, rest: &mut BytesMut) -> io::Result<(u16, Bytes)> {
    let head_end = loop {
        if let Some(at) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, rest).await?;
    };
    let head = String::from_utf8_lossy(&rest.split_to(head_end)).to_lowercase();
    let bad = |what: &str| io::Error::other(format!("{what} in the answer's head: {head}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| bad("no status"))?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).ok_or_else(|| bad("no length"))?;
    while rest.len() < length {
        read_more(stream, rest).await?;
    }
    Ok((status, rest.split_to(length).freeze()))
}

async fn read_more(stream: &mut TcpStream, rest: &mut BytesMut) -> io::Result<()> {
    rest.reserve(4_096);
    match stream.read_buf(rest).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn grpc_request(signal: Signal, to: SocketAddr, encoding: Encoding, key: Option<&str>) -> io::Result<Request<()>> {
    let service = match signal {
        Signal::Logs => "logs.v1.LogsService",
        Signal::Traces => "trace.v1.TraceService",
        Signal::Metrics => "metrics.v1.MetricsService",
    };
    let mut request = Request::post(format!("http://{to}/opentelemetry.proto.collector.{service}/Export"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if encoding != Encoding::Plain {
        request = request.header("grpc-encoding", encoding.name());
    }
    if let Some(key) = key {
        request = request.header(IDEMPOTENCY_HEADER, key);
    }
    request.body(()).map_err(io::Error::other)
}

/// Puts gRPC's five bytes before a message.
fn framed(body: &Bytes, encoding: Encoding) -> Bytes {
    let mut frame = BytesMut::with_capacity(body.len() + 5);
    frame.put_u8(u8::from(encoding != Encoding::Plain));
    frame.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    frame.put_slice(body);
    frame.freeze()
}

async fn export(sender: &mut SendRequest<Bytes>, request: Request<()>, frame: Bytes) -> Result<Reply, h2::Error> {
    let mut ready = sender.clone().ready().await?;
    let (answer, mut stream) = ready.send_request(request, false)?;
    stream.send_data(frame, true)?;
    let answer = answer.await?;
    // An error without a message comes as "trailers only": in the head.
    let mut status = answer.headers().get("grpc-status").cloned();
    let mut text = answer.headers().get("grpc-message").cloned();
    let http_status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(data) = body.data().await {
        let bytes = data?.len();
        body.flow_control().release_capacity(bytes)?;
    }
    if let Some(trailers) = body.trailers().await? {
        status = trailers.get("grpc-status").cloned().or(status);
        text = trailers.get("grpc-message").cloned().or(text);
    }
    let status = status.and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(http_status);
    let text = text.map(|message| Bytes::copy_from_slice(message.as_bytes())).unwrap_or_default();
    Ok(Reply { acked: status == 0, status, text })
}
