use sha2::{Digest, Sha256};

/// The bytes that SHA-256 takes at once.
const BLOCK: usize = 64;

/// Returns the HMAC-SHA256 of a message (RFC 2104), in hexadecimal.
#[must_use]
pub fn signature(key: &[u8], message: &[&[u8]]) -> String {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for piece in message {
        inner.update(piece);
    }
    let outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c)).chain_update(inner.finalize());
    hex::encode(outer.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases 1, 2, 3 and 6 of RFC 4231.
    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let check = |key: &[u8], message: &[&[u8]], expect: &str| assert_eq!(signature(key, message), expect);
        let hi = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        check(&[0x0b; 20], &[b"Hi ", b"There"], hi);
        let what = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        check(b"Jefe", &[b"what do ya want for nothing?"], what);
        let fifty = "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe";
        check(&[0xaa; 20], &[&[0xdd; 50]], fifty);
        let long = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        check(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"], long);
    }
}
