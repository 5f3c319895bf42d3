//! One connection to the engine: safe to hold, one statement at a time.
//!
//! Invariants: an open insert borrows its connection mutably, so a second
//! statement cannot start on it; whatever the library returns is freed on drop; a text that
//! the library lends is copied before the next call.

use std::ffi::{CString, c_char, c_int};
use std::ptr;

use crate::exception::Exception;
use crate::ffi::{
    Library, RawAnalysis, RawConnection, RawConnectionBox, RawInsert, RawResult, StartFunction, Text, owned_text,
};

/// A `{name:Type}` parameter: its name and its value as text.
pub type Parameter = (String, String);

/// What a statement would do, by ClickHouse's own parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementClass {
    /// `SELECT`, `SHOW`, `DESCRIBE`, `EXPLAIN`, `EXISTS`, `CHECK`: leaves no trace.
    ReadOnly,
    /// Changes a database.
    Mutating,
    /// Changes something beside the databases: functions, named collections, access.
    MutatingGlobal,
    /// `USE`, `SET`, `SYSTEM`, `BACKUP`, `KILL`, `INTO OUTFILE` and their like.
    Control,
    /// Did not parse.
    Unknown,
}

/// What [`Connection::classify`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analysis {
    /// The most restricted class among the statements.
    pub class: StatementClass,
    /// How many statements the text holds; 0 when it did not parse.
    pub statements: u32,
}

/// The engine refused a connection; its reason is on its stderr only.
#[derive(Debug, thiserror::Error)]
#[error("libchdb refused a connection; its reason stands on stderr above")]
pub struct ConnectError;

/// One connection: settings, current database and temporary tables are its own.
#[derive(Debug)]
pub struct Connection {
    library: Library,
    raw: RawConnectionBox,
}

// SAFETY: libchdb ties a connection to no thread; `&mut self` keeps statements apart.
unsafe impl Send for Connection {}

impl Connection {
    /// Opens a connection; the first one of a process boots the engine with these arguments.
    pub fn open(library: Library, arguments: &[String]) -> Result<Self, ConnectError> {
        let texts: Vec<CString> = std::iter::once("clickhouse")
            .chain(arguments.iter().map(String::as_str))
            .map(|text| CString::new(text).map_err(|_| ConnectError))
            .collect::<Result<_, _>>()?;
        let mut pointers: Vec<*mut c_char> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| ConnectError)?;
        // SAFETY: `count` NUL-terminated texts that outlive the call; the library copies them.
        let raw = unsafe { (library.functions.chdb_connect)(count, pointers.as_mut_ptr()) };
        // SAFETY: a box that is not null points to a connection.
        if raw.is_null() || unsafe { *raw }.is_null() {
            return Err(ConnectError);
        }
        Ok(Self { library, raw })
    }

    /// Asks ClickHouse's parser what the text would do. Nothing is executed.
    pub fn classify(&mut self, sql: &str) -> Analysis {
        let size = u32::try_from(size_of::<RawAnalysis>()).expect("the struct has 16 bytes");
        let mut raw = RawAnalysis { struct_size: size, statement_count: 0, flags: 0, query_class: 4 };
        let classify = self.library.functions.chdb_classify_query_n;
        // SAFETY: the connection is open; text and struct outlive the call; no target database is given.
        let state = unsafe { classify(self.raw(), text(sql), sql.len(), ptr::null(), 0, &raw mut raw) };
        let class = match (state, raw.query_class) {
            (0, 0) => StatementClass::ReadOnly,
            (0, 1) => StatementClass::Mutating,
            (0, 2) => StatementClass::MutatingGlobal,
            (0, 3) => StatementClass::Control,
            _ => StatementClass::Unknown,
        };
        Analysis { class, statements: raw.statement_count }
    }

    /// Runs one statement to its end and returns its whole answer as text; for our own small statements.
    pub fn run(&mut self, sql: &str, format: &str) -> Result<String, Exception> {
        let answer = self.query(sql, format, &[])?;
        Ok(String::from_utf8_lossy(answer.data()).into_owned())
    }

    /// Runs one statement to its end and holds its whole answer in memory.
    ///
    /// After an error the connection hands what the statement had produced to its next one (trap 1): throw it away, or
    /// [`Connection::drain`] it.
    pub fn query(&mut self, sql: &str, format: &str, parameters: &[Parameter]) -> Result<Answer, Exception> {
        let query = self.library.functions.chdb_query_with_params_n;
        // SAFETY: `start` hands over an open connection and texts that outlive the call.
        let answer = Answer { library: self.library, raw: unsafe { self.start(query, sql, format, parameters) } };
        match answer.error() {
            Some(exception) => Err(exception),
            None => Ok(answer),
        }
    }

    /// Opens an insert: `statement` without its `FORMAT` clause, `format` of the bytes to come.
    pub fn insert(
        &mut self,
        statement: &str,
        format: &str,
        parameters: &[Parameter],
    ) -> Result<InsertStream<'_>, Exception> {
        let open = self.library.functions.chdb_stream_insert_with_params_n;
        // SAFETY: as in `query`.
        let raw = unsafe { self.start(open, statement, format, parameters) };
        let insert = InsertStream { connection: self, raw };
        match insert.error() {
            Some(exception) => Err(exception),
            None => Ok(insert),
        }
    }

    /// Empties what a failed statement may have left behind (trap 1).
    ///
    /// Connections are thrown away after an error; only a session, whose temporary tables must
    /// live on, is drained instead.
    pub fn drain(&mut self) {
        drop(self.query("", "Null", &[]));
    }

    /// SAFETY: `function` is one of libchdb's that take a statement, a format and parameters.
    unsafe fn start(&self, function: StartFunction, sql: &str, format: &str, parameters: &[Parameter]) -> RawResult {
        let lent = LentParameters::of(parameters);
        // SAFETY: the connection is open; all texts outlive the call, which copies them; the
        // four arrays describe `parameters.len()` names and values.
        unsafe {
            function(
                self.raw(),
                text(sql),
                sql.len(),
                text(format),
                format.len(),
                lent.names.as_ptr(),
                lent.name_lengths.as_ptr(),
                lent.values.as_ptr(),
                lent.value_lengths.as_ptr(),
                parameters.len(),
            )
        }
    }

    fn raw(&self) -> RawConnection {
        // SAFETY: `open` checked that the box holds a connection; it is freed on drop only.
        unsafe { *self.raw }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once. Streams borrow the connection, so none is left.
        unsafe { (self.library.functions.chdb_close_conn)(self.raw) };
    }
}

/// A statement's answer.
#[derive(Debug)]
pub struct Answer {
    library: Library,
    raw: RawResult,
}

impl Answer {
    /// The bytes, in the statement's format.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        if self.raw.is_null() {
            return &[];
        }
        let functions = self.library.functions;
        // SAFETY: the result is live until drop.
        let (start, length) =
            unsafe { ((functions.chdb_result_buffer)(self.raw), (functions.chdb_result_length)(self.raw)) };
        if start.is_null() || length == 0 {
            return &[];
        }
        // SAFETY: the library keeps `length` bytes at `start` for as long as the result lives.
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }

    /// What the statement read and wrote.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if self.raw.is_null() {
            return Progress::default();
        }
        let functions = self.library.functions;
        // SAFETY: the result is live until drop; these functions only read it.
        unsafe {
            Progress {
                read_rows: (functions.chdb_result_storage_rows_read)(self.raw),
                read_bytes: (functions.chdb_result_storage_bytes_read)(self.raw),
                written_rows: (functions.chdb_result_rows_written)(self.raw),
                written_bytes: (functions.chdb_result_bytes_written)(self.raw),
                result_rows: (functions.chdb_result_rows_read)(self.raw),
            }
        }
    }

    fn error(&self) -> Option<Exception> {
        if self.raw.is_null() {
            return Some(Exception::internal("libchdb returned no result"));
        }
        // SAFETY: the result is live until drop; its text is copied at once.
        unsafe { owned_text((self.library.functions.chdb_result_error)(self.raw)) }.map(Exception::from_text)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: returned by the library, freed once.
            unsafe { (self.library.functions.chdb_destroy_query_result)(self.raw) };
        }
    }
}

/// What a statement read and wrote, as `X-ClickHouse-Summary` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows read from tables.
    pub read_rows: u64,
    /// Bytes read from tables.
    pub read_bytes: u64,
    /// Rows written, those of materialized views included.
    pub written_rows: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Rows in the answer.
    pub result_rows: u64,
}

/// An open insert. Dropped before [`InsertStream::finish`], it is cancelled and commits nothing more.
#[derive(Debug)]
pub struct InsertStream<'c> {
    connection: &'c mut Connection,
    raw: RawInsert,
}

impl InsertStream<'_> {
    /// Hands over bytes; blocks while the engine is behind.
    pub fn append(&mut self, data: &[u8]) -> Result<(), Exception> {
        let append = self.connection.library.functions.chdb_stream_append;
        // SAFETY: the insert is open; the bytes outlive the call, which copies them.
        let state = unsafe { append(self.raw, data.as_ptr().cast(), data.len()) };
        if state == 0 {
            return Ok(());
        }
        // The reason is complete only once the insert is finalized.
        self.finish().and(Err(Exception::internal("the insert ended before its data")))
    }

    /// Ends the data and commits.
    pub fn finish(&mut self) -> Result<Progress, Exception> {
        // SAFETY: the insert is open; finishing twice is an error result, not a fault.
        let raw = unsafe { (self.connection.library.functions.chdb_stream_done)(self.raw) };
        let result = Answer { library: self.connection.library, raw };
        match result.error() {
            Some(exception) => Err(exception),
            None => Ok(result.progress()),
        }
    }

    /// Ends the insert without a commit of what is still open.
    pub fn cancel(&mut self) {
        // SAFETY: the insert is open; cancelling after its end does nothing.
        unsafe { (self.connection.library.functions.chdb_stream_cancel_insert)(self.raw) };
    }

    fn error(&self) -> Option<Exception> {
        if self.raw.is_null() {
            return Some(Exception::internal("libchdb returned no insert"));
        }
        // SAFETY: the insert is live until drop; its text is copied at once.
        unsafe { owned_text((self.connection.library.functions.chdb_stream_insert_error)(self.raw)) }
            .map(Exception::from_text)
    }
}

impl Drop for InsertStream<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: returned by the library, freed once; it cancels first when not finished.
            unsafe { (self.connection.library.functions.chdb_destroy_insert_stream)(self.raw) };
        }
    }
}

/// Pointers and lengths of parameters, in the four arrays that the library wants.
struct LentParameters {
    names: Vec<Text>,
    name_lengths: Vec<usize>,
    values: Vec<Text>,
    value_lengths: Vec<usize>,
}

impl LentParameters {
    fn of(parameters: &[Parameter]) -> Self {
        Self {
            names: parameters.iter().map(|(name, _)| text(name)).collect(),
            name_lengths: parameters.iter().map(|(name, _)| name.len()).collect(),
            values: parameters.iter().map(|(_, value)| text(value)).collect(),
            value_lengths: parameters.iter().map(|(_, value)| value.len()).collect(),
        }
    }
}

fn text(text: &str) -> Text {
    text.as_ptr().cast()
}
