//! Compressed bodies, inflated with a cap: a bomb costs no more than the limit.

use std::fs::File;
use std::io::{BufReader, Read};

use libdeflater::{DecompressionError, Decompressor};

/// The most that deflate expands: 258 bytes from two bits.
const DEFLATE_RATIO_MAX: usize = 1_032;

/// How a gzip member with deflated data begins.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// A gzip member without content: header, one empty block, trailer.
const GZIP_BYTES_MIN: usize = 20;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why a body was not inflated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It holds more than is allowed.
    #[error("the body is larger than {limit} bytes when it is inflated")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It is not what it is said to be.
    #[error("the body is not valid {format}: {problem}")]
    Malformed {
        /// The format that it should have.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Inflates a body into at most `limit` bytes.
pub fn inflate(compression: Compression, body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    match compression {
        Compression::None if body.len() > limit => Err(InflateError::TooLarge { limit }),
        Compression::None => Ok(body.to_vec()),
        Compression::Gzip => gunzip(body, limit),
        Compression::Zstd => unzstd(body, limit),
    }
}

/// Returns a reader of what a packed file holds, for one that memory has no room for; it has no limit of its own.
pub fn reader(compression: Compression, packed: File) -> std::io::Result<Box<dyn Read + Send>> {
    let packed = BufReader::new(packed);
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
    })
}

/// Inflates one or more gzip members.
///
/// Nothing tells where a member ends but inflating it, and libdeflate stops after the first in silence. So a body in
/// which another member might begin (by chance one of 16 million bytes looks like it) goes to a reader that knows.
fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let may_have_more = body.get(1..).is_some_and(|rest| memchr::memmem::find(rest, &GZIP_MAGIC).is_some());
    if may_have_more { gunzip_members(body, limit) } else { gunzip_member(body, limit) }
}

/// Inflates one gzip member: its last four bytes say its size, so there is one buffer and one pass.
fn gunzip_member(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = |problem: &str| InflateError::Malformed { format: "gzip", problem: problem.to_owned() };
    let trailer = body.len().checked_sub(8).filter(|_| body.len() >= GZIP_BYTES_MIN).and_then(|at| body.get(at..));
    let Some(&[c0, c1, c2, c3, s0, s1, s2, s3]) = trailer else { return Err(malformed("it is too short")) };
    let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
    if size > limit {
        return Err(InflateError::TooLarge { limit });
    }
    if size > body.len().saturating_mul(DEFLATE_RATIO_MAX) {
        return Err(malformed("its size is impossible"));
    }
    let mut out = vec![0; size];
    match Decompressor::new().gzip_decompress(body, &mut out) {
        Ok(written) if written == size && libdeflater::crc32(&out) == u32::from_le_bytes([c0, c1, c2, c3]) => Ok(out),
        Ok(_) => Err(malformed("it has bytes behind its end")),
        Err(DecompressionError::BadData) => Err(malformed("its data or checksum is wrong")),
        Err(DecompressionError::InsufficientSpace) => Err(malformed("it holds more than its size says")),
    }
}

/// Inflates gzip members one behind the other, as `cat a.gz b.gz` and parallel compressors make them.
fn gunzip_members(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let mut members = flate2::bufread::MultiGzDecoder::new(body).take(limit as u64 + 1);
    match members.read_to_end(&mut out) {
        Ok(_) if out.len() > limit => Err(InflateError::TooLarge { limit }),
        Ok(_) => Ok(out),
        Err(error) => Err(InflateError::Malformed { format: "gzip", problem: error.to_string() }),
    }
}

/// Inflates one or more zstd frames.
fn unzstd(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = |problem: String| InflateError::Malformed { format: "zstd", problem };
    let known = match zstd::zstd_safe::get_frame_content_size(body) {
        Ok(size) => size.and_then(|size| usize::try_from(size).ok()),
        Err(_) => return Err(malformed("it has no frame".to_owned())),
    };
    if known.is_some_and(|size| size > limit) {
        return Err(InflateError::TooLarge { limit });
    }
    let first_frame = zstd::zstd_safe::find_frame_compressed_size(body);
    if let (Some(size), Ok(frame_bytes)) = (known, first_frame)
        && frame_bytes == body.len()
    {
        return zstd::bulk::decompress(body, size).map_err(|error| malformed(error.to_string()));
    }
    unzstd_stream(body, limit)
}

/// Inflates frames whose size is not said.
fn unzstd_stream(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = |error: std::io::Error| InflateError::Malformed { format: "zstd", problem: error.to_string() };
    let mut out = Vec::new();
    let mut frames = zstd::stream::read::Decoder::with_buffer(body).map_err(malformed)?.take(limit as u64 + 1);
    frames.read_to_end(&mut out).map_err(malformed)?;
    if out.len() > limit { Err(InflateError::TooLarge { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let length = compressor.gzip_compress(bytes, &mut out).expect("the bound holds");
        out.truncate(length);
        out
    }

    /// Frames that do not say their size, as a streaming producer makes them.
    fn zstd_stream(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("a level that exists");
        encoder.write_all(bytes).expect("a Vec takes everything");
        encoder.finish().expect("a Vec takes everything")
    }

    fn check(packed: &[u8], compression: Compression, expected: &[u8]) {
        assert_eq!(inflate(compression, packed, LIMIT).as_deref(), Ok(expected));
    }

    #[test]
    fn bodies_come_back_whole() {
        for bytes in [&b""[..], b"a", &[7; LIMIT], b"many bytes, not all the same"] {
            check(&gzip(bytes), Compression::Gzip, bytes);
            check(&zstd::bulk::compress(bytes, 3).expect("compresses"), Compression::Zstd, bytes);
            check(&zstd_stream(bytes), Compression::Zstd, bytes);
            check(bytes, Compression::None, bytes);
        }
    }

    #[test]
    fn several_frames_or_members_are_read() {
        let (first, second) = (zstd::bulk::compress(b"one", 3).expect("compresses"), zstd_stream(b"two"));
        check(&[first, second].concat(), Compression::Zstd, b"onetwo");
        check(&[gzip(b"one"), gzip(b"four")].concat(), Compression::Gzip, b"onefour");
        check(&[gzip(b"four"), gzip(b""), gzip(b"one")].concat(), Compression::Gzip, b"fourone");
        // The same member twice: size and checksum at the body's end are also those of the first.
        check(&[gzip(b"one"), gzip(b"one")].concat(), Compression::Gzip, b"oneone");
    }

    #[test]
    fn bytes_that_look_like_a_member_are_data_when_they_are_data() {
        // Stored, not deflated: the magic bytes stand in the body as they are.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(&GZIP_MAGIC).expect("a Vec takes everything");
        let packed = encoder.finish().expect("a Vec takes everything");
        assert!(memchr::memmem::find(&packed[1..], &GZIP_MAGIC).is_some());
        check(&packed, Compression::Gzip, &GZIP_MAGIC);
    }

    #[test]
    fn what_follows_a_member_is_a_member_or_the_body_is_refused() {
        for rest in [&b"more"[..], &GZIP_MAGIC, &[0; 8]] {
            let body = [&gzip(b"one"), rest].concat();
            assert!(inflate(Compression::Gzip, &body, LIMIT).is_err(), "{rest:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = vec![0; LIMIT + 1];
        let packed = [
            (Compression::Gzip, gzip(&bomb)),
            (Compression::Gzip, [gzip(&bomb[1..]), gzip(&bomb[..1])].concat()),
            (Compression::Zstd, zstd::bulk::compress(&bomb, 3).expect("compresses")),
            (Compression::Zstd, zstd_stream(&bomb)),
            (Compression::None, bomb),
        ];
        for (compression, body) in packed {
            assert_eq!(inflate(compression, &body, LIMIT), Err(InflateError::TooLarge { limit: LIMIT }));
        }
    }

    #[test]
    fn damaged_bodies_are_refused_wherever_they_are_cut() {
        let bytes: Vec<u8> = (0..2_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = [
            (Compression::Gzip, gzip(&bytes)),
            (Compression::Zstd, zstd::bulk::compress(&bytes, 3).expect("compresses")),
        ];
        for (compression, body) in packed {
            for length in 0..body.len() {
                assert!(inflate(compression, &body[..length], LIMIT).is_err(), "{compression:?} cut at {length}");
            }
        }
    }
}
