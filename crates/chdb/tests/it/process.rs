//! The process: its ready line, its end, its exit codes, its folder.

use std::process::Command;

use crate::client::{post, run};
use crate::engine::{Engine, command};

#[test]
fn the_ready_line_tells_what_a_parent_needs() {
    let engine = Engine::start(&["--publish", "127.0.0.1:0"]);
    let ready = &engine.ready;
    assert_eq!(ready["event"], "ready");
    assert!(ready["publish"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(ready["version"].as_str().unwrap(), run(&engine, "SELECT version()").trim());
    assert!(["enforced", "unavailable"].iter().any(|word| ready["landlock"].as_str().unwrap().starts_with(word)));
    assert!(ready["seconds"].is_f64() && ready["pid"].is_u64());
}

#[test]
fn a_folder_serves_one_engine_and_the_next_one_finds_its_rows() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let first = Engine::start_on(folder.clone(), &[]).unwrap_or_else(|(_, log)| panic!("{log}"));
    run(&first, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    run(&first, "INSERT INTO t VALUES (42)");
    let Err((status, log)) = Engine::start_on(folder.clone(), &[]) else { panic!("two engines on one folder") };
    assert_eq!(status.code(), Some(4));
    assert!(log.contains(&folder.display().to_string()), "{log}");
    drop(first);
    let second = Engine::start_on(folder, &[]).unwrap_or_else(|(_, log)| panic!("{log}"));
    assert_eq!(run(&second, "SELECT a FROM t"), "42\n");
}

#[test]
fn the_end_of_the_parent_is_the_engines() {
    let mut engine = Engine::start(&["--exit-with-parent"]);
    run(&engine, "SELECT 1");
    engine.close_stdin();
    assert_eq!(engine.wait().0.code(), Some(0));
}

#[test]
fn exit_codes_and_messages_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.xml");
    std::fs::write(&bad, "<clickhouse><open></clickhouse>").unwrap();
    let path = folder.path().join("data");
    let check = |change: &dyn for<'c> Fn(&'c mut Command) -> &'c mut Command, code: i32, word: &str| {
        let mut command = command();
        command.arg("--path").arg(&path);
        change(&mut command);
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(log.contains(word), "{log}");
    };
    check(&|command| command.args(["--lib", "/nowhere/libchdb.so"]), 3, "make libchdb");
    check(&|command| command.arg("--lib").arg(&bad), 3, "bad.xml");
    check(&|command| command.arg("--extra-config").arg(&bad), 5, "data");
    check(&|command| command.args(["--http", "192.0.2.1:1"]), 6, "192.0.2.1:1");
    check(&|command| command.env_remove("FULL_PASSWORD"), 2, "FULL_PASSWORD");
}

#[test]
fn the_configuration_is_taken_and_extra_files_are_merged() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let extra = parent.path().join("extra.xml");
    let (cold, backups) = (folder.join("cold"), folder.join("backups"));
    let xml = format!(
        "<clickhouse><storage_configuration><disks><cold><path>{}/</path></cold></disks><policies><tiered><volumes>\
         <hot><disk>default</disk></hot><cold><disk>cold</disk></cold></volumes></tiered></policies>\
         </storage_configuration><backups><allowed_path>{}/</allowed_path></backups></clickhouse>",
        cold.display(),
        backups.display()
    );
    std::fs::write(&extra, xml).unwrap();
    let arguments = ["--background-pool", "3", "--max-memory", "900000000", "--extra-config", extra.to_str().unwrap()];
    let engine = Engine::start_on(folder, &arguments).unwrap_or_else(|(_, log)| panic!("{log}"));
    let setting = |name| run(&engine, &format!("SELECT value FROM system.server_settings WHERE name = '{name}'"));
    assert_eq!(setting("background_pool_size"), "3\n");
    assert_eq!(setting("max_server_memory_usage"), "900000000\n");
    run(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'tiered'");
    run(&engine, "INSERT INTO t VALUES (1)");
    run(&engine, "ALTER TABLE t MOVE PARTITION tuple() TO VOLUME 'cold'");
    assert_eq!(run(&engine, "SELECT disk_name FROM system.parts WHERE table = 't' AND active"), "cold\n");
    assert!(run(&engine, "BACKUP TABLE t TO File('one')").contains("BACKUP_CREATED"));
}

#[test]
fn memory_mode_keeps_nothing() {
    let mut command = command();
    command.args(["--memory", "--exit-with-parent"]);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.contains("ready"), "{line}");
    let pid = child.id();
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(&format!("tidegate-engine-{pid}-")) && std::fs::read_dir(entry.path()).unwrap().count() > 0
    });
    assert!(left.is_none(), "{left:?}");
}

#[test]
fn too_many_queries_are_told_to_come_back() {
    let engine = Engine::start(&["--max-queries", "1", "--queue-ms", "50"]);
    std::thread::scope(|scope| {
        let long =
            scope.spawn(|| post(&engine, "max_execution_time=2", &[], b"SELECT sleepEachRow(1) FROM numbers(2)"));
        let refused = crate::engine::within("a query is refused", || {
            let answer = post(&engine, "", &[], b"SELECT 1");
            (answer.status != 200).then_some(answer)
        });
        assert_eq!((refused.status, refused.code()), (503, Some(202)), "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
        long.join().unwrap();
    });
    assert_eq!(run(&engine, "SELECT 1"), "1\n");
}
