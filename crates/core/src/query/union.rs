//! Writes the statement that reads stored and hot rows as one table.

use std::fmt::Write as _;

use tidegate_model::{Seq, TableName, TableSpec};

use super::plan::{Plan, Pushed, TableUse};

/// The statement for the engine.
#[derive(Debug, PartialEq, Eq)]
pub struct Union {
    /// The text.
    pub sql: String,
    /// The byte at which the user's own text begins in it.
    pub offset: usize,
}

/// Where one table's rows are at the moment of the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    /// Rows up to here are read from the store.
    pub stored: Seq,
    /// Whether rows above travel with the query.
    pub is_hot: bool,
}

/// Puts common table expressions that shadow the tables around the user's statement; `splits` has one for each table
/// of the plan.
///
/// The user's statement goes into parentheses whole: its own WITH, UNION and ORDER BY keep their meaning, and a name
/// that its WITH defines wins over ours. The parenthesis is closed on a line of its own, behind any comment.
#[must_use]
pub fn wrap(plan: &Plan<'_>, database: &str, splits: &[Split]) -> Union {
    let mut sql = String::from("WITH ");
    for (at, (used, split)) in plan.tables.iter().zip(splits).enumerate() {
        let separator = if at == 0 { "" } else { ",\n" };
        let (name, rows) = (&used.spec.name, rows(used, database, *split));
        let _ = write!(sql, "{separator}`{name}` AS ({rows})");
        if used.renamed {
            // It cannot read ours by its first name: the engine looks names up where an expression is used.
            let _ = write!(sql, ",\n`{}` AS ({rows})", used.second_name());
        }
    }
    sql.push_str("\nSELECT * FROM (\n");
    let offset = sql.len();
    sql.push_str(&plan.shadowed);
    sql.push_str("\n)");
    Union { sql, offset }
}

/// Returns the name under which a table's hot rows travel.
#[must_use]
pub fn hot_name(table: &TableName) -> String {
    format!("_hot_{table}")
}

/// Returns `name Type, …` of the columns that travel, `_seq` last.
#[must_use]
pub fn structure(used: &TableUse<'_>) -> String {
    let mut text = String::new();
    for column in used.columns.iter().map(|&at| &used.spec.columns[at]) {
        let _ = write!(text, "`{}` {}, ", column.name, column.kind.clickhouse());
    }
    let _ = write!(text, "`{}` UInt64", TableSpec::SEQ);
    text
}

fn rows(used: &TableUse<'_>, database: &str, split: Split) -> String {
    let (name, seq) = (&used.spec.name, TableSpec::SEQ);
    let mut columns = String::new();
    for column in used.columns.iter().map(|&at| &used.spec.columns[at]) {
        let _ = write!(columns, "`{}`, ", column.name);
    }
    if let Some(pushed) = &used.pushed {
        return pushed_rows(used, pushed, (database, &columns), split);
    }
    let mut stored = format!("SELECT {columns}`{seq}` FROM `{database}`.`{name}`");
    if used.spec.roll_up.is_none() {
        // Rows of a roll-up are merged with those of later batches, so no number tells them apart: such a table is
        // read while no batch of it is on its way.
        let _ = write!(stored, " WHERE `{seq}` <= {}", split.stored);
    }
    if split.is_hot { format!("{stored} UNION ALL SELECT {columns}`{seq}` FROM `{}`", hot_name(name)) } else { stored }
}

fn pushed_rows(used: &TableUse<'_>, pushed: &Pushed, (database, columns): (&str, &str), split: Split) -> String {
    let (name, seq) = (&used.spec.name, TableSpec::SEQ);
    let and = |condition: &str| if condition.is_empty() { String::new() } else { format!(" AND {condition}") };
    let select = |from: &str, condition: &str| {
        format!("SELECT * FROM (SELECT {columns}`{seq}` FROM {from} WHERE {condition}{})", pushed.behind)
    };
    let first = if pushed.rare.is_empty() { String::new() } else { format!(" PREWHERE {}", pushed.rare) };
    let own = format!("`{seq}` <= {}{}", split.stored, and(&pushed.conditions));
    let stored = select(&format!("`{database}`.`{name}`{first}"), &own);
    if !split.is_hot {
        return stored;
    }
    let hot = select(&format!("`{}`", hot_name(name)), &format!("1{}{}", and(&pushed.rare), and(&pushed.conditions)));
    format!("{stored} UNION ALL {hot}")
}
