//! The JSON schemas of these answers.

use serde_json::{Value, json};

use crate::routes::{Shapes, anything, list_of, map_of, object, one_of_words, text, texts};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let answer = object(&[
        ("resultType", one_of_words(&["matrix", "vector", "scalar", "string"])),
        // Series with `value` or `values`, or one `[time, "value"]`.
        ("result", list_of(anything())),
    ]);
    let metric = object(&[("type", text()), ("help", text()), ("unit", text())]);
    let build = ["version", "revision", "branch", "buildUser", "buildDate", "goVersion"].map(|name| (name, text()));
    Shapes::from([
        ("PromqlAnswer", success(answer)),
        ("PromqlTexts", success(texts())),
        ("PromqlText", success(text())),
        ("PromqlSeries", success(list_of(map_of(text())))),
        ("PromqlMetadata", success(map_of(list_of(metric)))),
        ("PromqlBuild", success(object(&build))),
        ("PromqlError", object(&[("status", word("error")), ("errorType", text()), ("error", text())])),
    ])
}

fn success(data: Value) -> Value {
    object(&[("status", word("success")), ("data", data)])
}

fn word(word: &str) -> Value {
    json!({ "type": "string", "const": word })
}
