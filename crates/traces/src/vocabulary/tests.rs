use expect_test::{Expect, expect};
use tidegate_model::UnixNanos;

use super::*;
use crate::json::parse;
use crate::{Defaults, Prices, derive};

fn span(attributes: &str) -> Span {
    let text = format!(
        r#"{{"trace_id":"31d6cfe04b9011ec800142010a8000b0","span_id":"00f067aa0ba902b7","span_name":"n","attributes":{attributes}}}"#
    );
    let defaults = Defaults { now: UnixNanos(0), actor: None, name: String::new() };
    Span::read(&parse(&text).expect("JSON"), "span", &defaults).expect("a span")
}

fn check(attributes: &str, wanted: Expect) {
    wanted.assert_eq(&Json::Object(span(attributes).attributes).to_string());
}

#[test]
fn openllmetry_is_mapped() {
    check(
        r#"{"gen_ai.system":"openai","gen_ai.request.model":"gpt-4o","gen_ai.prompt.0.role":"user","gen_ai.prompt.0.content":"hi",
        "gen_ai.prompt.1.content":"ho","gen_ai.completion.0.content":"hello","gen_ai.usage.prompt_tokens":10,
        "gen_ai.usage.completion_tokens":5,"llm.usage.total_tokens":15,"llm.request.type":"chat","traceloop.entity.name":"e",
        "traceloop.association.properties.session_id":"s1","other.thing":1}"#,
        expect![[
            r#"{"ag":{"data":{"inputs":{"prompt":[{"content":"hi","role":"user"},{"content":"ho"}]},"outputs":{"completion":[{"content":"hello"}]}},"meta":{"entity":{"name":"e"},"request":{"model":"gpt-4o"},"system":"openai"},"metrics":{"tokens":{"incremental":{"completion":5,"prompt":10,"total":15}}},"session":{"id":"s1"},"type":{"span":"chat","trace":"invocation"}},"other":{"thing":1}}"#
        ]],
    );
}

#[test]
fn openinference_is_mapped() {
    check(
        r#"{"openinference.span.kind":"RETRIEVER","input.value":"what","input.mime_type":"text/plain","output.value":"{\"a\":1}",
        "llm.model_name":"gpt-4o","llm.invocation_parameters":"{\"temperature\":0.5}","llm.token_count.prompt":3,
        "llm.token_count.prompt_details.cache_read":2,"session.id":"s","user.id":"u",
        "llm.input_messages.0.message.role":"user","metadata":"{\"k\":\"v\"}"}"#,
        expect![[
            r#"{"ag":{"data":{"inputs":{"prompt":[{"role":"user"}],"value":"what"},"outputs":"{\"a\":1}","parameters":{"temperature":0.5}},"meta":{"input":{"mime_type":"text/plain"},"metadata":{"k":"v"},"request":{"model":"gpt-4o"}},"metrics":{"tokens":{"incremental":{"cached":2,"prompt":3}}},"session":{"id":"s"},"type":{"span":"query","trace":"invocation"},"user":{"id":"u"}}}"#
        ]],
    );
    let kind = |word: &str| span(&format!(r#"{{"openinference.span.kind":"{word}"}}"#)).span_type;
    let words = ["CHAIN", "RERANKER", "LLM", "EMBEDDING", "AGENT", "TOOL", "GUARDRAIL", "EVALUATOR"];
    expect![
        "[Some(Chain), Some(Rerank), Some(Chat), Some(Embedding), Some(Agent), Some(Tool), Some(Task), Some(Task)]"
    ]
    .assert_eq(&format!("{:?}", words.map(kind)));
}

#[test]
fn logfire_is_mapped() {
    check(
        r#"{"logfire.msg":"running","request_data":"{\"q\":1}","response_data":{"a":2},"agent_name":"helper"}"#,
        expect![[
            r#"{"ag":{"data":{"inputs":{"q":1},"outputs":{"a":2}},"meta":{"agent":{"name":"helper"},"logfire":{"msg":"running"}},"type":{"span":"task","trace":"invocation"}}}"#
        ]],
    );
}

#[test]
fn vercel_is_mapped() {
    check(
        r#"{"ai.operationId":"ai.streamText.doStream","ai.model.id":"gpt-4o","ai.model.provider":"openai.chat",
        "ai.prompt":"{\"system\":\"s\"}","ai.prompt.messages":"[{\"role\":\"user\"}]","ai.response.text":"yes",
        "ai.response.toolCalls":"[1]","ai.usage.promptTokens":7,"ai.usage.completionTokens":2,"ai.settings.maxRetries":2,
        "ai.telemetry.metadata.userId":"u9","ai.telemetry.metadata.tier":"pro"}"#,
        expect![[
            r#"{"ag":{"data":{"inputs":{"prompt":[{"role":"user"}]},"outputs":{"text":"yes","tool_calls":"[1]"},"parameters":{"maxRetries":2}},"meta":{"metadata":{"tier":"pro"},"request":{"model":"gpt-4o"},"system":"openai.chat"},"metrics":{"tokens":{"incremental":{"completion":2,"prompt":7}}},"type":{"span":"chat","trace":"invocation"},"user":{"id":"u9"}},"ai":{"prompt":"{\"system\":\"s\"}"}}"#
        ]],
    );
}

#[test]
fn opentelemetry_is_mapped() {
    check(
        r#"{"gen_ai.operation.name":"invoke_agent","gen_ai.provider.name":"anthropic","gen_ai.request.model":"claude-sonnet-4",
        "gen_ai.input.messages":"[{\"role\":\"user\"}]","gen_ai.output.messages":"[{\"role\":\"assistant\"}]",
        "gen_ai.usage.input_tokens":100,"gen_ai.usage.output_tokens":20,"gen_ai.conversation.id":"c1","gen_ai.agent.id":"a1",
        "gen_ai.agent.name":"helper"}"#,
        expect![[
            r#"{"ag":{"agent":{"id":"a1"},"data":{"inputs":{"prompt":[{"role":"user"}]},"outputs":{"completion":"[{\"role\":\"assistant\"}]"}},"meta":{"agent":{"name":"helper"},"request":{"model":"claude-sonnet-4"},"system":"anthropic"},"metrics":{"tokens":{"incremental":{"completion":20,"prompt":100}}},"session":{"id":"c1"},"type":{"span":"agent","trace":"invocation"}}}"#
        ]],
    );
    let told = span(r#"{"gen_ai.conversation.id":"c1","gen_ai.agent.id":"a1"}"#);
    assert_eq!((told.session_id.as_deref(), told.agent_id.as_deref()), (Some("c1"), Some("a1")));
}

#[test]
fn what_ag_cannot_hold_is_moved_and_not_dropped() {
    check(
        r#"{"ag":{"type":{"span":"robot","node":"tool"},"data":{"inputs":"{\"q\":1}","parameters":"no json","more":1,"outputs":"{\"x\":2}"},
        "metrics":{"tokens":{"incremental":{"prompt":"many"}},"errors":{"cumulative":1}},"references":{"application":{"id":"a"},"cat":{"id":"b"}},
        "colour":"red","meta":{"configuration":"{\"t\":0}"},"tags":["a"]}}"#,
        expect![[
            r#"{"ag":{"data":{"inputs":{"q":1},"outputs":"{\"x\":2}"},"meta":{"configuration":"{\"t\":0}"},"metrics":{"errors":{"cumulative":1}},"references":{"application":{"id":"a"}},"tags":["a"],"type":{"span":"task","trace":"invocation"},"unsupported":{"colour":"red","data":{"more":1,"parameters":"no json"},"metrics":{"tokens":{"incremental":{"prompt":"many"}}},"references":{"cat":{"id":"b"}},"type":{"node":"tool","span":"robot"}}}}"#
        ]],
    );
}

#[test]
fn names_with_dots_are_nested_and_what_is_in_the_way_stays() {
    check(
        r#"{"a":1,"a.b":2,"a.b.c":3,"x.y":{"z":1},"x":{"y":{"w":2}},"..":4}"#,
        expect![[
            r#"{"..":4,"a":1,"a.b":2,"a.b.c":3,"ag":{"type":{"span":"task","trace":"invocation"}},"x":{"y":{"w":2,"z":1}}}"#
        ]],
    );
    let deep = vec!["a"; 200].join(".");
    assert_eq!(span(&format!("{{\"{deep}\":1}}")).attributes.get(&deep), Some(&Json::from(1_i64)));
}

#[test]
fn references_are_listed_with_their_names() {
    let span = span(r#"{"ag.references.application.id":"a","ag.references.testset_revision.version":"3"}"#);
    expect![[
        r#"[{"attributes":{"key":"application"},"id":"a"},{"attributes":{"key":"testset_revision"},"version":"3"}]"#
    ]]
    .assert_eq(&Json::List(span.references).to_string());
}

#[test]
fn costs_come_of_tokens_and_prices_and_are_not_made_up() {
    let prices = Prices::known().expect("prices");
    let costs = |attributes: &str| derive(&span(attributes), &prices).costs;
    let asked = |kind: &str, model: &str| {
        format!(
            r#"{{"ag":{{"type":{{"span":"{kind}"}},"meta":{{"request":{{"model":"{model}"}}}},"metrics":{{"tokens":{{"incremental":
        {{"prompt":1000000,"completion":1000000,"cached":400000}}}}}}}}}}"#
        )
    };
    let told = costs(&asked("chat", "gpt-4o"));
    assert_eq!((told.prompt, told.completion, told.total), (Some(2.0), Some(10.0), Some(12.0)));
    assert_eq!(
        costs(&asked("agent", "gpt-4o")),
        crate::Amounts::default(),
        "an agent's tokens are those of its models"
    );
    assert_eq!(costs(&asked("chat", "nobody-knows")), crate::Amounts::default());
    let own = costs(r#"{"ag":{"metrics":{"costs":{"incremental":{"total":0.5}}}}}"#);
    assert_eq!((own.prompt, own.total), (None, Some(0.5)));
}

#[test]
fn items_are_the_scalars_of_all_attributes_whose_names_are_plain() {
    let long = "x".repeat(300);
    let span = span(&format!(
        r#"{{"a.b":"c","n":1.0,"big":12345678901234567,"f":0.5,"t":true,"l":[1,{{"m":"ü"}}],"long":"{long}","none":null}}"#
    ));
    let items = derive(&span, &Prices::default()).attribute_items;
    assert_eq!(
        items,
        [
            "a.b=\"c\"",
            "ag.type.span=\"task\"",
            "ag.type.trace=\"invocation\"",
            "f=0.5",
            "l[0]=1",
            "l[1].m=\"ü\"",
            "n=1",
            "t=true"
        ]
    );
}
