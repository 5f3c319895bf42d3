use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::query::tokens::{TokenKind, tokens};

#[expect(clippy::needless_pass_by_value, reason = "`expect![…]` is written in place")]
fn check(sql: &str, expect: Expect) {
    let listed: Vec<_> = tokens(sql)
        .filter(|token| token.text != " ")
        .map(|token| format!("{:?} {}", token.kind, token.text.escape_debug()))
        .collect();
    expect.assert_eq(&listed.join("\n"));
}

#[test]
fn strings_hide_what_is_in_them() {
    check(
        r#"'a''b\'c' "d""e" `f\`g` “h'” ‘i"’ x'4F' $$ 'j $$ $k$ $$ $k$"#,
        expect![[r#"
            Literal \'a\'\'b\\\'c\'
            Quoted \"d\"\"e\"
            Quoted `f\\`g`
            Quoted “h\'”
            Literal ‘i\"’
            Literal x\'4F\'
            Literal $$ \'j $$
            Literal $k$ $$ $k$"#]],
    );
}

#[test]
fn comments_end_where_the_engine_ends_them() {
    check(
        "1 -- 'a\n2 /* /* b */ ' */ 3 // c\n4 # d\n5 #! e\n6 #f",
        expect![[r#"
            Number 1
            Trivia -- \'a
            Trivia \n
            Number 2
            Trivia /* /* b */ \' */
            Number 3
            Trivia // c
            Trivia \n
            Number 4
            Trivia # d
            Trivia \n
            Number 5
            Trivia #! e
            Trivia \n
            Number 6
            Mark #
            Word f"#]],
    );
}

#[test]
fn what_is_not_closed_reaches_to_the_end() {
    for open in ["'a", "'a\\'", "\"a", "`a", "/* a", "/* /* */", "“a", "‘a", "x'zz'", "b'01"] {
        let kinds: Vec<_> = tokens(open).map(|token| token.kind).collect();
        assert_eq!(kinds, [TokenKind::Open], "{open}");
    }
}

#[test]
fn a_dollar_sign_that_opens_no_heredoc_is_a_word() {
    check(
        "$1 a$b $c$ d",
        expect![[r#"
        Word $1
        Word a$b
        Word $c$
        Word d"#]],
    );
}

/// Texts that look like SQL: pieces that begin and end strings, comments and heredocs, in any order.
fn sql_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "'",
        "\"",
        "`",
        "\\",
        "/*",
        "*/",
        "--",
        "//",
        "#",
        "\n",
        " ",
        "$",
        "$a$",
        "x'",
        "b'",
        "“",
        "”",
        "‘",
        "’",
        "{",
        "}",
        ":",
        "Identifier",
        "(",
        ")",
        "[",
        "]",
        ";",
        ".",
        ",",
        "*",
        "=",
        "select",
        "with",
        "logs",
        "tidegate",
        "as",
        "from",
        "format",
        "JSON",
        "1",
        "é",
        "\0",
        "in",
        "union all",
        "spans",
        "count",
        "system",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn tokens_put_together_are_the_text(sql in prop_oneof![sql_like(), any::<String>()]) {
        let mut end = 0;
        for token in tokens(&sql) {
            prop_assert_eq!(token.start, end);
            prop_assert!(!token.text.is_empty());
            end = token.end();
        }
        prop_assert_eq!(end, sql.len());
    }

    #[test]
    fn any_text_is_planned_or_refused(sql in prop_oneof![sql_like(), any::<String>()], value in any::<String>()) {
        let tables = tidegate_model::tables::all();
        let params = [("logs".to_owned(), value)];
        for sql in [sql.clone(), format!("select {sql}"), format!("select (* {sql})")] {
            if let Ok(plan) = crate::query::plan::plan(&sql, &params, "tidegate", &tables) {
                let again = crate::query::plan::plan(&plan.sql, &[], "tidegate", &tables).expect("a planned text is plannable");
                prop_assert_eq!(again.sql, plan.sql);
            }
        }
    }
}
