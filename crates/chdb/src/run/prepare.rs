use std::io::Read;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::access::Access;
use crate::connection::Connection;
use crate::exception::{Exception, codes};
use crate::http::{ExternalShape, Feed, FeedReader, RequestHead};
use crate::limits::APPEND_BYTES;

use super::Left;
use super::text::unreadable;

/// A setting with the text that sets it again.
pub(super) type Saved = (String, String);

/// Says whether a request changes its connection before its statement runs.
pub(super) fn touches(head: &RequestHead) -> bool {
    head.database.is_some() || !head.settings.is_empty()
}

/// Applies the request's database and settings.
pub(super) fn settings(connection: &mut Connection, head: &RequestHead) -> Result<Left, Exception> {
    if let Some(database) = head.database.as_deref().filter(|name| !name.is_empty()) {
        connection.run(&format!("USE {}", identifier(database)), "Null")?;
    }
    if !head.settings.is_empty() {
        let list: Vec<_> = head.settings.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
        connection.run(&format!("SET {}", list.join(", ")), "Null")?;
    }
    Ok(if touches(head) { Left::Something } else { Left::Nothing })
}

/// Puts the connection under the reader's rules, after the settings of a caller who may set them. There is no way back.
pub(super) fn lock_down(connection: &mut Connection, access: Access, head: &RequestHead) -> Result<(), Exception> {
    if access == Access::Full && !head.readonly {
        return Ok(());
    }
    connection.run("SET readonly = 1", "Null").map(|_| ())
}

/// Reads the values of the settings that a request in a session will change, and the session's database.
pub(super) fn save(connection: &mut Connection, head: &RequestHead) -> Result<Vec<Saved>, Exception> {
    let mut saved = Vec::new();
    if head.database.is_some() {
        let database = connection.run("SELECT currentDatabase()", "TSVRaw")?;
        saved.push(("USE".to_owned(), format!("USE {}", identifier(database.trim_end_matches('\n')))));
    }
    for (name, _) in &head.settings {
        let sql = format!("SELECT value FROM system.settings WHERE name = {}", literal(name));
        let value = connection.run(&sql, "TSVRaw")?;
        if let Some(value) = value.strip_suffix('\n') {
            saved.push((name.clone(), format!("SET {name} = {}", literal(value))));
        }
    }
    Ok(saved)
}

/// Changes a session's connection back.
pub(super) fn restore(connection: &mut Connection, saved: &[Saved]) -> Result<(), Exception> {
    for (_, statement) in saved {
        connection.run(statement, "Null")?;
    }
    Ok(())
}

/// Loads the tables that travel with the request into temporary tables of this connection.
pub(super) fn external_tables(
    connection: &mut Connection,
    head: &RequestHead,
    feed: &mut Feed,
    wake: Arc<Notify>,
) -> Result<(), Exception> {
    let mut reader = FeedReader::new(feed, wake);
    while let Some(name) = reader.next_table().map_err(|error| unreadable(&error))? {
        let shape = head.external.get(&name).ok_or_else(|| {
            let message =
                format!("There is neither `{name}_structure` nor `{name}_types` for the external table `{name}`");
            Exception::of(codes::BAD_ARGUMENTS, "BAD_ARGUMENTS", message)
        })?;
        let columns = columns(shape);
        connection.run(&format!("CREATE TEMPORARY TABLE {} ({columns})", identifier(&name)), "Null")?;
        let format = shape.format.as_deref().unwrap_or("TabSeparated");
        let mut insert = connection.insert(&format!("INSERT INTO {}", identifier(&name)), format, &[])?;
        let mut buffer = vec![0; APPEND_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => insert.append(&buffer[..count])?,
                Err(error) => {
                    insert.cancel();
                    return Err(unreadable(&error));
                }
            }
        }
        insert.finish()?;
    }
    Ok(())
}

fn columns(shape: &ExternalShape) -> String {
    match (&shape.structure, &shape.types) {
        (Some(structure), _) => structure.clone(),
        (None, Some(types)) => {
            let named = split_types(types).into_iter().enumerate();
            named.map(|(at, one)| format!("_{} {one}", at + 1)).collect::<Vec<_>>().join(", ")
        }
        (None, None) => String::new(),
    }
}

/// Splits `UInt8, Map(String, String)` at the commas outside of parentheses.
fn split_types(types: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (at, c) in types.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(types[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(types[start..].trim());
    parts
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
