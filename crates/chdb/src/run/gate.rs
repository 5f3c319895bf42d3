use std::borrow::Cow;

use crate::access::Access;
use crate::connection::{Connection, StatementClass};
use crate::engine::Engine;
use crate::exception::{Exception, codes};
use crate::http::RequestHead;
use crate::statement::{self, Kill};

use super::refused;
use super::text::{Statement, mentions};

/// Refuses what must not run; returns the class of what may.
pub(super) fn check(
    connection: &mut Connection,
    statement: &Statement,
    access: Access,
    head: &RequestHead,
) -> Result<StatementClass, Exception> {
    let text = match &statement.data {
        // ClickHouse's parser wants to know where an insert ends.
        Some(_) => Cow::Owned(format!("{} FORMAT Null", statement.sql)),
        None => Cow::Borrowed(statement.sql.as_str()),
    };
    let analysis = connection.classify(&text);
    if analysis.statements > 1 {
        let message = "Syntax error (Multi-statements are not allowed)";
        return Err(Exception::of(codes::SYNTAX_ERROR, "SYNTAX_ERROR", message));
    }
    if analysis.class == StatementClass::Unknown || analysis.statements == 0 {
        // Running a text that does not parse as a whole would run its first half, so it is only parsed again.
        canonical(connection, &text)?;
        return Err(refused("this statement is of no known kind"));
    }
    // Words may hide behind escapes (`fi\x6ce`), so a suspicious text is looked at in the parser's own spelling.
    let suspicious = ["file", "settings", "\\"].iter().any(|word| mentions(&text, word));
    let spelled = if suspicious { Cow::Owned(canonical(connection, &text)?) } else { text };
    if let Some(what) = statement::reaches_files(&spelled) {
        return Err(refused(&format!("{what} reaches files of the machine, which nobody may here")));
    }
    if statement::ends_the_process(&spelled) {
        return Err(refused("this statement would end or stop the engine for everyone"));
    }
    let restricted = access == Access::Read || head.readonly;
    if (restricted || head.is_get) && analysis.class != StatementClass::ReadOnly {
        let message = "Cannot execute query in readonly mode";
        let message = if head.is_get && !restricted {
            "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries"
        } else {
            message
        };
        return Err(Exception::of(codes::READONLY, "READONLY", message));
    }
    if restricted && let Some(name) = statement::settings_clause(&spelled) {
        // libchdb applies this clause in spite of `readonly = 1`.
        let message = format!("Cannot modify '{name}' setting in readonly mode");
        return Err(Exception::of(codes::READONLY, "READONLY", message));
    }
    Ok(analysis.class)
}

/// Returns the statement as ClickHouse's parser spells it, or that parser's own error.
fn canonical(connection: &mut Connection, text: &str) -> Result<String, Exception> {
    let parameters = [("statement".to_owned(), escaped(text))];
    let spelled = connection.query("SELECT formatQuery({statement:String})", "TSVRaw", &parameters)?;
    Ok(String::from_utf8_lossy(spelled.data()).into_owned())
}

/// A parameter's value is read as an escaped text.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

/// Ends another query; returns the statement whose answer tells about it.
pub(super) fn kill(engine: &Engine, access: Access, kill: Kill) -> Result<String, Exception> {
    if access != Access::Full {
        return Err(Exception::of(codes::READONLY, "READONLY", "Cannot execute query in readonly mode"));
    }
    let query_id = match kill {
        Kill::Query(query_id) => query_id,
        Kill::Sync => return Err(refused("KILL QUERY … SYNC hangs in an embedded engine; use ASYNC")),
    };
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let (user, statement, found) = match engine.cancel(&query_id) {
        Some((user, statement)) => (user, statement, 1),
        None => (String::new(), String::new(), 0),
    };
    Ok(format!(
        "SELECT 'waiting' AS kill_status, {} AS query_id, {} AS user, {} AS query WHERE {found}",
        quoted(&query_id),
        quoted(&user),
        quoted(&statement)
    ))
}
