use serde::Deserialize;

/// A trace, as the server tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    pub(super) trace_id: String,
    pub(super) start: String,
    pub(super) duration_ns: i64,
    pub(super) errors: u64,
    pub(super) orphans: u64,
    pub(super) cycles: u64,
    pub(super) doubled: u64,
    pub(super) services: Vec<String>,
    pub(super) critical_path: CriticalPath,
    pub(super) spans: Vec<Span>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CriticalPath {
    pub(super) duration_ns: i64,
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Segment {
    pub(super) span: usize,
    pub(super) start_offset_ns: i64,
    pub(super) duration_ns: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Span {
    pub(super) depth: usize,
    pub(super) place: String,
    pub(super) start_offset_ns: i64,
    pub(super) duration_ns: i64,
    pub(super) service: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) on_critical_path: bool,
}

/// Two traces, as the server compares them.
#[derive(Debug, Deserialize)]
pub(super) struct Comparison {
    pub(super) left: String,
    pub(super) right: String,
    pub(super) paths: Vec<Compared>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Compared {
    pub(super) depth: usize,
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) left: Sums,
    pub(super) right: Sums,
    pub(super) difference: Sums,
    pub(super) only: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sums {
    pub(super) count: i64,
    pub(super) total_ns: i64,
    pub(super) self_ns: i64,
}

/// Calls between services, as the server tells them.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceMap {
    pub(super) sampled: bool,
    pub(super) rate: f64,
    pub(super) without_parent: u64,
    pub(super) edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Edge {
    pub(super) caller: String,
    pub(super) callee: String,
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) total_ns: i64,
}
