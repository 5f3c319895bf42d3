use std::ffi::{c_int, c_long};

/// Requests are many short-lived buffers of all sizes, on all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long freed memory is kept for the next buffers before the system gets it back (milliseconds).
///
/// The first touch of a page that the system had back costs 1 to 8 µs on a virtual machine. With the allocator's own
/// second every batch's memory went and came again: a third of the server's processor time.
const KEPT_MS: c_long = 10_000;

/// For programs that end soon and turn over much: it is never given back.
const KEPT_TO_THE_END: c_long = -1;

/// `mi_option_purge_delay`: its place in `mi_option_t` of mimalloc 2 and 3.
const PURGE_DELAY: c_int = 15;

/// Keeps freed memory for a while; `MIMALLOC_PURGE_DELAY` in the environment overrides it. Called before any thread is.
pub(crate) fn keep_freed() {
    set(KEPT_MS);
}

/// Keeps it until the program ends.
pub(crate) fn keep_freed_to_the_end() {
    set(KEPT_TO_THE_END);
}

#[expect(
    unsafe_code,
    reason = "the allocator takes this setting from its environment or from C, and from nowhere else"
)]
fn set(delay: c_long) {
    unsafe extern "C" {
        fn mi_option_set_default(option: c_int, value: c_long);
    }
    // SAFETY: declared as in `mimalloc.h`; it writes one number, which the allocator reads when it frees.
    unsafe { mi_option_set_default(PURGE_DELAY, delay) };
}
