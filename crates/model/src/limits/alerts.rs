/// Rules of alerts that may be made over the API: each is a question every so often.
pub const ALERT_RULES_MAX: u32 = 1_000;

/// Silences that may be kept at once.
pub const ALERT_SILENCES_MAX: u32 = 1_000;

/// Series of one rule that are watched: each is a line in the catalog while it is not fine.
pub const ALERT_SERIES_MAX: usize = 1_000;

/// Rules that are asked at once: the engine is there for others, too.
pub const ALERT_ASKED_AT_ONCE: usize = 2;

/// How often it is looked which rules are due (milliseconds): a quarter of the shortest time between two questions.
pub const ALERT_LOOK_MS: u64 = 250;

/// How long a rule's question may take (milliseconds).
pub const ALERT_ASK_TIMEOUT_MS: u64 = 15_000;

/// How often a message of an alert is sent before it is given up: with the pauses below about three hours.
pub const ALERT_MESSAGE_ATTEMPTS_MAX: u32 = 48;

/// The pause after the first failure of a message (milliseconds); doubled after each further one.
pub const ALERT_MESSAGE_PAUSE_MS: u64 = 250;

/// The longest of these pauses (milliseconds).
pub const ALERT_MESSAGE_PAUSE_MAX_MS: u64 = 300_000;

/// How often a receiver looks for messages that nobody announced (seconds).
pub const ALERT_MESSAGE_LOOK_SECONDS: u64 = 5;
