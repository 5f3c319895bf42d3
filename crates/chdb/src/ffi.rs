//! libchdb's C functions, found at run time.
//!
//! Half of the project's `unsafe` is here, the other half in `connection.rs`; `UNSAFE.md` lists both. No registry carries
//! libchdb's header, so the signatures are written by hand after its `chdb.h` (26.7), and only
//! those that the engine calls.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::Path;

/// A text or bytes given with their length: libchdb's `…_n` functions want no final NUL.
pub(crate) type Text = *const c_char;
/// A connection as the query functions take it.
pub(crate) type RawConnection = *mut c_void;
/// What `chdb_connect` returns and `chdb_close_conn` takes.
pub(crate) type RawConnectionBox = *mut RawConnection;
/// A result, whole or streaming.
pub(crate) type RawResult = *mut c_void;
/// An open insert.
pub(crate) type RawInsert = *mut c_void;

/// The shape of the three functions that start a statement: connection, statement, format, and the
/// parameters' names, name lengths, values, value lengths and count.
pub(crate) type StartFunction = unsafe extern "C" fn(
    RawConnection,
    Text,
    usize,
    Text,
    usize,
    *const Text,
    *const usize,
    *const Text,
    *const usize,
    usize,
) -> RawResult;

/// `chdb_query_analysis_v1`: what a statement would do.
#[repr(C)]
pub(crate) struct RawAnalysis {
    pub(crate) struct_size: u32,
    pub(crate) statement_count: u32,
    pub(crate) flags: u32,
    pub(crate) query_class: u32,
}

/// The library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The loader refused the file.
    #[error("the loader refused `{path}`: {reason}")]
    Refused {
        /// The file.
        path: String,
        /// The loader's words.
        reason: String,
    },
    /// The file is a library, but not one that this program can use.
    #[error("`{path}` has no `{symbol}`: it is not libchdb 26.7 or a later one")]
    Symbol {
        /// The file.
        path: String,
        /// The first function that is missing.
        symbol: &'static str,
    },
}

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        /// The functions, each with the type that `chdb.h` gives it.
        pub(crate) struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $answer)?,)*
        }

        impl Functions {
            /// SAFETY: `handle` comes from `dlopen` and is never closed.
            unsafe fn find(handle: *mut c_void, path: &Path) -> Result<Self, LoadError> {
                $(
                    // SAFETY: the name is NUL-terminated; the handle is open.
                    let address = unsafe { libc::dlsym(handle, concat!(stringify!($name), "\0").as_ptr().cast()) };
                    if address.is_null() {
                        return Err(LoadError::Symbol { path: path.display().to_string(), symbol: stringify!($name) });
                    }
                    // SAFETY: the symbol is a C function of exactly this type in chdb.h.
                    let $name = unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $answer)?>(address)
                    };
                )*
                Ok(Self { $($name,)* })
            }
        }
    };
}

functions! {
    chdb_set_signal_handlers_enabled: fn(c_int);
    chdb_connect: fn(c_int, *mut *mut c_char) -> RawConnectionBox;
    chdb_close_conn: fn(RawConnectionBox);
    chdb_query_with_params_n: fn(RawConnection, Text, usize, Text, usize, *const Text, *const usize, *const Text, *const usize, usize) -> RawResult;
    chdb_destroy_query_result: fn(RawResult);
    chdb_stream_insert_with_params_n: fn(RawConnection, Text, usize, Text, usize, *const Text, *const usize, *const Text, *const usize, usize) -> RawInsert;
    chdb_stream_append: fn(RawInsert, *const c_void, usize) -> c_int;
    chdb_stream_done: fn(RawInsert) -> RawResult;
    chdb_stream_cancel_insert: fn(RawInsert);
    chdb_stream_insert_error: fn(RawInsert) -> Text;
    chdb_destroy_insert_stream: fn(RawInsert);
    chdb_result_buffer: fn(RawResult) -> Text;
    chdb_result_length: fn(RawResult) -> usize;
    chdb_result_error: fn(RawResult) -> Text;
    chdb_result_storage_rows_read: fn(RawResult) -> u64;
    chdb_result_storage_bytes_read: fn(RawResult) -> u64;
    chdb_result_rows_read: fn(RawResult) -> u64;
    chdb_result_rows_written: fn(RawResult) -> u64;
    chdb_result_bytes_written: fn(RawResult) -> u64;
    chdb_classify_query_n: fn(RawConnection, Text, usize, Text, usize, *mut RawAnalysis) -> c_int;
}

/// libchdb, loaded for the rest of the process's life.
#[derive(Clone, Copy)]
pub struct Library {
    pub(crate) functions: &'static Functions,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Library")
    }
}

impl Library {
    /// Loads the library. Its signal handlers stay off: they would replace Rust's guard of the stack (trap 7).
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let refused = |reason: String| LoadError::Refused { path: path.display().to_string(), reason };
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| refused(error.to_string()))?;
        // SAFETY: the name is NUL-terminated. The library's constructors run here; it is never closed again.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: dlopen just failed on this thread, so dlerror returns a NUL-terminated text.
            let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
            return Err(refused(reason.to_string_lossy().into_owned()));
        }
        // SAFETY: the handle is open and stays so.
        let functions = unsafe { Functions::find(handle, path) }?;
        // SAFETY: no connection was made yet, which is when this call is allowed.
        unsafe { (functions.chdb_set_signal_handlers_enabled)(0) };
        Ok(Self { functions: Box::leak(Box::new(functions)) })
    }
}

/// Copies a C text; `None` when it is absent or empty.
///
/// SAFETY: `text` is null or NUL-terminated and lives for the call.
pub(crate) unsafe fn owned_text(text: Text) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    (!text.is_empty()).then(|| text.to_string_lossy().into_owned())
}
