use tidegate_templates::{Miner, Settings};

use crate::restart::{closure, miner};

/// A state of version 1, as the first release wrote it; never edited.
const STATE: &str = "\
    5447544d010b70f0bba2b97947051f6c6f676f6e206f66206164612066726f6d200020776173207265667573656406000506\
    08090c0d111417181f040a1f6c6f676f6e206f6620626f622066726f6d20002077617320726566757365640600050608090c\
    0d111417181f040a1f6c6f676f6e206f66206576652066726f6d20002077617320726566757365640600050608090c0d1114\
    17181f040a1f6c6f676f6e206f662069616e2066726f6d20002077617320726566757365640600050608090c0d111417181f\
    040a1d6c6f676f6e206f6620002066726f6d200020776173207265667573656405000506080b0f1215161d8080010401";

fn bytes() -> Vec<u8> {
    (0..STATE.len()).step_by(2).map(|at| u8::from_str_radix(&STATE[at..at + 2], 16).unwrap()).collect()
}

fn lines() -> impl Iterator<Item = String> {
    ["ada", "bob", "eve", "ian"].into_iter().map(|user| format!("logon of {user} from 10.0.0.1 was refused"))
}

#[test]
fn a_state_of_the_first_release_is_read() {
    let (mut read, mut mined) = (miner(), miner());
    lines().for_each(|line| _ = mined.mine(&line));
    read.import(&bytes()).unwrap();
    assert_eq!(closure(&read), closure(&mined));
}

#[test]
fn ids_are_for_ever() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    assert_eq!(miner.mine("").to_string(), "2d06800538d394c2");
    assert_eq!(miner.mine("Received block blk_7 of size 12 from /10.0.0.1").to_string(), "bf87ee98096a62cc");
    assert_eq!(miner.mine("{\"b\": 1, \"a\": 2}").to_string(), "435fb923cf30cd31");
    let last = lines().map(|line| miner.mine(&line)).last().unwrap();
    assert_eq!(last.to_string(), "0d345e0ca39c14dd");
}
