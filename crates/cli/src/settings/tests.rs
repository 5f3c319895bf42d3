use super::tree::explained;
use super::*;
use std::collections::BTreeMap;
use tidegate_server::TracingMode;
use toml::{Table, Value};

fn with(environment: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&Flags::default(), &environment)
}

fn check_refused(environment: &[(&str, &str)], part: &str) {
    let error = with(environment).expect_err("these settings are wrong").to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn later_places_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.toml");
    std::fs::write(&file, "data = 'a'\n[batch]\nrows = 1\nbytes = 2\nage_ms = 3\n").expect("a file");
    let environment =
        [("TIDEGATE_BATCH__BYTES".to_owned(), "20".to_owned()), ("TIDEGATE_BATCH__AGE_MS".to_owned(), "30".to_owned())];
    let flags = Flags { file: Some(file), values: vec![("--batch-age", "batch.age_ms", "300".into())] };
    let loaded = load(&flags, &environment.into()).expect("good settings");
    let batch = &loaded.settings.batch;
    assert_eq!((batch.rows, batch.bytes, batch.age_ms), (1, 20, 300));
    assert_eq!(loaded.sources["batch.age_ms"], "flag --batch-age");
    assert_eq!(loaded.sources["batch.bytes"], "environment TIDEGATE_BATCH__BYTES");
}

#[test]
fn names_that_users_know_are_honoured() {
    let loaded =
        with(&[("CLICKHOUSE_HOST", "db"), ("CLICKHOUSE_PORT", "8123"), ("CLICKHOUSE_SECURE", "false")]).expect("good");
    assert_eq!(loaded.settings.clickhouse.address(), "http://db:8123");
    assert_eq!(loaded.settings.storage.backend, Backend::ClickHouse);
    let memory = with(&[("STORAGE_BACKEND", "memory"), ("CLICKHOUSE_HOST", "db")]).expect("good");
    assert_eq!(memory.settings.storage.backend, Backend::Memory);
}

#[test]
fn a_postgres_alone_switches_nothing() {
    let check = |environment: &[(&str, &str)], wanted| {
        assert_eq!(with(environment).expect("good").settings.tracing.mode, wanted, "{environment:?}");
    };
    let url = ("TIDEGATE_POSTGRES", "postgres://me:secret@db/traces");
    check(&[url], TracingMode::ClickHouse);
    check(&[("USE_CLICKHOUSE", "false")], TracingMode::ClickHouse);
    check(&[url, ("USE_CLICKHOUSE", "true")], TracingMode::Dual);
    check(&[url, ("USE_CLICKHOUSE", "false")], TracingMode::Postgres);
    check(&[url, ("USE_CLICKHOUSE", "false"), ("TIDEGATE_TRACING__MODE", "clickhouse")], TracingMode::ClickHouse);
    let shown = commented(&with(&[url]).expect("good")).expect("TOML");
    assert!(!shown.contains("secret@"), "the password is shown: {shown}");
}

#[test]
fn mistakes_are_named() {
    check_refused(&[("TIDEGATE_TRACING__MODE", "dual")], "names no PostgreSQL");
    check_refused(&[("TIDEGATE_POSTGRES", "db:5432")], "must be like postgres://");
    let url = ("TIDEGATE_POSTGRES", "postgres://db/traces");
    check_refused(&[url, ("TIDEGATE_TRACING__POSTGRES_TABLE", "a b")], "tracing.postgres_table: `a b` names no table");
    check_refused(&[url, ("USE_CLICKHOUSE", "perhaps")], "USE_CLICKHOUSE must be true or false");
    check_refused(&[("TIDEGATE_BATCH__ROWZ", "1")], "no setting `batch.rowz` (environment TIDEGATE_BATCH__ROWZ)");
    check_refused(&[("TIDEGATE_BATCH__ROWS", "many")], "batch.rows must be a whole number, it is `many`");
    check_refused(&[("TIDEGATE_BATCH__ROWS", "0")], "batch.rows must be at least 1");
    check_refused(&[("TIDEGATE_LISTEN__HTTP", "8080")], "listen.http must be an address");
    check_refused(&[("STORAGE_BACKEND", "oracle")], "oracle");
    check_refused(&[("CLICKHOUSE_VERIFY", "false")], "ca_cert");
    check_refused(&[("TIDEGATE_EXPORTS__WEBHOOK_URL", "http://here/hook")], "exports.webhook_secret must be set");
    check_refused(&[("TIDEGATE_BACKUP__TARGET", "s3")], "s3.bucket names no bucket");
    let s3 = |name, value| {
        [("TIDEGATE_S3__BUCKET", "b"), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), (name, value)]
    };
    check_refused(&s3("TIDEGATE_S3__ENDPOINT", "host:9000"), "s3.endpoint must be an address");
    check_refused(&s3("TIDEGATE_S3__SECRET_ACCESS_KEY", ""), "AWS_SECRET_ACCESS_KEY) must be set");
    check_refused(&s3("TIDEGATE_S3__PREFIX", "/a"), "s3.prefix is a path");
    check_refused(&s3("TIDEGATE_S3__REGION", ""), "s3.region must be set");
    let nothing = [("TIDEGATE_CATALOGUE__ENABLED", "false"), ("TIDEGATE_RETAIN__TRACES", "false")];
    check_refused(&nothing, "retain.traces = false keeps nothing but the catalogue");
}

#[test]
fn masks_are_read_from_the_file_and_from_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.toml");
    let text = "[templates]\nmessage_fields = ['@m']\n[[templates.masks]]\nname = 'ORDER'\nregex = 'order-[0-9]+'\n";
    std::fs::write(&file, text).expect("a file");
    let from_file = load(&Flags { file: Some(file), values: Vec::new() }, &BTreeMap::new()).expect("good settings");
    let from_environment = with(&[
        ("TIDEGATE_TEMPLATES__MASKS", "[{ name = 'ORDER', regex = 'order-[0-9]+' }]"),
        ("TIDEGATE_TEMPLATES__MESSAGE_FIELDS", "@m"),
    ])
    .expect("good settings");
    assert_eq!(from_file.settings.templates, from_environment.settings.templates);
    let text = commented(&from_environment).expect("text");
    let again: Settings = toml::from_str(&text).expect("what is printed is a file");
    assert_eq!(again.templates, from_file.settings.templates);
    let names = with(&[("TIDEGATE_TEMPLATES__BUILT_IN_OFF", "NUM, ip")]).expect("good settings");
    assert_eq!(names.settings.templates.built_in_off, ["NUM", "ip"]);
}

#[test]
fn mistakes_in_masks_are_told_with_the_mask_and_its_place() {
    const MASKS: &str = "TIDEGATE_TEMPLATES__MASKS";
    let bad = "[{ name = 'A', regex = 'a' }, { name = 'B', regex = '(b' }]";
    check_refused(&[(MASKS, bad)], "masks[1] (B): the expression cannot be used: regex parse error");
    check_refused(&[(MASKS, bad)], "unclosed group; set are: templates.masks (environment TIDEGATE_TEMPLATES__MASKS)");
    check_refused(&[(MASKS, "ORDER=order-[0-9]+")], "a table such as { name = \"ORDER\", regex = 'order-[0-9]+' }");
    check_refused(&[(MASKS, "[{ name = 'A' }]")], "missing field `regex`");
    check_refused(&[(MASKS, "[{ name")], "templates.masks must be a list such as");
    check_refused(&[("TIDEGATE_TEMPLATES__BUILT_IN_OFF", "NOM")], "no built-in mask \"NOM\"; there are NUM, HEX");
}

#[test]
fn every_setting_is_explained_and_what_is_printed_can_be_read() {
    let defaults = Table::try_from(Settings::default()).expect("a table");
    for (section, value) in &defaults {
        assert!(explained(section).is_some(), "{section} is not explained");
        if let Value::Table(table) = value {
            table.keys().for_each(|key| assert!(explained(&format!("{section}.{key}")).is_some(), "{section}.{key}"));
        }
    }
    let loaded = with(&[
        ("TIDEGATE_BATCH__ROWS", "7"),
        ("CLICKHOUSE_PASSWORD", "never shown"),
        ("TIDEGATE_EXPORTS__WEBHOOK_SECRET", "never shown"),
        ("AWS_SECRET_ACCESS_KEY", "never shown"),
    ])
    .expect("good settings");
    let text = commented(&loaded).expect("text");
    assert!(text.contains("rows = 7 # from environment TIDEGATE_BATCH__ROWS; default 200000"), "{text}");
    assert!(!text.contains("never shown"), "{text}");
    let again: Settings = toml::from_str(&text).expect("what is printed is a file");
    assert_eq!(again.batch.rows, 7);
}
