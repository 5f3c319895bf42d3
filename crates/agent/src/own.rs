use crate::counts::Counts;
use crate::rows::{Number, Point};
use crate::writer::Shared;

/// The agent's metrics of itself.
pub(crate) fn points(shared: &Shared) -> Vec<Point> {
    let counts = &shared.counts;
    let sum = |name, counter| Point::sum(name, "{row}", Number::Int(Counts::get(counter)));
    let (rows, bytes) = shared.with_queue(|queue| (queue.waiting_rows(), queue.bytes()));
    vec![
        sum("tidegate.agent.rows.collected", &counts.collected_rows),
        sum("tidegate.agent.rows.sent", &counts.sent_rows),
        sum("tidegate.agent.rows.dropped", &counts.dropped_rows),
        sum("tidegate.agent.rows.refused", &counts.refused_rows),
        Point::sum("tidegate.agent.retries", "{retry}", Number::Int(Counts::get(&counts.retries))),
        Point::gauge("tidegate.agent.queue.rows", "{row}", Number::Int(rows)),
        Point::gauge("tidegate.agent.queue.size", "By", Number::Int(bytes)),
    ]
}
