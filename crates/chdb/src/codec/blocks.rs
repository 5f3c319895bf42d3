//! One block: 16 bytes of CityHash128 (version 1.0.2) over the rest, the method, two lengths, the data.

use std::io::{self, Read};

use cityhash_rs::cityhash_102_128;

use crate::limits::{BLOCK_BYTES, BLOCK_BYTES_MAX};

const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

/// Appends `data` to `out`, as blocks with LZ4.
pub(crate) fn write_blocks(data: &[u8], out: &mut Vec<u8>) {
    for part in data.chunks(BLOCK_BYTES) {
        let packed = lz4_flex::block::compress(part);
        let mut block = Vec::with_capacity(HEADER_BYTES + packed.len());
        block.push(METHOD_LZ4);
        block.extend_from_slice(&length(HEADER_BYTES + packed.len()));
        block.extend_from_slice(&length(part.len()));
        block.extend_from_slice(&packed);
        out.extend_from_slice(&checksum(&block));
        out.extend_from_slice(&block);
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("a block is cut far below 4 GiB").to_le_bytes()
}

/// ClickHouse writes the two halves of the hash with the high one first.
fn checksum(block: &[u8]) -> [u8; CHECKSUM_BYTES] {
    cityhash_102_128(block).rotate_left(64).to_le_bytes()
}

/// Reads blocks from `inner` and returns their data.
pub(crate) struct BlockReader<R> {
    inner: R,
    data: Vec<u8>,
    given: usize,
}

impl<R: Read> BlockReader<R> {
    /// Reads from the first block on.
    pub(crate) const fn new(inner: R) -> Self {
        Self { inner, data: Vec::new(), given: 0 }
    }

    /// Reads the next block; `false` at the end of the input.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut head = [0; CHECKSUM_BYTES + HEADER_BYTES];
        if !read_all_or_nothing(&mut self.inner, &mut head)? {
            return Ok(false);
        }
        let (expected, header) = head.split_at(CHECKSUM_BYTES);
        let packed_bytes = u32_at(header, 1).checked_sub(HEADER_BYTES).filter(|bytes| *bytes <= BLOCK_BYTES_MAX);
        let plain_bytes = Some(u32_at(header, 5)).filter(|bytes| *bytes <= BLOCK_BYTES_MAX);
        let (Some(packed_bytes), Some(plain_bytes)) = (packed_bytes, plain_bytes) else {
            return Err(invalid("a compressed block's length is out of range"));
        };
        let mut block = header.to_vec();
        block.resize(HEADER_BYTES + packed_bytes, 0);
        self.inner.read_exact(&mut block[HEADER_BYTES..])?;
        if checksum(&block) != expected {
            return Err(invalid("a compressed block's checksum does not match its data"));
        }
        self.data = unpack(header[0], &block[HEADER_BYTES..], plain_bytes)?;
        self.given = 0;
        Ok(true)
    }
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.data.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = out.len().min(self.data.len() - self.given);
        out[..count].copy_from_slice(&self.data[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

fn unpack(method: u8, packed: &[u8], plain_bytes: usize) -> io::Result<Vec<u8>> {
    let data = match method {
        METHOD_NONE => packed.to_vec(),
        METHOD_LZ4 => lz4_flex::block::decompress(packed, plain_bytes).map_err(invalid)?,
        METHOD_ZSTD => zstd::bulk::decompress(packed, plain_bytes)?,
        _ => return Err(invalid(format!("a compressed block's method 0x{method:02x} is not LZ4, ZSTD or none"))),
    };
    if data.len() == plain_bytes { Ok(data) } else { Err(invalid("a compressed block's data has another length")) }
}

fn u32_at(header: &[u8], at: usize) -> usize {
    let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
    usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Fills `out`; `false` when the input ended before its first byte.
fn read_all_or_nothing(inner: &mut impl Read, out: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < out.len() {
        match inner.read(&mut out[filled..])? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(true)
}
