use super::rule::{Rule, moves, parses};

/// `ag.*` under its older names, and texts of JSON where objects belong.
pub(super) const RULES: &[Rule] = &[
    moves("ag.type.node", "ag.type.span"),
    moves("ag.type.tree", "ag.type.trace"),
    parses("ag.meta.configuration", "ag.data.parameters"),
    moves("ag.metrics.unit.tokens", "ag.metrics.tokens.incremental"),
    moves("ag.metrics.unit.costs", "ag.metrics.costs.incremental"),
    moves("ag.metrics.unit.duration", "ag.metrics.duration.incremental"),
    moves("ag.metrics.unit.errors", "ag.metrics.errors.incremental"),
    moves("ag.metrics.acc.tokens", "ag.metrics.tokens.cumulative"),
    moves("ag.metrics.acc.costs", "ag.metrics.costs.cumulative"),
    moves("ag.metrics.acc.duration", "ag.metrics.duration.cumulative"),
    moves("ag.metrics.acc.errors", "ag.metrics.errors.cumulative"),
    parses("ag.data.parameters", "ag.data.parameters"),
    parses("ag.data.inputs", "ag.data.inputs"),
    parses("ag.data.internals", "ag.data.internals"),
];
