use super::*;

/// Checks the head of an insert, whole and cut at every place before its data.
fn check_insert(text: &str, statement: &str, format: Option<&str>, data: &str) {
    let InsertHead::Data { statement_end, data_start, format: found } = insert_head(text, true) else {
        panic!("{text} is an insert with data");
    };
    assert_eq!(text[..statement_end].trim_end(), statement, "{text}");
    assert_eq!(found.as_deref(), format, "{text}");
    assert_eq!(&text[data_start..], data, "{text}");
    for cut in (0..data_start).filter(|cut| text.is_char_boundary(*cut)) {
        match insert_head(&text[..cut], false) {
            InsertHead::More => {}
            InsertHead::Data { data_start: early, .. } => assert!(early <= cut, "{text} cut at {cut}"),
            InsertHead::Query => panic!("{text} cut at {cut} looks like a query"),
        }
    }
}

#[test]
fn an_inserts_data_is_found_wherever_the_text_is_cut() {
    check_insert("INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t", Some("CSV"), "1,2\n");
    check_insert(
        "insert into d.`a b` (x, `values`) format TSV \r\n\tx",
        "insert into d.`a b` (x, `values`)",
        Some("TSV"),
        "\tx",
    );
    check_insert("INSERT INTO format FORMAT CSV\n1", "INSERT INTO format", Some("CSV"), "1");
    check_insert("INSERT INTO t VALUES (1, 'FORMAT')", "INSERT INTO t", Some("Values"), " (1, 'FORMAT')");
    check_insert(
        "INSERT INTO t SETTINGS a = 'FORMAT x' FORMAT Native\n\n",
        "INSERT INTO t SETTINGS a = 'FORMAT x'",
        Some("Native"),
        "\n",
    );
    check_insert(
        "-- SELECT\nINSERT /* VALUES */ INTO t FORMAT CSV;\n1",
        "-- SELECT\nINSERT /* VALUES */ INTO t",
        Some("CSV"),
        "1",
    );
}

#[test]
fn queries_are_not_taken_for_inserts() {
    for text in [
        "SELECT 1",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) SELECT 1",
        "INSERT INTO t WITH 1 AS x SELECT x",
        "INSERT INTO t (SELECT 1)",
        "",
    ] {
        assert_eq!(insert_head(text, true), InsertHead::Query, "{text}");
    }
}

#[test]
fn an_answer_goes_into_a_file_wherever_the_format_clause_stands() {
    let check = |sql: &str, expected: &str| {
        let format = output_format(sql).unwrap_or("TSV");
        assert_eq!(into_file(sql, format, "p").replace('\n', " "), expected);
    };
    check("SELECT 1", "SELECT 1 INTO OUTFILE 'p' TRUNCATE FORMAT TSV");
    check("SELECT 1 -- done", "SELECT 1 INTO OUTFILE 'p' TRUNCATE FORMAT TSV -- done");
    check("SELECT 1;", "SELECT 1 INTO OUTFILE 'p' TRUNCATE FORMAT TSV;");
    check("SELECT 1 FORMAT JSON;", "SELECT 1  INTO OUTFILE 'p' TRUNCATE FORMAT JSON;");
    check("SELECT 1 format JSON SETTINGS a = 1", "SELECT 1  INTO OUTFILE 'p' TRUNCATE FORMAT JSON SETTINGS a = 1");
    check("SELECT format FROM t", "SELECT format FROM t INTO OUTFILE 'p' TRUNCATE FORMAT TSV");
    check("SELECT (SELECT 'FORMAT x')", "SELECT (SELECT 'FORMAT x') INTO OUTFILE 'p' TRUNCATE FORMAT TSV");
}

#[test]
fn what_hides_in_strings_and_comments_is_no_word() {
    for sql in [
        "SELECT 'INTO OUTFILE'",
        "SELECT file FROM t",
        "SELECT 1 /* file( */",
        "SELECT `a file`(1)",
        "BACKUP TABLE t TO File('x')",
    ] {
        assert_eq!(reaches_files(sql), None, "{sql}");
    }
    for sql in [
        "SELECT 1 into/**/outfile 'x'",
        "SELECT FILE ('x')",
        "SELECT \"file\"('x')",
        "SELECT x APPLY file",
        "INSERT INTO t FROM INFILE 'x'",
        "SELECT '\\'', file('x')",
    ] {
        assert!(reaches_files(sql).is_some(), "{sql}");
    }
    assert_eq!(settings_clause("SELECT 'SETTINGS a = 1', settings = 2"), None);
    assert_eq!(settings_clause("SELECT 1 -- '\nsettings a=1"), Some("a".into()));
    assert_eq!(settings_clause("SELECT $x$ ' $x$ SETTINGS `a` = 1"), Some("a".into()));
}

#[test]
fn statements_that_end_the_process_or_a_query_are_known() {
    for sql in ["SYSTEM SHUTDOWN", "/* x */ system\nkill", "SYSTEM SUSPEND FOR 1 SECOND", "SYSTEM START LISTEN HTTP"] {
        assert!(ends_the_process(sql), "{sql}");
    }
    assert!(!ends_the_process("SYSTEM STOP MERGES"));
    assert_eq!(kill("KILL QUERY WHERE query_id = 'a' ASYNC"), Some(Kill::Query("a".into())));
    assert_eq!(kill("kill query where query_id='a';"), Some(Kill::Query("a".into())));
    assert_eq!(kill("KILL QUERY WHERE user = 'x' SYNC"), Some(Kill::Sync));
    assert_eq!(kill("KILL QUERY WHERE user = 'x'"), None);
    assert_eq!(kill("KILL MUTATION WHERE 1 SYNC"), None);
}
