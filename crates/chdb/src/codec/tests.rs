use std::io::Read;

use super::Encoding;
use super::blocks::write_blocks;
use super::decode::decoder;
use super::encode::Encoder;

fn check(encoding: Option<Encoding>, blocks: bool) {
    let text: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let mut encoder = Encoder::new(encoding, blocks).unwrap();
    let mut packed = Vec::new();
    for piece in text.chunks(100_001) {
        packed.extend(encoder.piece(piece).unwrap());
    }
    packed.extend(encoder.finish().unwrap());
    let mut back = Vec::new();
    decoder(packed.as_slice(), encoding, blocks).unwrap().read_to_end(&mut back).unwrap();
    assert!(back == text, "{encoding:?}, blocks {blocks}");
}

#[test]
fn every_encoding_comes_back_as_it_was() {
    for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Deflate), Some(Encoding::Zstd), Some(Encoding::Lz4)] {
        check(encoding, false);
        check(encoding, true);
    }
}

#[test]
fn a_damaged_block_is_refused() {
    let mut packed = Vec::new();
    write_blocks(b"some rows, and some more rows", &mut packed);
    for at in 0..packed.len() {
        let mut damaged = packed.clone();
        damaged[at] ^= 1;
        let mut back = Vec::new();
        assert!(decoder(damaged.as_slice(), None, true).unwrap().read_to_end(&mut back).is_err(), "byte {at}");
    }
}

#[test]
fn the_first_known_encoding_of_the_engine_wins() {
    assert_eq!(Encoding::accepted("gzip, deflate, br, zstd"), Some(Encoding::Zstd));
    assert_eq!(Encoding::accepted("gzip;q=1.0, lz4;q=0"), Some(Encoding::Gzip));
    assert_eq!(Encoding::accepted("br, identity"), None);
}
