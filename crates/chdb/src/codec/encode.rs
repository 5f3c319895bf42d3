use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use lz4_flex::frame::FrameEncoder;

use super::Encoding;
use super::blocks::write_blocks;

/// zstd's level for answers: near its fastest, since the engine's CPU is what queries need.
const ZSTD_LEVEL: i32 = 1;

/// Turns plain pieces into encoded ones.
pub(crate) struct Encoder {
    blocks: bool,
    outer: Outer,
}

enum Outer {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
}

impl Encoder {
    /// Begins a body: ClickHouse's blocks inside, HTTP's encoding outside.
    pub(crate) fn new(encoding: Option<Encoding>, blocks: bool) -> io::Result<Self> {
        let outer = match encoding {
            None => Outer::Plain(Vec::new()),
            Some(Encoding::Gzip) => Outer::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Some(Encoding::Deflate) => Outer::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Some(Encoding::Zstd) => Outer::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
            Some(Encoding::Lz4) => Outer::Lz4(Box::new(FrameEncoder::new(Vec::new()))),
        };
        Ok(Self { blocks, outer })
    }

    /// Encodes one piece; what the client can already read of it is returned.
    pub(crate) fn piece(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        if self.blocks {
            let mut packed = Vec::new();
            write_blocks(data, &mut packed);
            self.write(&packed)
        } else {
            self.write(data)
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        let out = match &mut self.outer {
            Outer::Plain(out) => {
                out.extend_from_slice(data);
                out
            }
            Outer::Gzip(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Outer::Deflate(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Outer::Zstd(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Outer::Lz4(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out))
    }

    /// Ends the body; returns its last bytes.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self.outer {
            Outer::Plain(out) => Ok(out),
            Outer::Gzip(encoder) => encoder.finish(),
            Outer::Deflate(encoder) => encoder.finish(),
            Outer::Zstd(encoder) => encoder.finish(),
            Outer::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
        }
    }
}
