//! A read's query string, body and SQL: parameters and a plan, or a refusal; tokens never lose a byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::query::plan::{names, plan};
use tidegate_model::tables;
use tidegate_server::parse_sql_parameters;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let (query, body) = match rest.iter().position(|&b| b == b'\n') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&b""[..], rest),
    };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let Ok(parameters) = parse_sql_parameters(query, first % 2 == 0, body) else { return };
    let named = names(&parameters.sql, &parameters.params);
    let Ok(planned) = plan(&parameters.sql, &parameters.params, "tidegate", &tables::all()) else { return };
    for used in &planned.tables {
        let name = used.spec.name.as_str();
        assert!(named.iter().any(|named| named.contains(name)), "the plan reads {name}, the SQL does not name it");
    }
});
