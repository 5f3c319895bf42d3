use std::io::{self, PipeReader, Read};
use std::os::fd::AsRawFd;
use std::thread;

use crate::connection::Connection;
use crate::engine::cancelled;
use crate::exception::Exception;
use crate::limits::PIPE_READ_BYTES;
use crate::statement;

use super::Task;
use super::output::Output;

/// Runs a `SELECT` on a thread beside this one and passes on what it writes.
pub(super) fn select(
    task: &Task,
    connection: &mut Connection,
    sql: &str,
    format: &str,
    output: &mut Output,
) -> Result<(), Exception> {
    let (reader, writer) = io::pipe().map_err(Exception::internal)?;
    let sql = statement::into_file(sql, format, &format!("/dev/fd/{}", writer.as_raw_fd()));
    let parameters = &task.head.parameters;
    thread::scope(|scope| {
        let query = scope.spawn(move || {
            let progress = connection.query(&sql, format, parameters).map(|answer| answer.progress());
            // The reader sees the end of the answer once both this end and the engine's own are closed.
            drop(writer);
            progress
        });
        let passed = pass_on(reader, output);
        if passed.is_err() {
            task.engine.cancel(&task.query_id);
        }
        let progress = query.join().unwrap_or_else(|_| Err(Exception::internal("a query's thread panicked")));
        passed?;
        output.add(progress?);
        Ok(())
    })
}

/// Reads the pipe to its end. Dropping it early makes the engine's next write fail.
fn pass_on(mut reader: PipeReader, output: &mut Output) -> Result<(), Exception> {
    let mut buffer = vec![0; PIPE_READ_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => output.piece(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(cancelled()),
        }
    }
}
