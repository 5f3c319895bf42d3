//! libchdb's traps, each with its number in the laboratory's list: what would kill, hang, leak or lie does not.

use crate::client::{multipart, post, receive, run, send};
use crate::engine::{Engine, within};

const ENDLESS: &str = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)";

fn running(engine: &Engine) -> String {
    run(engine, "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'")
}

/// Trap 1.
#[test]
fn a_failed_query_leaves_nothing_to_the_next_one() {
    let engine = Engine::start(&[]);
    for parameters in ["", "wait_end_of_query=1", "session_id=s", "max_result_rows=10&result_overflow_mode=throw"] {
        let failing = "SELECT number, throwIf(number = 150000) FROM numbers(1000000) SETTINGS max_block_size = 1000";
        for failing in [failing, "SHOW TABLES FROM nowhere", "DESCRIBE TABLE nowhere.nothing"] {
            post(&engine, parameters, &[], failing.as_bytes());
            for _ in 0..4 {
                assert_eq!(post(&engine, parameters, &[], b"SELECT 1").text(), "1\n", "after {failing} ({parameters})");
            }
        }
    }
}

/// Trap 2.
#[test]
fn nobody_ends_the_process_or_reaches_files_by_sql() {
    let engine = Engine::start(&[]);
    let secret = engine.folder.join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let path = secret.display();
    let statements = [
        "SYSTEM SHUTDOWN".to_owned(),
        "system /* now */ kill".to_owned(),
        "SYSTEM SUSPEND FOR 10 SECOND".to_owned(),
        "SELECT 1; SYSTEM SHUTDOWN".to_owned(),
        "SYSTEM SHUTDOWN; not sql".to_owned(),
        format!("SELECT file('{path}')"),
        format!("SELECT `fi\\x6ce`('{path}')"),
        format!("SELECT * APPLY file FROM (SELECT '{path}')"),
        format!("SELECT * APPLY(file) FROM (SELECT '{path}')"),
        format!("SELECT * FROM file('{path}', 'LineAsString')"),
        format!("SELECT 1 INTO OUTFILE '{path}.out'"),
        format!("INSERT INTO FUNCTION file('{path}.out', 'CSV', 'a Int8') VALUES (1)"),
        format!("CREATE TABLE f (a String) ENGINE = File(CSV, '{path}')"),
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')".to_owned(),
        "SELECT * FROM remote('127.0.0.1:1', 'system.one')".to_owned(),
        "SELECT * FROM s3('http://127.0.0.1:1/a', 'CSV', 'a Int8')".to_owned(),
    ];
    for statement in statements {
        let answer = post(&engine, "", &[], statement.as_bytes());
        assert_ne!(answer.status, 200, "{statement}: {}", answer.text());
        assert!(answer.code().is_some(), "{statement}: {}", answer.text());
    }
    assert_eq!(run(&engine, "SELECT 1"), "1\n");
    assert!(!secret.with_extension("out").exists());
}

/// Trap 3.
#[test]
fn a_query_ends_when_it_is_killed() {
    let engine = Engine::start(&[]);
    let mut victim = send(&engine, "query_id=victim", &[], ENDLESS.as_bytes());
    within("the query runs", || (running(&engine) == "1\n").then_some(()));
    assert!(run(&engine, "KILL QUERY WHERE query_id = 'victim'").contains("victim"));
    assert_eq!(receive(&mut victim).code(), Some(394));
    assert_eq!(run(&engine, "KILL QUERY WHERE query_id = 'victim'"), "");
}

/// Trap 3.
#[test]
fn a_query_ends_when_its_client_goes_away() {
    let engine = Engine::start(&[]);
    for sql in [ENDLESS, "SELECT number, sipHash64(number) FROM numbers(1000000000000)"] {
        let client = send(&engine, "", &[], sql.as_bytes());
        within("the query runs", || (running(&engine) == "1\n").then_some(()));
        drop(client);
        within("the query ends", || (running(&engine) == "0\n").then_some(()));
    }
}

/// Traps 4 and 5.
#[test]
fn a_stop_ends_running_queries_and_leaves_with_success() {
    let engine = Engine::start(&[]);
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    run(&engine, "INSERT INTO t SELECT number FROM numbers(1000)");
    let mut select = send(&engine, "", &[], ENDLESS.as_bytes());
    // An insert whose client has more to say.
    let _insert = send(&engine, "query=INSERT INTO t FORMAT CSV", &["X-More: x"], b"");
    within("the query runs", || (running(&engine) == "1\n").then_some(()));
    engine.terminate();
    assert_eq!(receive(&mut select).code(), Some(394));
    let (status, _) = engine.wait();
    assert_eq!(status.code(), Some(0));
}

/// Trap 6.
#[test]
fn threads_do_not_pile_up_with_requests() {
    let engine = Engine::start(&[]);
    let threads = || engine.status_field("Threads").parse::<usize>().unwrap();
    let ask = || assert_eq!(post(&engine, "max_threads=1", &[], b"SELECT 1").text(), "1\n");
    (0..20).for_each(|_| ask());
    let before = threads();
    (0..200).for_each(|_| ask());
    assert!(threads() <= before + 5, "{before} threads became {}", threads());
}

/// Trap 7.
#[test]
fn libchdb_installs_no_signal_handlers() {
    let engine = Engine::start(&[]);
    let caught = u64::from_str_radix(&engine.status_field("SigCgt"), 16).unwrap();
    for (name, number) in [("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("FPE", 8), ("TSTP", 20)] {
        assert_eq!(caught >> (number - 1) & 1, 0, "SIG{name} is caught");
    }
}

/// Trap 9.
#[test]
fn a_large_answer_takes_no_more_memory_than_a_small_one() {
    let engine = Engine::start(&["--max-memory", "600000000"]);
    let sql = "SELECT number, repeat('x', 1000) FROM numbers(400000) FORMAT JSONCompact";
    let mut reader = send(&engine, "", &[], sql.as_bytes());
    let peak = std::thread::scope(|scope| {
        let answer = scope.spawn(|| receive(&mut reader));
        let mut peak = 0;
        while !answer.is_finished() {
            peak = peak.max(engine.resident_mib());
        }
        let answer = answer.join().unwrap();
        assert!(answer.whole && answer.body.len() > 400_000_000, "{} bytes", answer.body.len());
        peak
    });
    assert!(peak < 500, "{peak} MiB resident for an answer of 400 MB");
}

/// Trap 9.
#[test]
fn the_memory_limit_fails_one_query_and_no_other() {
    let engine = Engine::start(&["--max-memory", "500000000"]);
    let sql = "SELECT groupArray(repeat('x', 1000)) FROM numbers(10000000)";
    assert_eq!(post(&engine, "", &[], sql.as_bytes()).code(), Some(241));
    assert_eq!(post(&engine, "max_memory_usage=1000000", &[], sql.as_bytes()).code(), Some(241));
    assert_eq!(run(&engine, "SELECT 1"), "1\n");
}

/// Trap 10.
#[test]
fn the_log_holds_nothing_but_json_lines() {
    let engine = Engine::start(&[]);
    post(&engine, "", &[], b"SELECT nothing FROM nowhere");
    post(&engine, "query=INSERT INTO nowhere FORMAT CSV", &[], b"1\n");
    engine.terminate();
    let (_, log) = engine.wait();
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

/// Trap 11.
#[test]
fn the_summary_tells_what_a_statement_read_and_wrote() {
    let engine = Engine::start(&[]);
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    let summary = |parameters: &str, body: &str| -> serde_json::Value {
        let answer = post(&engine, parameters, &[], body.as_bytes());
        serde_json::from_str(answer.header("x-clickhouse-summary").unwrap()).unwrap()
    };
    assert_eq!(summary("query=INSERT INTO t FORMAT CSV", "1\n2\n3\n")["written_rows"], "3");
    assert_eq!(summary("", "INSERT INTO t SELECT number FROM numbers(10)")["written_rows"], "10");
    assert_eq!(summary("", "SELECT sum(a) FROM t")["read_rows"], "13");
}

/// Trap 12.
#[test]
fn parameters_are_values_and_names_never_sql() {
    let engine = Engine::start(&[]);
    let ask = |parameters: &str, sql: &str| post(&engine, parameters, &[], sql.as_bytes()).text();
    assert_eq!(ask("param_a=4&param_b=it's", "SELECT {a:UInt32} + 1, {b:String}"), "5\tit\\'s\n");
    assert_eq!(ask("param_t=one&param_d=system", "SELECT dummy FROM {d:Identifier}.{t:Identifier}"), "0\n");
    assert_eq!(ask("param_l=[1,2]", "SELECT arraySum({l:Array(UInt8)})"), "3\n");
    assert_eq!(
        ask("param_x=1) FROM system.one; DROP TABLE t --", "SELECT {x:String}"),
        "1) FROM system.one; DROP TABLE t --\n"
    );
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    let insert = "query=INSERT INTO {t:Identifier} FORMAT CSV&param_t=t";
    assert_eq!(post(&engine, insert, &[], b"7\n").status, 200);
    assert_eq!(run(&engine, "SELECT a FROM t"), "7\n");
}

/// Section 7 of the list: a table that travels along may be read any number of times.
#[test]
fn an_external_table_is_read_as_often_as_the_query_names_it() {
    let engine = Engine::start(&[]);
    let (header, body) = multipart("x", "1\n2\n3\n");
    let sql = "WITH t AS (SELECT a FROM x) SELECT (SELECT count() FROM t), count() FROM t AS l JOIN x AS r ON l.a = r.a WHERE a IN (SELECT a FROM x)";
    let answer = post(&engine, &format!("x_structure=a UInt8&query={sql}"), &[&header], &body);
    assert_eq!(answer.text(), "3\t3\n");
    assert_eq!(post(&engine, "", &[], b"SELECT * FROM x").code(), Some(60));
}
