use tidegate_templates::{Miner, Settings, UserMask};

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
    check(settings(), "of /orders/order-abc, 3 left", "of <PATH><ORDER>, <NUM> left");
}

#[test]
fn a_mask_is_a_word_of_the_text_and_of_the_id() {
    let settings = Settings { masks: vec![mask("ORDER", "order-[a-z0-9]+")], ..Settings::default() };
    let mut masked = Miner::new(settings).unwrap();
    let id = masked.mine("sent order-abc to 10.0.0.1");
    assert_eq!(masked.template(id).unwrap().text, "sent <ORDER> to <*>");
    assert_eq!(masked.mine("sent order-99 to 10.0.0.2"), id);
    assert_ne!(masked.mine("sent 7 to 10.0.0.1"), id);
    let mut other = Miner::new(Settings::default()).unwrap();
    assert_ne!(other.mine("sent order-99 to 10.0.0.2"), id);
}

#[test]
fn a_list_of_masked_values_is_one() {
    let settings =
        Settings { masks: vec![mask("ORDER", "order-[0-9]+"), mask("SKU", "sku:[a-z]+")], ..Settings::default() };
    let mut miner = Miner::new(settings).unwrap();
    let one = miner.mine("left: order-1");
    assert_eq!(miner.mine("left: order-1, order-2, order-33"), one);
    let two = miner.mine("left: order-1, sku:a, sku:b");
    assert_eq!(miner.template(two).unwrap().text, "left: <ORDER>, <SKU>");
}

#[test]
fn words_still_turn_out_to_vary_beside_masks() {
    let settings = Settings { masks: vec![mask("ORDER", "order-[0-9]+")], ..Settings::default() };
    let mut miner = Miner::new(settings).unwrap();
    let users = ["ada", "bob", "eve", "ian"];
    let ids = users.map(|user| miner.mine(&format!("order-7 of {user} was sent")));
    let text = miner.template(miner.resolve(ids[0])).unwrap().text;
    assert_eq!(text, "<ORDER> of <*> was sent");
    assert_eq!(miner.resolve(ids[0]), ids[3]);
}

#[test]
fn templates_of_other_masks_stay_known_after_a_restart() {
    let with = |masks| Miner::new(Settings { masks, ..Settings::default() }).unwrap();
    let mut before = with(vec![mask("ORDER", "order-[0-9]+")]);
    let old = before.mine("sent order-7 to ada");
    let mut after = with(vec![mask("PARCEL", "order-[0-9]+")]);
    after.import(&before.export()).unwrap();
    let new = after.mine("sent order-7 to ada");
    let text = |id| after.template(id).unwrap().text;
    assert_eq!((text(old), text(new)), ("sent <ORDER> to ada".to_owned(), "sent <PARCEL> to ada".to_owned()));
}

#[test]
fn a_built_in_mask_can_be_off() {
    let off = |names: &[&str]| {
        let built_in_off = names.iter().map(|n| (*n).to_owned()).collect();
        Settings { built_in_off, ..Settings::default() }
    };
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
    let check = |settings: Settings, part: &str| {
        let text = settings.check().unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    let masks = |masks: Vec<UserMask>| Settings { masks, ..Settings::default() };
    check(masks(vec![mask("A", "a"), mask("B", "(")]), "masks[1] (B): the expression cannot be used");
    check(masks(vec![mask("A", r"\w{500}{500}")]), "masks[0] (A): the expression cannot be used");
    check(masks(vec![mask("A", "")]), "masks[0] (A): there is no expression");
    check(masks(vec![mask("<A>", "a")]), "masks[0]: the name \"<A>\"");
    check(masks(vec![mask("A", "a"); 17]), "17 masks are set, at most 16");
    check(
        Settings { built_in_off: vec!["nom".to_owned()], ..Settings::default() },
        "no built-in mask \"nom\"; there are NUM",
    );
    check(Settings { message_fields: vec![String::new()], ..Settings::default() }, "message field \"\"");
    check(Settings { message_fields: vec!["a".to_owned(); 17], ..Settings::default() }, "17 message fields");
}
