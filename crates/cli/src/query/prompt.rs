use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::{OutputFormat, ask, write_answer};
use crate::client::Client;

const FIRST: &str = "tidegate> ";
const MORE: &str = "       -> ";
const HELP: &str = "\
  end a statement with ; to run it
  \\d          lists the tables
  \\d TABLE    lists a table's columns
  \\q          leaves (so does Ctrl+D)";

/// Reads statements until the end, runs each, and remembers them for the next time.
pub(super) async fn run(client: &Client, format: Option<OutputFormat>) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let format = format.filter(|format| !format.is_binary()).unwrap_or(OutputFormat::Table);
    writeln!(out, "SQL over stored and hot rows; \\? for help")?;
    let mut editor = DefaultEditor::new().context("open the terminal")?;
    let history = history_file();
    if let Some(file) = &history {
        // Without a history the prompt is as good.
        let _ = editor.load_history(file);
    }
    let mut statement = String::new();
    loop {
        match editor.readline(if statement.is_empty() { FIRST } else { MORE }) {
            Ok(line) => {
                if statement.is_empty() && matches!(line.trim(), "\\q" | "quit" | "exit") {
                    break;
                }
                add_line(&mut statement, &line);
            }
            Err(ReadlineError::Interrupted) => statement.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("read from the terminal"),
        }
        if let Some(complete) = complete(&mut statement) {
            editor.add_history_entry(&complete).context("remember the statement")?;
            answer(client, &complete, format, &mut out).await?;
        }
    }
    if let Some(file) = &history {
        let _ = editor.save_history(file);
    }
    Ok(())
}

fn add_line(statement: &mut String, line: &str) {
    if !statement.is_empty() {
        statement.push('\n');
    }
    statement.push_str(line);
}

/// Takes the statement when it is complete: it ends with `;`, or is a backslash command.
fn complete(statement: &mut String) -> Option<String> {
    let text = statement.trim();
    if text.is_empty() {
        statement.clear();
        return None;
    }
    (text.ends_with(';') || text.starts_with('\\')).then(|| std::mem::take(statement).trim().to_owned())
}

/// Runs a statement; its error is shown, and the prompt goes on.
async fn answer(client: &Client, statement: &str, format: OutputFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    let sql = match statement.split_whitespace().collect::<Vec<_>>()[..] {
        ["\\d"] => "SHOW TABLES".to_owned(),
        ["\\d", table] => format!("DESCRIBE TABLE {}", table.trim_end_matches(';')),
        [command, ..] if command.starts_with('\\') => {
            writeln!(out, "{HELP}")?;
            return Ok(());
        }
        _ => statement.to_owned(),
    };
    let outcome = match ask(client, &sql, format, &[]).await {
        Ok(answer) => write_answer(answer, format, out).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = outcome {
        writeln!(out, "error: {error:#}")?;
    }
    Ok(())
}

/// Returns where statements are remembered: `$XDG_STATE_HOME` or `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let folder = state.join("tidegate");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], statement: Option<&str>) {
        let mut text = String::new();
        for line in lines {
            add_line(&mut text, line);
        }
        assert_eq!(complete(&mut text).as_deref(), statement);
    }

    #[test]
    fn a_statement_ends_with_a_semicolon_and_may_span_lines() {
        check(&["SELECT 1"], None);
        check(&["SELECT 1;"], Some("SELECT 1;"));
        check(&["SELECT", "  1 ;  "], Some("SELECT\n  1 ;"));
        check(&["\\d logs"], Some("\\d logs"));
        check(&["   "], None);
    }
}
