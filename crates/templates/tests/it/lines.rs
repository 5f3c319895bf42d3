use tidegate_templates::{Fact, Miner, Settings, TemplateId};

fn named(body: &str) -> String {
    let mut miner = Miner::new(Settings::default()).unwrap();
    let id = miner.mine(body);
    miner.template(id).unwrap().named_text
}

fn check(body: &str, text: &str) {
    assert_eq!(named(body), text, "{body}");
}

/// Mines all lines and says how many templates they are in the end.
fn groups(lines: &[&str]) -> usize {
    let mut miner = Miner::new(Settings::default()).unwrap();
    let ids: Vec<TemplateId> = lines.iter().map(|line| miner.mine(line)).collect();
    let mut ids: Vec<TemplateId> = ids.into_iter().map(|id| miner.resolve(id)).collect();
    ids.sort();
    ids.dedup();
    ids.len()
}

#[test]
fn reference_vectors_hold() {
    check(
        "User 12345 downloaded 2.5MB in 150ms from 192.168.1.1",
        "User <NUM> downloaded <SIZE> in <DURATION> from <IP>",
    );
    check("received message value YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo0NQ", "received message value <*>");
}

#[test]
fn values_are_known_by_their_look() {
    check("link 00:11:43:e3:ba:c3 up", "link <MAC> up");
    check("addr fe80::ab:cd0 2001:db8::8329", "addr <IP>");
    check("from www.example.org:443 in 5 ms", "from <HOST> in <DURATION>");
    check("open /etc/passwd, C:\\x\\y.dll", "open <PATH>");
    check("read/write I/O", "read/write I/O");
    check("fetch https://example.org/a?b=c.", "fetch <URL>.");
    check("at Sun Jul 17 12:30:57 2005", "at <TIMESTAMP>");
    check("date 2016/9/27:20:30:31.458 ok", "date <TIMESTAMP> ok");
    check("sent 1,024 bytes", "sent <NUM> bytes");
    check("May I?", "May I?");
    check("key=\"two words\" p99=7 ok= true", "key=\"two words\" p99=<NUM> ok= <FLAG>");
    check("that is true", "that is true");
    check("interrupt enabled......1", "interrupt enabled......<NUM>");
    check("password=***** for ()", "password=<*> for (<*>)");
    check("lifetime <1 sec", "lifetime <DURATION>");
    check("<3>kernel: up", "<<NUM>>kernel: up");
    check("screen org.app/.Main shown to ada@example.org", "screen <PATH> shown to <EMAIL>");
    check("grpc.Users/Get is slow", "grpc.Users/Get is slow");
}

#[test]
fn odd_bodies_have_a_template() {
    check("", "");
    check(" \t\n ", "");
    check("one\ntwo 2", "one");
    check("\r\n  one\r\ntwo", "one");
    check("tab\tand\u{0}nul", "tab and nul");
    check("größe=7 文字", "größe=<NUM> 文字");
    check("{\"b\": 1, \"a\": {\"c\": [1, \"}\"]}}", "{\"a\": <*>, \"b\": <*>}");
    check("{\n \"b\": 1\n}", "{\"b\": <*>}");
    check("{\"cut off\": \"in the mid", "{\"cut off\": <*>}");
    check("{}", "{}");
    check("{not json} 7", "{not json} <NUM>");
}

#[test]
fn a_word_that_varies_between_constants_is_a_variable() {
    let lines = ["logon of ada was refused", "logon of bob was refused", "logon of eve was refused"];
    assert_eq!(groups(&lines), 3);
    assert_eq!(groups(&[&lines[..], &["logon of ian was refused"]].concat()), 1);
    assert_eq!(groups(&["logon of ada was refused", "logon of u7 was refused"]), 1);
    assert_eq!(groups(&["a started", "b started", "c started", "d started", "e started"]), 5);
}

#[test]
fn words_that_are_variables_elsewhere_are_known_by_the_word_before_them() {
    let on = ["ada", "bob", "eve", "ian"].map(|user| format!("user {user} logged on today"));
    let off = ["ada", "bob"].map(|user| format!("user {user} has logged off"));
    let found = |lines: &[String]| groups(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found(&off), 2);
    assert_eq!(found(&[&on[..], &off].concat()), 2);
    assert_eq!(found(&[&off[..], &on].concat()), 2);
    let unknown = ["ada", "joe"].map(|user| format!("user {user} has logged off"));
    assert_eq!(found(&[&on[..], &unknown].concat()), 3);
}

#[test]
fn two_words_that_vary_meet_in_one_template() {
    let users = ["ada", "bob", "eve", "ian", "joe"];
    let lines: Vec<String> =
        users.iter().flat_map(|a| users.iter().map(move |b| format!("mail of {a} was given to {b} today"))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(groups(&lines), 1);
}

#[test]
fn facts_tell_new_templates_once_and_merges() {
    let mut miner = Miner::new(Settings::default()).unwrap();
    let id = miner.mine("free 7");
    assert_eq!(miner.mine("free 8"), id);
    assert_eq!(miner.take_facts(), vec![Fact::New { id, text: "free <*>".to_owned() }]);
    for user in ["ada", "bob", "eve"] {
        miner.mine(&format!("logon of {user} was refused"));
    }
    assert_eq!(miner.take_facts().len(), 3);
    let join = miner.mine("logon of ian was refused");
    let facts = miner.take_facts();
    assert!(facts.contains(&Fact::New { id: join, text: "logon of <*> was refused".to_owned() }));
    assert_eq!(facts.iter().filter(|fact| matches!(fact, Fact::Merged { into, .. } if *into == join)).count(), 4);
    assert_eq!(miner.mine("logon of zoe was refused"), join);
    assert_eq!(miner.take_facts(), vec![]);
}
