use super::rule::{Rule, inputs, kinds, messages, moves, parses};
use crate::span::SpanType;

const OPERATIONS: &[(&str, SpanType)] = &[
    ("chat", SpanType::Chat),
    ("generate_content", SpanType::Chat),
    ("text_completion", SpanType::Completion),
    ("embeddings", SpanType::Embedding),
    ("retrieval", SpanType::Query),
    ("execute_tool", SpanType::Tool),
    ("create_agent", SpanType::Agent),
    ("invoke_agent", SpanType::Agent),
    ("invoke_workflow", SpanType::Workflow),
];

/// OpenTelemetry's conventions for generative AI as they are now; what they share with OpenLLMetry is there.
pub(super) const RULES: &[Rule] = &[
    kinds("gen_ai.operation.name", OPERATIONS),
    moves("gen_ai.provider.name", "ag.meta.system"),
    parses("gen_ai.system_instructions", "ag.data.inputs.system_instructions"),
    messages("gen_ai.input.messages", "ag.data.inputs.prompt"),
    moves("gen_ai.output.messages", "ag.data.outputs.completion"),
    moves("gen_ai.output.type", "ag.meta.request.output_type"),
    messages("gen_ai.tool.definitions", "ag.data.inputs.tools"),
    inputs("gen_ai.tool.call.arguments", "ag.data.inputs"),
    moves("gen_ai.tool.call.result", "ag.data.outputs"),
    moves("gen_ai.tool", "ag.meta.tool"),
    moves("gen_ai.usage.input_tokens", "ag.metrics.tokens.incremental.prompt"),
    moves("gen_ai.usage.output_tokens", "ag.metrics.tokens.incremental.completion"),
    moves("gen_ai.usage.cache_read.input_tokens", "ag.metrics.tokens.incremental.cached"),
    moves("gen_ai.conversation.id", "ag.session.id"),
    moves("gen_ai.agent.id", "ag.agent.id"),
    moves("gen_ai.agent", "ag.meta.agent"),
    moves("gen_ai.data_source.id", "ag.meta.data_source.id"),
    moves("enduser.id", "ag.user.id"),
];
