//! A plain HTTP client, in blocking form: what it sends and gets is what is on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::engine::Engine;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing says; `false` for one that was broken off.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn code(&self) -> Option<i32> {
        self.header("x-clickhouse-exception-code")?.parse().ok()
    }
}

/// Posts a body; `parameters` is the URL's query, `headers` whole lines.
pub(crate) fn post(engine: &Engine, parameters: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut socket = send(engine, parameters, headers, body);
    receive(&mut socket)
}

/// Runs a statement as the passwordless user and returns its answer's text; fails on an error.
pub(crate) fn run(engine: &Engine, sql: &str) -> String {
    let answer = post(engine, "", &[], sql.as_bytes());
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
    answer.text()
}

/// Sends a request and leaves the answer in the socket.
pub(crate) fn send(engine: &Engine, parameters: &str, headers: &[&str], body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(engine.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = format!(
        "POST /?{} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {}\r\n",
        parameters.replace(' ', "%20"),
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    // An engine that refuses early may close before it has read everything.
    let _early = socket.write_all(body);
    socket
}

/// Reads an answer to its end.
pub(crate) fn receive(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A broken-off answer may end with a reset; what came before counts.
    let _reset = socket.read_to_end(&mut bytes);
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head, body: bytes[split..].to_vec(), whole: true };
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.whole) = unchunk(&answer.body);
    } else {
        let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
        answer.whole = length == Some(answer.body.len());
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line_end) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..line_end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return (body, false) };
        rest = &rest[line_end + 2..];
        if size == 0 {
            return (body, true);
        }
        if rest.len() < size + 2 {
            body.extend_from_slice(rest);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// Builds a multipart body with one table.
pub(crate) fn multipart(name: &str, rows: &str) -> (String, Vec<u8>) {
    let header = "Content-Type: multipart/form-data; boundary=cut".to_owned();
    let body = format!(
        "--cut\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n{rows}\r\n--cut--\r\n"
    );
    (header, body.into_bytes())
}
