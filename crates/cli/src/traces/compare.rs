use std::io::{self, Write};

use serde_json::{Value, json};

use super::answer::{Compared, Comparison};
use super::{plain, took};
use crate::table::{self, Column, Rows};

/// Lines that a person reads.
const LINES_SHOWN: usize = 200;

/// Prints two traces side by side; of many ways those with the greatest differences.
pub(super) fn write(compared: &Comparison, all: bool, out: &mut impl Write) -> io::Result<()> {
    let mut chosen: Vec<usize> = (0..compared.paths.len()).collect();
    if !all && chosen.len() > LINES_SHOWN {
        chosen.sort_by_key(|at| std::cmp::Reverse(compared.paths[*at].difference.total_ns.unsigned_abs()));
        chosen.truncate(LINES_SHOWN);
        chosen.sort_unstable();
    }
    writeln!(out, "left {}, right {}", plain(&compared.left), plain(&compared.right))?;
    let names = [
        "operation",
        "#left",
        "#right",
        "#total left",
        "#total right",
        "#difference",
        "#self left",
        "#self right",
        "only",
    ];
    let column = |name: &&str| match name.strip_prefix('#') {
        Some(name) => Column { name: name.to_owned(), kind: "Int64".to_owned() },
        None => Column { name: (*name).to_owned(), kind: "String".to_owned() },
    };
    // A table has an end of its own, so `--all` writes several, each of as many rows as one has without it.
    for some in chosen.chunks(LINES_SHOWN) {
        let data = some.iter().map(|at| cells(&compared.paths[*at])).collect();
        table::write_rows(&Rows { meta: names.iter().map(column).collect(), data }, None, out)?;
    }
    let left_out = compared.paths.len() - chosen.len();
    if left_out > 0 {
        let of = compared.paths.len();
        writeln!(out, "{left_out} of {of} operations are not shown (greatest differences first): --all shows them")?;
    }
    Ok(())
}

fn cells(path: &Compared) -> Vec<Value> {
    let sign = if path.difference.total_ns > 0 { "+" } else { "" };
    vec![
        json!(format!("{}{}: {}", "  ".repeat(path.depth.min(16)), plain(&path.service), plain(&path.operation))),
        json!(path.left.count),
        json!(path.right.count),
        json!(took(path.left.total_ns)),
        json!(took(path.right.total_ns)),
        json!(format!("{sign}{}", took(path.difference.total_ns))),
        json!(took(path.left.self_ns)),
        json!(took(path.right.self_ns)),
        json!(path.only.as_deref().unwrap_or_default()),
    ]
}
