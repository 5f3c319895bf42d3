use super::rule::{Rule, inputs, messages, moves};

/// Logfire, and Pydantic AI as it tells Logfire.
pub(super) const RULES: &[Rule] = &[
    moves("logfire", "ag.meta.logfire"),
    inputs("request_data", "ag.data.inputs"),
    moves("response_data", "ag.data.outputs"),
    messages("all_messages_events", "ag.data.inputs.prompt"),
    messages("pydantic_ai.all_messages", "ag.data.inputs.prompt"),
    moves("final_result", "ag.data.outputs"),
    moves("agent_name", "ag.meta.agent.name"),
    moves("model_name", "ag.meta.request.model"),
    inputs("tool_arguments", "ag.data.inputs"),
    moves("tool_response", "ag.data.outputs"),
];
