//! One statement, from its text to its last byte, on a thread of its own.
//!
//! Invariants: whatever a request changes on a connection (settings, database, temporary tables) is gone before the
//! next request: the connection is thrown away, or, in a session, changed back. A connection is thrown
//! away after any error (trap 1).
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the order of the steps |
//! | `text.rs` | the statement's text, out of the URL and the body |
//! | `gate.rs` | what is refused before it runs |
//! | `prepare.rs` | settings, database, parameters, tables that travel along |
//! | `pipe.rs` | a `SELECT`'s answer, streamed through a pipe |
//! | `output.rs` | the answer's way to the socket |

mod gate;
mod output;
mod pipe;
mod prepare;
mod text;

use std::io::Read;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::access::Access;
use crate::codec::decode::decoder;
use crate::connection::{Progress, StatementClass};
use crate::engine::{Engine, MarkedConnection, Registration, cancelled};
use crate::exception::{Exception, codes};
use crate::http::{AnswerFacts, Feed, FeedReader, RequestHead};
use crate::limits::APPEND_BYTES;
use crate::sessions::Session;
use crate::statement;

pub(crate) use output::Outcome;
use output::Output;
use text::Statement;

/// All that one request brings.
pub(crate) struct Task {
    pub(crate) engine: Engine,
    pub(crate) head: RequestHead,
    pub(crate) access: Access,
    pub(crate) feed: Feed,
    pub(crate) session: Option<Session>,
    pub(crate) registration: Registration,
    /// The slot that the statement holds.
    pub(crate) _permit: OwnedSemaphorePermit,
    pub(crate) query_id: String,
    pub(crate) exception_tag: String,
    pub(crate) started: Instant,
}

/// What a statement leaves on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing: the connection may serve anyone next.
    Nothing,
    /// Something that only its session may see again.
    Something,
}

/// Runs a task to its end; the answer's head goes to `reply`, its rest where the head says.
pub(crate) fn run(mut task: Task, reply: oneshot::Sender<Outcome>) {
    let facts = AnswerFacts {
        query_id: task.query_id.clone(),
        format: String::new(),
        exception_tag: task.exception_tag.clone(),
        progress: Progress::default(),
        elapsed: std::time::Duration::ZERO,
    };
    let mut output = Output::new(task.engine.clone(), &task.head, facts, task.started, reply);
    let result = run_to_end(&mut task, &mut output).map_err(|exception| {
        // What a cancelled statement stumbles over (a closed pipe, half a body) is not its reason to end.
        let exception = if task.registration.is_cancelled() { cancelled() } else { exception };
        tracing::debug!(query_id = task.query_id, %exception, "a statement failed");
        exception
    });
    drop(task);
    output.conclude(result);
}

fn run_to_end(task: &mut Task, output: &mut Output) -> Result<(), Exception> {
    let mut connection = match task.session.as_mut().and_then(|session| session.connection.take()) {
        Some(connection) => connection,
        None => task.engine.connection()?,
    };
    task.registration.begin(&connection)?;
    let in_session = task.session.is_some();
    let restored = if in_session { prepare::save(&mut connection.connection, &task.head)? } else { Vec::new() };
    let outcome = run_on(task, &mut connection, output);
    if let Some(session) = &mut task.session {
        if outcome.is_err() {
            connection.connection.drain();
        }
        if prepare::restore(&mut connection.connection, &restored).is_ok() {
            session.connection = Some(connection);
        }
        return outcome.map(|_| ());
    }
    match outcome {
        Ok(Left::Nothing) => {
            task.engine.give_back(connection);
            Ok(())
        }
        Ok(Left::Something) => Ok(()),
        Err(exception) => Err(exception),
    }
}

fn run_on(task: &mut Task, connection: &mut MarkedConnection, output: &mut Output) -> Result<Left, Exception> {
    let connection = &mut connection.connection;
    let head = &mut task.head;
    let (boundary, blocks, encoding) = (head.boundary.take(), head.decompress, head.content_encoding);
    if boundary.is_some() {
        let statement = Statement::of_text(std::mem::take(&mut head.query));
        let class = gate::check(connection, &statement, task.access, head)?;
        prepare::settings(connection, head)?;
        prepare::external_tables(connection, head, &mut task.feed, task.registration.wake.clone())?;
        return select(task, connection, &statement, class, output);
    }
    let mut feed = std::mem::replace(&mut task.feed, tokio::sync::mpsc::channel(1).1);
    let mut body = decoder(FeedReader::new(&mut feed, task.registration.wake.clone()), encoding, blocks)
        .map_err(|error| text::unreadable(&error))?;
    let statement = text::read(&task.head.query, &mut body)?;
    if let Some(kill) = statement::kill(&statement.sql) {
        let answer = gate::kill(&task.engine, task.access, kill)?;
        return select(task, connection, &Statement::of_text(answer), StatementClass::ReadOnly, output);
    }
    let class = gate::check(connection, &statement, task.access, &task.head)?;
    let touched = prepare::settings(connection, &task.head)?;
    let left = match &statement.data {
        Some(data) => {
            let format = data.format.clone().or_else(|| task.head.default_format.clone());
            let rows = std::io::Cursor::new(&data.inline).chain(body);
            insert(task, connection, &statement.sql, &format.unwrap_or_else(|| "Values".to_owned()), rows, output)?
        }
        None => {
            drop(body);
            select(task, connection, &statement, class, output)?
        }
    };
    Ok(if touched == Left::Something { Left::Something } else { left })
}

fn select(
    task: &Task,
    connection: &mut crate::connection::Connection,
    statement: &Statement,
    class: StatementClass,
    output: &mut Output,
) -> Result<Left, Exception> {
    prepare::lock_down(connection, task.access, &task.head)?;
    let default_format = task.head.default_format.as_deref().unwrap_or("TabSeparated");
    let format = statement::output_format(&statement.sql).unwrap_or(default_format).to_owned();
    output.begin(&format)?;
    if class == StatementClass::ReadOnly && statement::is_select(&statement.sql) {
        pipe::select(task, connection, &statement.sql, &format, output)?;
    } else {
        // What other statements answer is small.
        let answer = connection.query(&statement.sql, default_format, &task.head.parameters)?;
        output.piece(answer.data())?;
        output.add(answer.progress());
    }
    let plain = class == StatementClass::ReadOnly
        && task.access == Access::Full
        && !task.head.readonly
        && task.head.external.is_empty()
        && !prepare::touches(&task.head)
        && !text::mentions(&statement.sql, "settings");
    Ok(if plain { Left::Nothing } else { Left::Something })
}

fn insert(
    task: &Task,
    connection: &mut crate::connection::Connection,
    sql: &str,
    format: &str,
    mut rows: impl Read,
    output: &mut Output,
) -> Result<Left, Exception> {
    output.begin(task.head.default_format.as_deref().unwrap_or("TabSeparated"))?;
    let mut insert = connection.insert(sql, format, &task.head.parameters)?;
    let mut buffer = vec![0; APPEND_BYTES];
    loop {
        let count = match rows.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => {
                insert.cancel();
                return Err(text::unreadable(&error));
            }
        };
        insert.append(&buffer[..count])?;
        if task.registration.is_cancelled() {
            insert.cancel();
            return Err(cancelled());
        }
    }
    let progress = insert.finish()?;
    drop(insert);
    output.add(progress);
    Ok(if text::mentions(sql, "settings") { Left::Something } else { Left::Nothing })
}

/// Says that a statement is not allowed here.
fn refused(what: &str) -> Exception {
    Exception::of(codes::QUERY_NOT_ALLOWED, "QUERY_NOT_ALLOWED", what)
}
