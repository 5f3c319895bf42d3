use tidegate_templates::limits::{FACTS_MAX, SHAPE_BYTES_MAX, TEMPLATES_MAX};
use tidegate_templates::{Miner, Settings, TemplateId};

/// Spells a number in letters, so that no mask finds it.
fn word(mut number: u32) -> String {
    let mut text = String::from("q");
    while number > 0 {
        text.push(char::from(b'g' + (number % 16) as u8));
        number /= 16;
    }
    text
}

#[test]
fn distinct_lines_degrade_to_overflow_and_are_all_counted() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    let lines = 1_200_000;
    let mut overflowed = 0;
    for at in 0..lines {
        let line = format!("{} {} {}", word(at), word(at.wrapping_mul(2_654_435_761)), word(at ^ 0xabc_def));
        overflowed += u64::from(miner.mine(&line) == TemplateId::OVERFLOW);
        if at % 1_000 == 0 {
            miner.take_facts();
        }
    }
    let stats = miner.stats();
    assert_eq!((stats.lines, stats.overflowed), (u64::from(lines), overflowed));
    assert!(stats.templates <= TEMPLATES_MAX as u64 && overflowed > 1_100_000, "{stats:?}");
    assert_eq!(stats.trims, 2, "room is made at once, and after every million lines in overflow");
    assert!(miner.export().len() < TEMPLATES_MAX * 100);
}

#[test]
fn templates_that_last_survive_an_attack() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    let line = |user: &str| format!("logon of {user} was refused");
    let ids: Vec<TemplateId> = ["ada", "bob", "eve", "ian", "zoe"].iter().map(|user| miner.mine(&line(user))).collect();
    for at in 0..40_000 {
        miner.mine(&format!("{} {}", word(at), word(at.wrapping_mul(2_654_435_761))));
        miner.take_facts();
    }
    assert_eq!(miner.mine(&line("joe")), ids[4]);
}

#[test]
fn facts_that_nobody_takes_stop_growing() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    for at in 0..100_000 {
        miner.mine(&format!("{} {}", word(at), word(at.wrapping_mul(2_654_435_761))));
    }
    assert!(miner.take_facts().len() <= FACTS_MAX);
}

#[test]
fn facts_that_are_taken_and_not_stored_hold_new_templates_back() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    let known = miner.mine("logon of ada");
    miner.hold(FACTS_MAX);
    assert_eq!([miner.mine("logon of ada"), miner.mine("a new line")], [known, TemplateId::OVERFLOW]);
    miner.hold(0);
    assert_ne!(miner.mine("a new line"), TemplateId::OVERFLOW);
}

#[test]
fn long_lines_are_one_variable_from_the_limit_on() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    for line in ["word ".repeat(100_000), "w".repeat(1 << 20), "-".repeat(1 << 20), "a/".repeat(1 << 20)] {
        let id = miner.mine(&line);
        assert!(miner.template(id).unwrap().text.len() <= SHAPE_BYTES_MAX + 16);
    }
    let long = "word ".repeat(200);
    assert_eq!(miner.mine(&format!("{long} end")), miner.mine(&format!("{long} other")));
}
