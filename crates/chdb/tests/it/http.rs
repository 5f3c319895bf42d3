//! ClickHouse's HTTP interface, line by line.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::client::{post, receive, run, send};
use crate::engine::{Engine, within};

#[test]
fn health_paths_and_harmless_methods_answer() {
    let engine = Engine::start(&[]);
    let ask = |line: &str| {
        let mut socket = TcpStream::connect(engine.address()).unwrap();
        socket.write_all(format!("{line} HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        receive(&mut socket)
    };
    for (line, status, text) in [
        ("GET /ping", 200, "Ok.\n"),
        ("GET /replicas_status", 200, "Ok."),
        ("GET /", 200, "Ok.\n"),
        ("GET /?query=SELECT%201", 200, "1\n"),
        ("HEAD /", 200, ""),
        ("OPTIONS /", 204, ""),
    ] {
        let answer = ask(line);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{line}");
    }
    assert_eq!(ask("GET /nothing").status, 404);
    assert_eq!(ask("GET /?query=CREATE%20DATABASE%20d").code(), Some(164));
}

#[test]
fn errors_before_the_first_byte_have_their_own_status() {
    let engine = Engine::start(&[]);
    for (sql, status, code) in [
        ("SELECT nothing", 404, 47),
        ("SELECT * FROM nowhere", 404, 60),
        ("SELECT toUInt8('x')", 400, 6),
        ("SELECT FROM WHERE", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("", 400, 62),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT 1 FORMAT Nothing", 404, 73),
    ] {
        let answer = post(&engine, "", &[], sql.as_bytes());
        assert_eq!((answer.status, answer.code()), (status, Some(code)), "{sql}: {}", answer.text());
        assert!(answer.text().starts_with(&format!("Code: {code}. DB::Exception: ")), "{}", answer.text());
        assert!(answer.text().contains("(version "), "{}", answer.text());
    }
    assert_eq!(post(&engine, "no_such_setting=1", &[], b"SELECT 1").code(), Some(115));
    assert_eq!(post(&engine, "database=nowhere", &[], b"SELECT 1").code(), Some(81));
}

#[test]
fn an_error_in_the_middle_of_an_answer_cannot_be_overlooked() {
    let engine = Engine::start(&[]);
    let sql = "SELECT number, throwIf(number = 2000000) FROM numbers(10000000)";
    for (parameters, headers) in [("", vec![]), ("enable_http_compression=1", vec!["Accept-Encoding: gzip"])] {
        let answer = post(&engine, parameters, &headers, sql.as_bytes());
        assert_eq!(answer.status, 200);
        assert!(!answer.whole, "the body looks complete");
        let mut body = answer.body.clone();
        if !headers.is_empty() {
            body.clear();
            GzDecoder::new(answer.body.as_slice()).read_to_end(&mut body).unwrap();
        }
        let tail = String::from_utf8_lossy(&body[body.len() - 400..]).into_owned();
        let tag = answer.header("x-clickhouse-exception-tag").unwrap();
        assert!(tail.contains(&format!("__exception__\r\n{tag}\r\nCode: 395. DB::Exception")), "{tail}");
        assert!(tail.ends_with(&format!(" {tag}\r\n__exception__\r\n")), "{tail}");
    }
    let whole = post(&engine, "wait_end_of_query=1", &[], sql.as_bytes());
    assert_eq!((whole.status, whole.code()), (500, Some(395)));
}

#[test]
fn every_format_is_one_document_however_long_the_answer() {
    let engine = Engine::start(&[]);
    let rows = "SELECT number, toString(number) AS s FROM numbers(400000)";
    let json: serde_json::Value = serde_json::from_str(&run(&engine, &format!("{rows} FORMAT JSON"))).unwrap();
    assert_eq!((json["data"].as_array().unwrap().len(), &json["rows"]), (400_000, &400_000.into()));
    let csv = run(&engine, &format!("{rows} FORMAT CSVWithNames"));
    assert_eq!(csv.matches("number").count(), 1);
    assert_eq!(csv.lines().count(), 400_001);
    run(&engine, "CREATE TABLE t (number UInt64, s String) ENGINE = Memory");
    for format in ["ArrowStream", "Arrow", "Parquet", "Native", "RowBinary", "ORC", "Avro", "MsgPack", "JSONColumns"] {
        run(&engine, "TRUNCATE TABLE t");
        let body = post(&engine, &format!("default_format={format}"), &[], rows.as_bytes()).body;
        let inserted = post(&engine, &format!("query=INSERT INTO t FORMAT {format}"), &[], &body);
        assert_eq!(inserted.status, 200, "{format}: {}", inserted.text());
        assert_eq!(
            run(&engine, "SELECT count(), sum(number), countIf(s = toString(number)) FROM t"),
            "400000\t79999800000\t400000\n",
            "{format}"
        );
    }
    let empty: serde_json::Value = serde_json::from_str(&run(&engine, "SELECT 1 AS a WHERE 0 FORMAT JSON")).unwrap();
    assert_eq!(empty["rows"], 0);
}

#[test]
fn an_insert_takes_its_data_from_wherever_it_is() {
    let engine = Engine::start(&[]);
    run(&engine, "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a");
    for (parameters, body) in [
        ("query=INSERT INTO t FORMAT CSV", "1,x\n"),
        ("", "INSERT INTO t FORMAT CSV\n2,x\n"),
        ("", "INSERT INTO t (b, a) VALUES ('FORMAT;', 3)"),
        ("query=INSERT INTO t VALUES (4, 'x')", ""),
        ("", "INSERT INTO t\nFORMAT\nValues (5, 'x')"),
        ("", "INSERT INTO t SELECT 6, 'x'"),
        ("", "/* a comment */ insert into table t settings max_threads = 1 format JSONEachRow {\"a\":7,\"b\":\"x\"}"),
        ("query=INSERT INTO t FORMAT TSV", "8\tx\n9\tx"),
        ("query=INSERT INTO t (a)", "FORMAT JSONEachRow {\"a\":10}"),
    ] {
        let answer = post(&engine, parameters, &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{parameters} {body}: {}", answer.text());
    }
    assert_eq!(run(&engine, "SELECT groupArray(a) FROM (SELECT a FROM t ORDER BY a)"), "[1,2,3,4,5,6,7,8,9,10]\n");
    for (body, code) in [("1,x\noops,y\n", 27), ("1,x,too,many\n", 117)] {
        let answer = post(&engine, "query=INSERT INTO t FORMAT CSV", &[], body.as_bytes());
        assert!(answer.code().is_some(), "{code}: {}", answer.text());
    }
    assert_eq!(run(&engine, "SELECT count() FROM t"), "10\n");
}

#[test]
fn an_insert_whose_client_goes_away_stores_nothing() {
    let engine = Engine::start(&[]);
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    let mut socket = TcpStream::connect(engine.address()).unwrap();
    let head =
        "POST /?query=INSERT%20INTO%20t%20FORMAT%20CSV HTTP/1.1\r\nHost: e\r\nContent-Length: 1000\r\n\r\n1\n2\n3\n";
    socket.write_all(head.as_bytes()).unwrap();
    let inserts = || run(&engine, "SELECT count() FROM system.processes WHERE query_kind = 'Insert'");
    within("the insert runs", || (inserts() == "1\n").then_some(()));
    drop(socket);
    within("the insert ends", || (inserts() == "0\n").then_some(()));
    assert_eq!(run(&engine, "SELECT count() FROM t"), "0\n");
}

#[test]
fn a_repeated_token_inserts_once_and_settings_stay_with_their_request() {
    let engine = Engine::start(&[]);
    run(
        &engine,
        "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100",
    );
    for (token, rows) in [("one", "1\n"), ("one", "1\n"), ("two", "1\n"), ("two", "9\n")] {
        let parameters = format!("query=INSERT INTO t FORMAT CSV&insert_deduplication_token={token}");
        assert_eq!(post(&engine, &parameters, &[], rows.as_bytes()).status, 200);
    }
    assert_eq!(run(&engine, "SELECT groupArray(a) FROM t"), "[1,1]\n");
    let threads = run(&engine, "SELECT getSetting('max_threads')");
    for _ in 0..10 {
        assert_eq!(post(&engine, "max_threads=7", &[], b"SELECT getSetting('max_threads')").text(), "7\n");
        run(&engine, "SET max_threads = 8");
        run(&engine, "SELECT 1 SETTINGS max_threads = 9");
        run(&engine, "USE system");
        assert_eq!(run(&engine, "SELECT getSetting('max_threads')"), threads);
        assert_eq!(run(&engine, "SELECT currentDatabase()"), "default\n");
    }
}

#[test]
fn a_session_keeps_what_is_its_own() {
    let engine = Engine::start(&[]);
    let ask = |parameters: &str, sql: &str| post(&engine, &format!("session_id=s{parameters}"), &[], sql.as_bytes());
    assert_eq!(ask("&session_check=1", "SELECT 1").code(), Some(372));
    assert_eq!(ask("", "CREATE TEMPORARY TABLE mine (a UInt8)").status, 200);
    assert_eq!(ask("", "INSERT INTO mine VALUES (5)").status, 200);
    assert_eq!(ask("", "SELECT nothing").code(), Some(47));
    assert_eq!(ask("", "SET max_threads = 3").status, 200);
    assert_eq!(
        ask("&max_threads=4&database=system", "SELECT getSetting('max_threads'), currentDatabase()").text(),
        "4\tsystem\n"
    );
    assert_eq!(ask("", "SELECT getSetting('max_threads'), currentDatabase(), a FROM mine").text(), "3\tdefault\t5\n");
    assert_eq!(post(&engine, "", &[], b"SELECT * FROM mine").code(), Some(60));
    assert_eq!(post(&engine, "session_id=other", &[], b"SELECT * FROM mine").code(), Some(60));
    let long =
        send(&engine, "session_id=s", &[], b"SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1");
    let sleeping = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'";
    within("the session's query runs", || (run(&engine, sleeping) == "1\n").then_some(()));
    assert_eq!(ask("", "SELECT 1").code(), Some(373));
    drop(long);
    assert_eq!(ask("&session_timeout=9999", "SELECT 1").status, 400);
}

#[test]
fn compressed_bodies_work_both_ways() {
    let engine = Engine::start(&[]);
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = Memory");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"1\n2\n").unwrap();
    let insert = "query=INSERT INTO t FORMAT CSV";
    assert_eq!(post(&engine, insert, &["Content-Encoding: gzip"], &gzip.finish().unwrap()).status, 200);
    let blocks = post(&engine, "compress=1", &[], b"SELECT number FROM numbers(300000) FORMAT CSV");
    let decompress = format!("{insert}&decompress=1");
    assert_eq!(post(&engine, &decompress, &[], &blocks.body).status, 200);
    assert_eq!(run(&engine, "SELECT count() FROM t"), "300002\n");
    let mut damaged = blocks.body;
    damaged[100] ^= 1;
    assert_eq!(post(&engine, &decompress, &[], &damaged).status, 400);
    assert_eq!(post(&engine, insert, &["Content-Encoding: rot13"], b"1").code(), Some(36));
    for encoding in ["gzip", "zstd", "lz4", "deflate"] {
        let accept = format!("Accept-Encoding: {encoding}");
        let answer = post(&engine, "enable_http_compression=1", &[&accept], b"SELECT number FROM numbers(1000)");
        assert_eq!(answer.header("content-encoding"), Some(encoding));
        assert_eq!(post(&engine, "", &[&accept], b"SELECT 1").header("content-encoding"), None);
    }
}

#[test]
fn many_clients_are_served_at_once() {
    let engine = Engine::start(&[]);
    std::thread::scope(|scope| {
        for client in 0..64 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..5 {
                    assert_eq!(
                        run(engine, &format!("SELECT {client} * 100 + {round}")),
                        format!("{}\n", client * 100 + round)
                    );
                }
            });
        }
    });
}
