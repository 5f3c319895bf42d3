/// Returns OpenTelemetry's severity number of a level's name or number; 0 when it is not known.
pub(crate) fn severity(name: &str) -> u8 {
    match name.trim().to_ascii_lowercase().as_str() {
        "trace" | "verbose" | "finest" => 1,
        "debug" | "dbg" | "fine" | "10" => 5,
        "info" | "information" | "informational" | "inf" | "20" => 9,
        "notice" => 10,
        "warn" | "warning" | "wrn" | "30" => 13,
        "error" | "err" | "severe" | "40" => 17,
        "critical" | "crit" => 18,
        "alert" => 19,
        "fatal" | "panic" | "emergency" | "emerg" | "50" | "60" => 21,
        _ => 0,
    }
}

/// Returns the severity number and the name of one of syslog's eight priorities.
pub(crate) const fn of_syslog(priority: u8) -> (u8, &'static str) {
    match priority {
        0 => (21, "emerg"),
        1 => (19, "alert"),
        2 => (18, "crit"),
        3 => (17, "err"),
        4 => (13, "warning"),
        5 => (10, "notice"),
        6 => (9, "info"),
        _ => (5, "debug"),
    }
}
