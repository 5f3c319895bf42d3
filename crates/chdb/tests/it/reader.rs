//! The user who may only read, and the full user's statements under the same rules.

use crate::client::{multipart, post, run};
use crate::engine::{Engine, PASSWORD};

const READONLY: &str = "X-Tidegate-Readonly: 1";

fn engine_with_rows() -> Engine {
    let engine = Engine::start(&[]);
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    run(&engine, "INSERT INTO t VALUES (1), (2)");
    engine
}

fn reader() -> [String; 2] {
    ["X-ClickHouse-User: reader".to_owned(), format!("X-ClickHouse-Key: {PASSWORD}")]
}

#[test]
fn a_reader_reads_and_changes_nothing() {
    let engine = engine_with_rows();
    let reader = reader();
    let as_reader: Vec<&str> = reader.iter().map(String::as_str).collect();
    for headers in [as_reader.as_slice(), &[READONLY]] {
        for (sql, text) in [
            ("SELECT sum(a) FROM t", "3\n"),
            ("WITH 1 AS x SELECT x", "1\n"),
            ("(SELECT 1) UNION ALL (SELECT 1)", "1\n1\n"),
            ("SHOW TABLES", "t\n"),
            ("EXISTS TABLE t", "1\n"),
            ("SELECT ' SETTINGS a = 1, file(1)'", " SETTINGS a = 1, file(1)\n"),
            ("SELECT 1 AS format, 2 AS settings", "1\t2\n"),
        ] {
            let answer = post(&engine, "", headers, sql.as_bytes());
            assert_eq!((answer.status, answer.text().as_str()), (200, text), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES (3)",
            "CREATE TABLE u (a UInt8) ENGINE = Memory",
            "CREATE TEMPORARY TABLE u (a UInt8)",
            "DROP TABLE t",
            "TRUNCATE TABLE t",
            "ALTER TABLE t DELETE WHERE 1",
            "OPTIMIZE TABLE t",
            "SET max_threads = 1",
            "USE system",
            "KILL QUERY WHERE 1",
            "SYSTEM RELOAD CONFIG",
            "CREATE FUNCTION f AS x -> x",
            "SELECT 1 SETTINGS max_threads = 1",
            "SELECT 1 -- '\n SETTINGS max_execution_time = 0",
            "SELECT $a$ ' $a$ SETTINGS readonly = 0",
            "SELECT * FROM (SELECT 1 SETTINGS enable_global_with_statement = 0)",
            "SELECT 1; DROP TABLE t",
            "EXPLAIN SELECT 1; DROP TABLE t",
            "BACKUP TABLE t TO Null",
        ] {
            let answer = post(&engine, "", headers, sql.as_bytes());
            assert_ne!(answer.status, 200, "{sql}: {}", answer.text());
        }
    }
    assert_eq!(run(&engine, "SELECT sum(a) FROM t"), "3\n");
}

#[test]
fn the_callers_limits_hold_and_tables_travel_along() {
    let engine = engine_with_rows();
    let reader = reader();
    let (header, body) = multipart("x", "2\n");
    let join = "x_structure=a UInt64&query=SELECT count() FROM t JOIN x USING (a)";
    for user in [vec![READONLY], reader.iter().map(String::as_str).collect()] {
        let headers = [user.as_slice(), &[&header]].concat();
        assert_eq!(post(&engine, join, &headers, &body).text(), "1\n");
        let limited =
            post(&engine, "max_execution_time=1", &user, b"SELECT sum(sipHash64(number)) FROM numbers(1000000000000)");
        assert_eq!(limited.code(), Some(159));
        assert_eq!(post(&engine, "max_result_rows=1", &user, b"SELECT number FROM numbers(10)").code(), Some(396));
    }
    let headers: Vec<&str> = reader.iter().map(String::as_str).collect();
    for setting in ["allow_ddl=1", "max_memory_usage=0", "additional_table_filters={}", "dialect='prql'"] {
        assert_eq!(post(&engine, setting, &headers, b"SELECT 1").code(), Some(164), "{setting}");
    }
    assert_eq!(post(&engine, "session_id=s", &headers, b"SELECT 1").text(), "1\n");
}

#[test]
fn only_the_right_password_opens() {
    let engine = Engine::start(&[]);
    let right = ["Authorization: Basic dGlkZWdhdGU6YSBsb25nIHNlY3JldA=="];
    assert_eq!(post(&engine, "", &right, b"SELECT 1").text(), "1\n");
    assert_eq!(post(&engine, "user=tidegate&password=a%20long%20secret", &[], b"SELECT 1").text(), "1\n");
    for parameters in
        ["user=tidegate", "user=tidegate&password=a%20long%20secreT", "user=nobody", "user=default&password=x"]
    {
        let answer = post(&engine, parameters, &[], b"SELECT 1");
        assert_eq!((answer.status, answer.code()), (403, Some(516)), "{parameters}");
    }
}
