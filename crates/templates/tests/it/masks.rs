use tidegate_templates::{Miner, Settings, SettingsError, UserMask};

fn mask(name: &str, regex: &str) -> UserMask {
    UserMask { name: name.to_owned(), regex: regex.to_owned() }
}

fn check(settings: Settings, body: &str, text: &str) {
    let mut miner = Miner::new(settings).unwrap();
    let id = miner.mine(body);
    assert_eq!(miner.template(id).unwrap().named_text, text);
}

#[test]
fn a_users_mask_comes_before_the_built_in_ones() {
    let settings = || Settings { masks: vec![mask("ORDER", "order-[a-z]+"), mask("N", "x*")], ..Settings::default() };
    check(settings(), "sent order-abc to 10.0.0.1", "sent <ORDER> to <IP>");
    check(settings(), "sent \u{10} to 10.0.0.1", "sent to <IP>");
    check(settings(), "größe order-abc, 文字", "größe <ORDER>, 文字");
}

#[test]
fn a_built_in_mask_can_be_off() {
    let off =
        |names: &[&str]| Settings { built_in_off: names.iter().map(|n| (*n).to_owned()).collect(), masks: vec![] };
    check(off(&["num"]), "code 7 from 10.0.0.1", "code 7 from <IP>");
    check(off(&["IP"]), "code 7 from 10.0.0.1", "code <NUM> from 10.0.0.1");
    check(
        off(&["num"]),
        "Jul 27 14:41:57 server sshd[1234]: Failed from 10.0.0.1",
        "<TIMESTAMP> server sshd[1234]: Failed from <IP>",
    );
}

#[test]
fn bad_settings_are_named() {
    let error = |masks: Vec<UserMask>, off: &[&str]| {
        let built_in_off = off.iter().map(|name| (*name).to_owned()).collect();
        Miner::new(Settings { masks, built_in_off }).unwrap_err()
    };
    assert!(matches!(error(vec![mask("A", "(")], &[]), SettingsError::MaskRegex { .. }));
    assert!(matches!(error(vec![mask("A", r"\w{500}{500}")], &[]), SettingsError::MaskRegex { .. }));
    assert!(matches!(error(vec![mask("<A>", "a")], &[]), SettingsError::MaskName { .. }));
    assert!(matches!(error(vec![mask("A", "a"); 17], &[]), SettingsError::TooManyMasks { found: 17 }));
    assert!(matches!(error(vec![], &["nom"]), SettingsError::UnknownMask { .. }));
}
