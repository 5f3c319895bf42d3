//! Every limit of the miner, with the reason for its number.

/// Bytes of a body that are looked at: a template is decided by a line's beginning, and 4 KiB cost some 4 µs.
pub const LINE_BYTES_MAX: usize = 4 << 10;

/// Bytes of a template's canonical text; what follows is one variable. Longer constant texts are dumps, not formats.
pub const SHAPE_BYTES_MAX: usize = 1 << 10;

/// Constant words and variables of a template; what follows is one variable. Real formats stay under 60.
pub const SHAPE_TOKENS_MAX: usize = 128;

/// Templates that are remembered, merged ones included. A large fleet has some thousands; at 200 bytes each this is
/// 3 MiB, and 40 MiB if every one is at its byte limit.
pub const TEMPLATES_MAX: usize = 16 << 10;

/// Words of a template that may turn into variables: bounds the places below to 32 a template. Words that vary sit
/// within the first few of a line.
pub const PLACES_PER_TEMPLATE_MAX: usize = 32;

/// Places that are watched for distinct values, at 40 bytes and a list of up to [`VALUES_WEAK`] numbers each.
pub const PLACES_MAX: usize = 128 << 10;

/// Distinct words after which a place between constants is a variable. Three happen to be states or roles (low
/// cardinality is a constant); tried were 3, 4, 5, 6 and 8.
pub const VALUES_STRONG: usize = 4;

/// Distinct words that are asked for where the context is weak: the line's first word, which mostly names who speaks,
/// or a single constant word beside it. Also the most values that a place remembers.
pub const VALUES_WEAK: usize = 16;

/// Distinct words after which a place is a variable if all of them were values of a variable elsewhere, behind the same
/// word: who logs off are those who logged on.
pub const VALUES_PROVEN: usize = 2;

/// Values that are remembered for that, at 16 bytes; past it no more are learned.
pub const PROVEN_MAX: usize = 64 << 10;

/// Places behind one word that wait for such a proof.
pub const WATCHED_MAX: usize = 64;

/// Distinct words, in each of several places, after which all of these places are variables together. More than twice
/// what one place needs, as lines that are alike in half of their words only are often several formats: six is too few.
pub const VALUES_JOINT: usize = 10;

/// Places that turn into variables together; what varies in more is another line each time.
pub const JOINT_HOLES_MAX: usize = 4;

/// Templates alike but for their words that are compared with a new one; every two are looked at, some 5 µs in all.
pub const PEERS_MAX: usize = 32;

/// Constant words beside a place that make its context strong.
pub const CONTEXT_WORDS: usize = 2;

/// Generalised templates of one skeleton that a new line is compared with; more are kept but not tried.
pub const RIVALS_MAX: usize = 64;

/// Templates of one skeleton that a new join is compared with, at some 50 ns each: what it covers is merged into it.
pub const GATHERED_MAX: usize = 1 << 10;

/// Remembered shapes of lines that joined a template without being one (16 bytes each); past it all are forgotten and
/// found again, which costs a comparison each.
pub const JOINED_MAX: usize = 64 << 10;

/// Facts that wait to be taken and stored: every template and its merge once, some 4 MiB. Past it no template is made,
/// and lines of unknown shape count as overflow.
pub const FACTS_MAX: usize = 2 * TEMPLATES_MAX;

/// Lines in overflow between two attempts to make room, so that an attack of a million lines makes a few ten thousand
/// templates and not a million.
pub const OVERFLOW_LINES_PER_TRIM: u64 = 1 << 20;

/// Masks of a user: each is a pass over every line that one of them matches, and all together one over every line.
pub const USER_MASKS_MAX: usize = 16;

/// Bytes that a user's regular expression may compile to; the engine is linear in the line whatever the expression.
pub const USER_MASK_BYTES_MAX: usize = 1 << 20;

/// Names of the field that holds a JSON logger's message; loggers in use have five.
pub const MESSAGE_FIELDS_MAX: usize = 16;

/// Bytes of a JSON body in which its message is looked for: loggers put it behind fields, and these are mostly short.
pub const JSON_BYTES_MAX: usize = 16 << 10;

/// Messages within messages: a container's log line holds the program's JSON line.
pub const JSON_DEPTH_MAX: usize = 3;

/// Keys of a JSON body that are looked at; further keys make one variable at the end.
pub const JSON_KEYS_MAX: usize = 64;

/// Bytes of a span name that are looked at.
pub const SPAN_NAME_BYTES_MAX: usize = 1 << 10;
