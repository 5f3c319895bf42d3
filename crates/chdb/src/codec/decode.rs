use std::io::{self, Read};

use super::Encoding;
use super::blocks::BlockReader;

/// Wraps a body in what undoes its encodings: HTTP's first, then ClickHouse's blocks.
pub(crate) fn decoder<'r>(
    body: impl Read + 'r,
    encoding: Option<Encoding>,
    blocks: bool,
) -> io::Result<Box<dyn Read + 'r>> {
    let plain: Box<dyn Read + 'r> = match encoding {
        None => Box::new(body),
        Some(Encoding::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Some(Encoding::Deflate) => Box::new(flate2::read::ZlibDecoder::new(body)),
        Some(Encoding::Zstd) => Box::new(zstd::stream::read::Decoder::new(body)?),
        Some(Encoding::Lz4) => Box::new(lz4_flex::frame::FrameDecoder::new(body)),
    };
    Ok(if blocks { Box::new(BlockReader::new(plain)) } else { plain })
}
