use super::rule::{Rule, inputs, kinds, messages, moves};
use crate::span::SpanType;

/// OpenLLMetry, and `gen_ai.*` as it was before OpenTelemetry settled it.
pub(super) const RULES: &[Rule] = &[
    kinds("traceloop.span.kind", &[]),
    kinds("llm.request.type", &[("unknown", SpanType::Unknown), ("function", SpanType::Tool)]),
    moves("gen_ai.system", "ag.meta.system"),
    moves("gen_ai.request", "ag.meta.request"),
    moves("gen_ai.response", "ag.meta.response"),
    moves("llm.headers", "ag.meta.request.headers"),
    moves("llm.is_streaming", "ag.meta.request.streaming"),
    moves("llm.top_k", "ag.meta.request.top_k"),
    moves("llm.frequency_penalty", "ag.meta.request.frequency_penalty"),
    moves("llm.presence_penalty", "ag.meta.request.presence_penalty"),
    moves("llm.chat.stop_sequences", "ag.meta.request.stop_sequences"),
    moves("llm.response.finish_reason", "ag.meta.response.finish_reason"),
    moves("llm.response.stop_reason", "ag.meta.response.stop_reason"),
    messages("llm.request.functions", "ag.data.inputs.functions"),
    messages("gen_ai.prompt", "ag.data.inputs.prompt"),
    messages("gen_ai.completion", "ag.data.outputs.completion"),
    moves("gen_ai.usage.prompt_tokens", "ag.metrics.tokens.incremental.prompt"),
    moves("gen_ai.usage.completion_tokens", "ag.metrics.tokens.incremental.completion"),
    moves("llm.usage.total_tokens", "ag.metrics.tokens.incremental.total"),
    moves("gen_ai.usage.cache_read_input_tokens", "ag.metrics.tokens.incremental.cached"),
    inputs("traceloop.entity.input", "ag.data.inputs"),
    moves("traceloop.entity.output", "ag.data.outputs"),
    moves("traceloop.association.properties.session_id", "ag.session.id"),
    moves("traceloop.association.properties.user_id", "ag.user.id"),
    moves("traceloop.association.properties", "ag.meta.association"),
    moves("traceloop.entity", "ag.meta.entity"),
    moves("traceloop.workflow", "ag.meta.workflow"),
];
