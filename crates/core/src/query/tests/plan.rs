use expect_test::{Expect, expect};
use tidegate_model::{Seq, tables};

use crate::query::QueryError;
use crate::query::plan::{Plan, plan};
use crate::query::union::{Split, structure, wrap};

fn planned(sql: &str) -> Result<Plan<'static>, QueryError> {
    let params = [("t".into(), "logs".into()), ("bad".into(), "a b".into())];
    plan(sql, &params, "tidegate", &tables::all())
}

/// Shows what the planner found: the statement, the one that the engine gets when rows are hot, the tables.
#[expect(clippy::needless_pass_by_value, reason = "`expect![…]` is written in place")]
fn check(sql: &str, expect: Expect) {
    let shown = match planned(sql) {
        Err(refusal) => refusal.to_string(),
        Ok(plan) => {
            let mut lines = vec![plan.shadowed.clone()];
            lines.extend(plan.format.map(|format| format!("format: {}", format.clickhouse)));
            for used in &plan.tables {
                let renamed = if used.renamed { " renamed" } else { "" };
                let count = used.columns.len();
                let names: Vec<_> = used.columns.iter().map(|&at| used.spec.columns[at].name.as_str()).collect();
                let columns = if count > 6 { format!("{count} columns") } else { names.join(", ") };
                lines.push(format!("{}{renamed}: {columns}", used.spec.name));
            }
            lines.join("\n")
        }
    };
    expect.assert_eq(&shown);
}

#[test]
fn only_columns_that_the_sql_can_reach_travel() {
    check(
        "select count() from logs",
        expect![[r#"
        select count() from logs
        logs: "#]],
    );
    check(
        "SELECT count(*), max(body) FROM logs WHERE attributes['k'] = 'v'",
        expect![[r#"
        SELECT count(*), max(body) FROM logs WHERE attributes['k'] = 'v'
        logs: body, attributes"#]],
    );
    check(
        "select `service_name`, \"logs\".severity_text from logs",
        expect![[r#"
        select `service_name`, "logs".severity_text from logs
        logs: severity_text, service_name"#]],
    );
    check(
        "select body, attributes.keys from logs",
        expect![[r#"
        select body, attributes.keys from logs
        logs: body, attributes"#]],
    );
    check(
        "select `attributes.keys` from logs",
        expect![[r#"
        select `attributes.keys` from logs
        logs: attributes"#]],
    );
    check(
        "select flags * severity_number from logs",
        expect![[r#"
        select flags * severity_number from logs
        logs: flags, severity_number"#]],
    );
    check(
        "select 2 * flags, (flags) * 3 from logs",
        expect![[r#"
        select 2 * flags, (flags) * 3 from logs
        logs: flags"#]],
    );
}

#[test]
fn what_reaches_unnamed_columns_brings_all() {
    for sql in [
        "select * from logs",
        "select l.* from logs l",
        "select distinct * from logs",
        "select distinct on (body) * from logs",
        "select top 5 * from logs",
        "select * except (body) from logs",
        "select * apply (toString) from logs",
        "select (*) from logs",
        "select tuple(*) from logs",
        "select count(distinct *) from logs",
        "select columns('bod') from logs",
        "select body from logs natural join spans",
        "select 1 where 1 in logs",
        "select 1 where 1 in (tidegate.logs)",
    ] {
        let plan = planned(sql).expect(sql);
        assert_eq!(plan.tables[0].columns.len(), plan.tables[0].spec.columns.len(), "{sql}");
    }
}

#[test]
fn tables_are_found_wherever_they_are_named() {
    check("select 1", expect!["select 1"]);
    check("select 'logs', $$spans$$ -- logs", expect!["select 'logs', $$spans$$"]);
    check(
        "from `logs` select count()",
        expect![[r#"
        from `logs` select count()
        logs: "#]],
    );
    check(
        "select count() from logs, spans where logs.trace_id = spans.trace_id",
        expect![[r#"
        select count() from logs, spans where logs.trace_id = spans.trace_id
        logs: trace_id
        spans: trace_id"#]],
    );
    check(
        "select count() from logs a join logs b using (trace_id)",
        expect![[r#"
        select count() from logs a join logs b using (trace_id)
        logs: trace_id"#]],
    );
    check(
        "select (select max(flags) from spans) from system.one",
        expect![[r#"
        select (select max(flags) from spans) from system.one
        spans: flags"#]],
    );
    check(
        "select count() from {t:Identifier}",
        expect![[r#"
        select count() from `logs`
        logs: "#]],
    );
    check(
        "(select count() from logs) union all (select count() from spans)",
        expect![[r#"
        (select count() from logs) union all (select count() from spans)
        logs: 
        spans: "#]],
    );
    check(
        "with recursive t as (select 1 as n union all select n + 1 from t, logs where n < 5) select max(n) from t",
        expect![[r#"
            with recursive t as (select 1 as n union all select n + 1 from t, logs where n < 5) select max(n) from t
            logs: "#]],
    );
}

#[test]
fn the_database_before_a_table_does_not_lead_past_the_hot_rows() {
    check(
        "select count() from tidegate.logs",
        expect![[r#"
        select count() from          logs
        logs: "#]],
    );
    check(
        "select tidegate.logs.body from `tidegate` . \"logs\"",
        expect![[r#"
        select          logs.body from              "logs"
        logs: body"#]],
    );
    check(
        "with logs as (select body from tidegate.logs) select count() from logs",
        expect![[r#"
        with logs as (select body from _all_logs) select count() from logs
        logs renamed: body"#]],
    );
    check(
        "with logs as (select 1) select tidegate.logs.body from tidegate.logs",
        expect![[r#"
        with logs as (select 1) select          logs.body from _all_logs
        logs renamed: body"#]],
    );
}

#[test]
fn a_format_clause_is_taken_off() {
    check(
        "select 1 format JSON",
        expect![[r#"
        select 1
        format: JSON"#]],
    );
    check(
        "select body from logs format csvwithnames ;; ",
        expect![[r#"
        select body from logs
        format: CSVWithNames
        logs: body"#]],
    );
    check("select 1 as format", expect!["select 1 as format"]);
    check(
        "select body from logs order by format desc",
        expect![[r#"
        select body from logs order by format desc
        logs: body"#]],
    );
    check(
        "select 1 format Avro",
        expect![
            "the format `Avro` is not known; known are: json, ndjson, jsonl, csv, tsv, arrow, parquet, table, pretty, JSON, JSONStrings, JSONCompact, JSONCompactStrings, JSONColumns, JSONEachRow, JSONCompactEachRow, JSONCompactEachRowWithNames, JSONCompactEachRowWithNamesAndTypes, CSV, CSVWithNames, CSVWithNamesAndTypes, TSV, TSVWithNames, TSVWithNamesAndTypes, TabSeparated, TabSeparatedWithNames, ArrowStream, Parquet, Native, RowBinary, RowBinaryWithNames, RowBinaryWithNamesAndTypes, Pretty, PrettyCompact, PrettyCompactMonoBlock, PrettyNoEscapes, Vertical, Markdown (at byte 16 of the query)"
        ],
    );
    check("select 1 format CSV format CSV", expect!["the FORMAT clause is given twice (at byte 20 of the query)"]);
}

#[test]
fn questions_about_the_schema_go_through() {
    check("show tables", expect!["show tables"]);
    check(
        "DESCRIBE TABLE logs FORMAT JSON",
        expect![[r#"
        DESCRIBE TABLE logs
        format: JSON"#]],
    );
    check("explain select count() from logs", expect!["explain select count() from logs"]);
    check("exists logs", expect!["exists logs"]);
}

#[test]
fn refusals_say_what_and_where() {
    check("", expect!["the SQL is empty (at byte 0 of the query)"]);
    check(" -- nothing\n;", expect!["the SQL is empty (at byte 0 of the query)"]);
    check(
        "insert into logs values (1)",
        expect![
            "this statement writes, or is none; reads are SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN, rows go in by OTLP or by POST /datasets/{slug}/ingest (at byte 0 of the query)"
        ],
    );
    check(
        "with x as (select 1) insert into logs select * from x",
        expect![
            "this statement writes, or is none; reads are SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN, rows go in by OTLP or by POST /datasets/{slug}/ingest (at byte 21 of the query)"
        ],
    );
    check(
        "drop table logs",
        expect![
            "this statement writes, or is none; reads are SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN, rows go in by OTLP or by POST /datasets/{slug}/ingest (at byte 0 of the query)"
        ],
    );
    check(
        "select 1; select 2",
        expect!["a second statement begins here: send one at a time (at byte 10 of the query)"],
    );
    check("select 1) union all (select 2", expect!["`)` closes nothing (at byte 8 of the query)"]);
    check("select (1]", expect!["`]` closes nothing (at byte 9 of the query)"]);
    check("select (1", expect!["`(` is not closed (at byte 7 of the query)"]);
    check(
        "select 'a",
        expect!["what begins here is not closed: a string, a quoted name or a comment (at byte 7 of the query)"],
    );
}

#[test]
fn what_reaches_beyond_the_tables_is_refused() {
    check(
        "select 1 into outfile '/tmp/x'",
        expect!["INTO OUTFILE writes a file on the server: save the answer on your side (at byte 9 of the query)"],
    );
    check(
        "select 1 settings max_threads = 1",
        expect![
            "a SETTINGS clause is not allowed: the limits of a read are parameters of the request (at byte 9 of the query)"
        ],
    );
    check(
        "select * from File('/etc/passwd')",
        expect![
            "the function `File` is not allowed: it reaches beyond the tables of this database (at byte 14 of the query)"
        ],
    );
    check(
        "select * apply file from logs",
        expect![
            "the function `file` is not allowed: it reaches beyond the tables of this database (at byte 15 of the query)"
        ],
    );
    check(
        "select count() from merge('tidegate', 'logs')",
        expect![
            "the function `merge` is not allowed: it reaches beyond the tables of this database (at byte 20 of the query)"
        ],
    );
    check(
        "select count() from view(select * from logs)",
        expect![
            "the function `view` is not allowed: it reaches beyond the tables of this database (at byte 20 of the query)"
        ],
    );
    check(
        "select * from system.processes",
        expect![
            "`system.processes` is not open to reads; open are: aggregate_function_combinators, build_options, collations, columns, data_skipping_indices, data_type_families, databases, formats, functions, keywords, licenses, merges, numbers, numbers_mt, one, parts, parts_columns, projections, settings, table_engines, table_functions, tables, time_zones, zeros, zeros_mt (at byte 14 of the query)"
        ],
    );
    check(
        "select `a\\x62` from logs",
        expect!["a quoted name holds a backslash: double the quote instead of escaping it (at byte 7 of the query)"],
    );
    check(
        "select 1 from {nope:Identifier}",
        expect!["the parameter `nope` has no value: send `param_nope` (at byte 14 of the query)"],
    );
    check(
        "select 1 from {bad:Identifier}",
        expect!["`bad` must be one name of letters, digits and _, it is `a b` (at byte 14 of the query)"],
    );
}

#[test]
fn what_tells_stored_rows_from_hot_ones_is_refused() {
    check(
        "select count() from logs prewhere flags = 1",
        expect!["PREWHERE is not allowed: write WHERE, ClickHouse moves it by itself (at byte 25 of the query)"],
    );
    check(
        "select count() from logs as l final",
        expect![
            "final does not go with this table: stored and newest rows are read together (at byte 30 of the query)"
        ],
    );
    check(
        "select count() from logs sample 1/10",
        expect![
            "sample does not go with this table: stored and newest rows are read together (at byte 25 of the query)"
        ],
    );
    check(
        "select _part from logs",
        expect!["`_part` tells of ClickHouse's parts; newest rows are in none yet (at byte 7 of the query)"],
    );
}

#[test]
fn words_that_look_like_refused_ones_pass() {
    for sql in [
        "select url, file, remote, view from (select 1 as url, 2 as file, 3 as remote, 4 as view)",
        "select body as final from logs",
        "select logs.flags as final, 1 from logs",
        "select count() from logs as final",
        "select format('{}', body) from logs",
        "select * from numbers(3)",
        "select a.system.x from logs a",
        "select 'into outfile', `settings` from (select 1 as `settings`)",
        "select name from system.tables",
    ] {
        planned(sql).expect(sql);
    }
}

#[test]
fn the_users_statement_stands_in_parentheses_below_our_tables() {
    let sql = "with x as (select max(flags) m from logs) select m, (select count() from spans) from x -- end";
    let plan = planned(sql).expect("a plan");
    let splits = [Split { stored: Seq(7), is_hot: true }, Split { stored: Seq(9), is_hot: false }];
    let union = wrap(&plan, "tidegate", &splits);
    assert!(union.sql[union.offset..].starts_with("with x as"));
    expect![[r#"
        WITH `logs` AS (SELECT `flags`, `_seq` FROM `tidegate`.`logs` WHERE `_seq` <= 7 UNION ALL SELECT `flags`, `_seq` FROM `_hot_logs`),
        `spans` AS (SELECT `flags`, `_seq` FROM `tidegate`.`spans` WHERE `_seq` <= 9)
        SELECT * FROM (
        with x as (select max(flags) m from logs) select m, (select count() from spans) from x
        )"#]].assert_eq(&union.sql);
    expect!["`flags` UInt32, `_seq` UInt64"].assert_eq(&structure(&plan.tables[0]));
}

#[test]
fn a_users_own_with_takes_the_name_and_the_table_keeps_another() {
    let plan = planned("with logs as (select flags from tidegate.logs) select flags from logs").expect("a plan");
    let union = wrap(&plan, "tidegate", &[Split { stored: Seq(7), is_hot: true }]);
    expect![[r#"
        WITH `logs` AS (SELECT `flags`, `_seq` FROM `tidegate`.`logs` WHERE `_seq` <= 7 UNION ALL SELECT `flags`, `_seq` FROM `_hot_logs`),
        `_all_logs` AS (SELECT `flags`, `_seq` FROM `tidegate`.`logs` WHERE `_seq` <= 7 UNION ALL SELECT `flags`, `_seq` FROM `_hot_logs`)
        SELECT * FROM (
        with logs as (select flags from _all_logs) select flags from logs
        )"#]].assert_eq(&union.sql);
}
