use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tidegate_core::ingest::Encoding;
use tidegate_core::ingest::inflate::{Compression, inflate};
use tidegate_model::Signal;
use tidegate_model::limits::REQUEST_INFLATED_BYTES_MAX;

use super::signal;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// An export request's only field, with a length: `resource_logs`, `resource_spans` or `resource_metrics`.
const RESOURCE_TAG: u8 = 0x0a;

const FORMS: &str = "it must be an OTLP request as protobuf or JSON, one JSON request a line, or the OpenTelemetry \
                     collector's file exporter's, each also in gzip or zstd";

/// One export request of a file.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) signal: Signal,
    pub(super) encoding: Encoding,
    pub(super) body: Bytes,
}

/// Takes one request; an error ends the reading.
pub(super) type Take<'a> = &'a mut dyn FnMut(Recorded) -> Result<()>;

/// Reads the requests of a file, one after the other, with no more than one of them in memory.
pub(super) fn read(path: &Path, take: Take<'_>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("the file {} cannot be opened", path.display()))?;
    let mut plain = BufReader::with_capacity(READ_BYTES, file);
    let start = peek(&mut plain).with_context(|| format!("the file {} cannot be read", path.display()))?;
    let outcome = if start.starts_with(GZIP) {
        split(&mut BufReader::with_capacity(READ_BYTES, flate2::bufread::MultiGzDecoder::new(plain)), take)
    } else if start.starts_with(ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(plain).context("begin to inflate it")?;
        split(&mut BufReader::with_capacity(READ_BYTES, decoder), take)
    } else {
        split(&mut plain, take)
    };
    outcome.with_context(|| format!("the file {}", path.display()))
}

/// Finds out how requests are written, and takes them apart.
fn split(source: &mut dyn BufRead, take: Take<'_>) -> Result<()> {
    let start = peek(source)?;
    match start.first() {
        None => bail!("it is empty; {FORMS}"),
        Some(&RESOURCE_TAG) => split_protobuf(source, take),
        // The file exporter writes each message behind its length, in four bytes, where it compresses.
        Some(0) => split_frames(source, take),
        Some(b'{' | b' ' | b'\t' | b'\r' | 0xef) => split_json(source, take),
        Some(_) => bail!("it is not recorded OTLP: {FORMS}"),
    }
}

fn split_frames(source: &mut dyn BufRead, take: Take<'_>) -> Result<()> {
    let mut number = 0_u64;
    while !peek(source)?.is_empty() {
        number += 1;
        let mut length = [0; 4];
        source.read_exact(&mut length).with_context(|| format!("read the length of message {number}"))?;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        let body = read_bytes(source, length).with_context(|| format!("read message {number}"))?;
        let body = inflated(body).with_context(|| format!("inflate message {number}"))?;
        ensure!(body.first() != Some(&0), "message {number} holds lengths again: {FORMS}");
        split(&mut body.as_slice(), take).with_context(|| format!("in message {number}"))?;
    }
    Ok(())
}

fn inflated(body: Vec<u8>) -> Result<Vec<u8>> {
    let compression = match &body {
        body if body.starts_with(ZSTD) => Compression::Zstd,
        body if body.starts_with(GZIP) => Compression::Gzip,
        _ => return Ok(body),
    };
    Ok(inflate(compression, &body, REQUEST_INFLATED_BYTES_MAX)?)
}

/// Every resource of a request in protobuf is a request of its own, so that a file of any size can be read.
fn split_protobuf(source: &mut dyn BufRead, take: Take<'_>) -> Result<()> {
    let mut at = 0_u64;
    while let Some(tag) = next_byte(source)? {
        ensure!(tag == RESOURCE_TAG, "byte {at} begins no resource: {FORMS}");
        let mut body = vec![tag];
        let length = read_varint(source, &mut body).with_context(|| format!("read the length at byte {}", at + 1))?;
        let head = body.len();
        let content = read_bytes(source, length).with_context(|| format!("read the resource at byte {at}"))?;
        body.extend_from_slice(&content);
        at += body.len() as u64;
        let found =
            signal::of_resource(&body[head..]).with_context(|| format!("in the resource that ends at byte {at}"))?;
        if let Some(signal) = found {
            take(Recorded { signal, encoding: Encoding::Protobuf, body: body.into() })?;
        }
    }
    Ok(())
}

/// Cuts where braces close: pretty-printed requests and one request a line are read alike.
fn split_json(source: &mut dyn BufRead, take: Take<'_>) -> Result<()> {
    let (mut cutter, mut body, mut number) = (Cutter::default(), Vec::new(), 0_u64);
    skip_byte_order_mark(source)?;
    loop {
        let buffer = peek(source)?;
        if buffer.is_empty() {
            ensure!(body.is_empty(), "request {} ends in the middle: the file was cut off", number + 1);
            return Ok(());
        }
        let (used, is_whole) = cutter.cut(buffer);
        let piece = &buffer[..used];
        let piece = if body.is_empty() { piece.trim_ascii_start() } else { piece };
        body.extend_from_slice(piece);
        source.consume(used);
        ensure!(body.len() <= REQUEST_INFLATED_BYTES_MAX, "request {} is larger than 64 MiB", number + 1);
        if !is_whole {
            continue;
        }
        number += 1;
        let body = Bytes::from(std::mem::take(&mut body));
        for signal in signal::of_json(&body).with_context(|| format!("request {number} is no OTLP request"))? {
            take(Recorded { signal, encoding: Encoding::Json, body: body.clone() })?;
        }
    }
}

/// Follows JSON far enough to know where an object ends.
#[derive(Debug, Default)]
struct Cutter {
    depth: u32,
    in_text: bool,
    is_escaped: bool,
}

impl Cutter {
    /// Returns how many of the bytes belong to the object, and whether it ends there.
    fn cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_text => self.is_escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}

fn skip_byte_order_mark(source: &mut dyn BufRead) -> Result<()> {
    if peek(source)?.starts_with("\u{feff}".as_bytes()) {
        source.consume(3);
    }
    Ok(())
}

/// Returns what is there without taking it; nothing at the end.
fn peek(source: &mut dyn BufRead) -> std::io::Result<&[u8]> {
    loop {
        match source.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            // Asked again, as a borrow that is returned cannot be given back in a loop.
            Ok(_) => break,
        }
    }
    source.fill_buf()
}

fn next_byte(source: &mut dyn BufRead) -> Result<Option<u8>> {
    let byte = peek(source)?.first().copied();
    if byte.is_some() {
        source.consume(1);
    }
    Ok(byte)
}

fn read_varint(source: &mut dyn BufRead, copy: &mut Vec<u8>) -> Result<usize> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = next_byte(source)?.context("the file ends there")?;
        copy.push(byte);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(usize::try_from(value)?);
        }
    }
    bail!("it is no length: {FORMS}")
}

fn read_bytes(source: &mut dyn BufRead, length: usize) -> Result<Vec<u8>> {
    ensure!(
        length <= REQUEST_INFLATED_BYTES_MAX,
        "it says that it has {length} bytes, and a request has at most 64 MiB"
    );
    let mut bytes = Vec::new();
    let read = source.take(length as u64).read_to_end(&mut bytes)?;
    ensure!(read == length, "{length} bytes are announced and {read} are there: the file was cut off");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tidegate_core::ingest::wire::Writer;

    use super::*;

    fn requests(bytes: &[u8]) -> Result<Vec<(Signal, usize)>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("recorded");
        std::fs::write(&path, bytes)?;
        let mut found = Vec::new();
        read(&path, &mut |request: Recorded| {
            found.push((request.signal, request.body.len()));
            Ok(())
        })?;
        Ok(found)
    }

    fn log(body: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(1, |resource| {
            resource.message(2, |scope| {
                scope.message(2, |log| {
                    log.fixed64(1, 7);
                    log.message(5, |any| any.bytes(1, body));
                });
            });
        });
        writer.into_bytes()
    }

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let framed = |message: &Vec<u8>| {
            let length = u32::try_from(message.len()).expect("small");
            [length.to_be_bytes().as_slice(), message].concat()
        };
        messages.iter().map(framed).collect::<Vec<_>>().concat()
    }

    #[test]
    fn every_form_of_a_file_is_read() -> Result<()> {
        let one = log(b"a");
        let both = vec![(Signal::Logs, one.len()); 2];
        let twice = [one.clone(), one.clone()].concat();
        assert_eq!(requests(&twice)?, both);
        assert_eq!(requests(&framed(&[one.clone(), one.clone()]))?, both);
        let packed = zstd::bulk::compress(&one, 1)?;
        assert_eq!(requests(&framed(&[packed.clone(), packed]))?, both);
        assert_eq!(requests(&zstd::bulk::compress(&twice, 1)?)?, both);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&twice)?;
        assert_eq!(requests(&gzip.finish()?)?, both);
        Ok(())
    }

    #[test]
    fn json_is_cut_where_an_object_ends_and_may_hold_several_signals() -> Result<()> {
        let text =
            "{\"resourceLogs\":[{\"x\":\"}{\\\"\"}]}\n\n {\n \"resource_spans\": [],\n\"resourceMetrics\":[]\n}\n{}\n";
        let (first, second) = (Signal::Logs, [Signal::Traces, Signal::Metrics]);
        assert_eq!(
            requests(text.as_bytes())?.iter().map(|(signal, _)| *signal).collect::<Vec<_>>(),
            [first, second[0], second[1]]
        );
        Ok(())
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_place() {
        let long_length = [&[0x0a][..], &[0xff; 5]].concat();
        let cut_off = log(b"a")[..9].to_vec();
        let cases: [(&[u8], &str); 9] = [
            (b"", "it is empty"),
            (b"hello", "not recorded OTLP"),
            (b"{\"resourceLogs\":[", "request 1 ends in the middle"),
            (b"{\"resourceLogs\":[]}\n{\"rows\":3}", "request 2 is no OTLP request"),
            (b"{]", "request 1 is no OTLP request"),
            (&long_length, "the length at byte 1"),
            (&cut_off, "the file was cut off"),
            (&[0, 0, 0, 9, 1], "9 bytes are announced and 1 are there"),
            (&[0, 0, 0, 2, 0, 0], "holds lengths again"),
        ];
        for (bytes, part) in cases {
            let error = requests(bytes).expect_err(part);
            assert!(format!("{error:#}").contains(part), "{error:#} should say {part}");
        }
    }
}
