use tidegate_model::UnixNanos;

use super::*;

/// 2026-01-02T03:04:05Z.
const NOW: UnixNanos = UnixNanos(1_767_323_045_000_000_000);

fn parse(format: Format, pattern: Option<&str>, text: &str) -> LogRow {
    let pattern = pattern.map(|pattern| Regex::new(pattern).unwrap());
    Parser { format, pattern, zone: UtcOffset::default() }.parse(text, NOW)
}

/// One line a row: time, severity, body, attributes.
fn told(row: &LogRow) -> String {
    let time = row.time.map_or("-".to_owned(), |time| time.to_string());
    let attributes: Vec<_> = row.attributes.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{time} {} {} | {} | {}", row.severity, row.severity_text, row.body, attributes.join(" "))
}

#[test]
fn json_lines_give_time_level_message_ids_and_typed_attributes() {
    let line = r#"{"ts":1767323045.25,"level":"WARN","msg":"slow","http":{"status":503,"ok":false},"tags":["a"],"x":null,
        "trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"}"#;
    let row = parse(Format::Json, None, line);
    assert_eq!(
        told(&row),
        "2026-01-02T03:04:05.25Z 13 WARN | slow | http.ok=Bool(false) http.status=Int(503) tags=Text(\"[\\\"a\\\"]\")"
    );
    assert_eq!((row.trace_id.len(), row.span_id.len()), (16, 8));
}

#[test]
fn logfmt_lines_may_be_quoted() {
    let row = parse(Format::Logfmt, None, r#"time=2026-01-02T03:04:05+01:00 level=error msg="it said \"no\"" code=7"#);
    assert_eq!(told(&row), "2026-01-02T02:04:05Z 17 error | it said \"no\" | code=Text(\"7\")");
}

#[test]
fn named_groups_become_fields() {
    let pattern = r"^(?<time>\S+ \S+) \[(?<level>\w+)\] (?<thread>\S+): (?<message>.*)$";
    let row = parse(Format::Regex, Some(pattern), "2026-01-02 03:04:05,120 [INFO] main: started");
    assert_eq!(told(&row), "2026-01-02T03:04:05.12Z 9 INFO | started | thread=Text(\"main\")");
}

#[test]
fn both_forms_of_syslog_are_read() {
    let line =
        r#"<165>1 2026-01-02T03:04:05.003Z mymachine evntslog - ID47 [ex@32473 iut="3" s="a \"b\""][two@1] An event"#;
    assert_eq!(
        told(&parse(Format::Syslog, None, line)),
        "2026-01-02T03:04:05.003Z 10 notice | An event | syslog.facility=Int(20) syslog.hostname=Text(\"mymachine\") \
         syslog.appname=Text(\"evntslog\") syslog.msgid=Text(\"ID47\") \
         syslog.structured_data.ex@32473.iut=Text(\"3\") syslog.structured_data.ex@32473.s=Text(\"a \\\"b\\\"\")"
    );
    let line = "<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed";
    assert_eq!(
        told(&parse(Format::Syslog, None, line)),
        "2025-10-11T22:14:15Z 18 crit | 'su root' failed | syslog.facility=Int(4) syslog.hostname=Text(\"mymachine\") \
         syslog.appname=Text(\"su\") syslog.procid=Text(\"12\")"
    );
    let line = "2026-01-02T03:04:05.5+00:00 box kernel: up";
    assert_eq!(
        told(&parse(Format::Syslog, None, line)),
        "2026-01-02T03:04:05.5Z 0  | up | syslog.hostname=Text(\"box\") syslog.appname=Text(\"kernel\")"
    );
}

#[test]
fn a_line_that_is_not_understood_is_a_row_that_says_so() {
    for (format, line) in [
        (Format::Json, "[1]"),
        (Format::Json, "{\"half\":"),
        (Format::Logfmt, "just words"),
        (Format::Logfmt, "a=\"open"),
        (Format::Syslog, "<999>1 - - - - - - x"),
        (Format::Syslog, "<34>1 2026-13-02T03:04:05Z h a - - - x"),
        (Format::Syslog, "no time at all"),
        (Format::Regex, "does not match"),
    ] {
        let row = parse(format, Some("^x"), line);
        assert_eq!(row.body, line);
        assert!(row.time.is_none() && row.attributes[0].0 == PARSE_ERROR, "{row:?}");
    }
}

#[test]
fn times_are_read_as_programs_write_them() {
    let check = |text: &str, expected: &str| {
        let time = time::read(text, UtcOffset::try_from("+02:00".to_owned()).unwrap(), NOW);
        assert_eq!(time.map_or("none".to_owned(), |time| time.to_string()), expected, "{text}");
    };
    check("2026-01-31T09:00:00.123456789Z", "2026-01-31T09:00:00.123456789Z");
    check("2026/01/31 09:00:00", "2026-01-31T07:00:00Z");
    check("[2026-01-31 09:00:00 -0530]", "2026-01-31T14:30:00Z");
    check("1767323045", "2026-01-02T03:04:05Z");
    check("1767323045.5", "2026-01-02T03:04:05.5Z");
    check("1767323045123", "2026-01-02T03:04:05.123Z");
    check("1767323045123456", "2026-01-02T03:04:05.123456Z");
    check("1767323045123456789", "2026-01-02T03:04:05.123456789Z");
    check("Jan  2 05:04:05", "2026-01-02T03:04:05Z");
    check("Dec 31 23:59:59", "2025-12-31T21:59:59Z");
    check("Feb 29 00:00:00", "2024-02-28T22:00:00Z");
    check("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z");
    check("2026-02-30T00:00:00Z", "none");
    check("2026-01-31T25:00:00Z", "none");
    check("yesterday", "none");
    check("12", "none");
}
