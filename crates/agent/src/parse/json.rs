use serde_json::Value as Json;

use super::{Context, LEVEL_KEYS, TIME_KEYS, put_text, time};
use crate::rows::{LogRow, Value};

/// Objects within objects that become names with dots; what is deeper stays JSON text.
const DEPTH_MAX: usize = 8;

pub(super) fn read(text: &str, row: &mut LogRow, context: Context) -> Result<(), &'static str> {
    let Ok(Json::Object(fields)) = serde_json::from_str::<Json>(text) else { return Err("not a JSON object") };
    for (name, value) in fields {
        put(row, name, value, context, 0);
    }
    Ok(())
}

fn put(row: &mut LogRow, name: String, value: Json, context: Context, depth: usize) {
    let value = match value {
        Json::Null => return,
        Json::String(text) => return put_text(row, &name, &text, context),
        Json::Object(fields) if depth < DEPTH_MAX => {
            for (inner, value) in fields {
                put(row, format!("{name}.{inner}"), value, context, depth + 1);
            }
            return;
        }
        Json::Number(number) => {
            let text = number.to_string();
            if row.time.is_none() && TIME_KEYS.contains(&name.as_str()) {
                row.time = time::epoch(&text);
                if row.time.is_some() {
                    return;
                }
            }
            if LEVEL_KEYS.contains(&name.as_str()) {
                return put_text(row, &name, &text, context);
            }
            number.as_i64().map(Value::Int).or(number.as_f64().map(Value::Double)).unwrap_or(Value::Text(text))
        }
        Json::Bool(is) => Value::Bool(is),
        other => Value::Text(other.to_string()),
    };
    row.attributes.push((name, value));
}
