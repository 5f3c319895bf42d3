use blake2::Blake2b;
use blake2::digest::Digest as _;
use blake2::digest::consts::{U16, U32};

use crate::{Json, Object, SpanId, TraceId, Uuid};

/// Returns what spans are known by that refer to the same things: nothing, where a span refers to nothing that has an id.
///
/// The id is BLAKE2b, 16 bytes of it, of `{"<key>":{"id":…},…,"<key>":{"span_id":…,"trace_id":…},…}` with sorted names and
/// no spaces.
pub(super) fn hashes(references: &[Json], links: &[Json]) -> Vec<Json> {
    let mut named = Object::new();
    for (list, ids) in [(references, &["id"][..]), (links, &["span_id", "trace_id"][..])] {
        for (place, element) in list.iter().enumerate() {
            let own: Object =
                ids.iter().filter_map(|id| Some(((*id).to_owned(), Json::text(element.at(id)?.as_text()?)))).collect();
            if !own.is_empty() {
                named.insert(key_of(element, place), Json::Object(own));
            }
        }
    }
    if named.is_empty() {
        return Vec::new();
    }
    let digest = Blake2b::<U16>::digest(Json::Object(named).to_string());
    let id = Uuid(u128::from_be_bytes(digest.into()));
    vec![Json::object([("id", Json::text(id.to_string()))])]
}

/// Makes the ids of a trace and its span of a text that nobody else has.
#[must_use]
pub fn made_ids(of: &str) -> (TraceId, SpanId) {
    let digest: [u8; 32] = Blake2b::<U32>::digest(of).into();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte));
    let span = u64::try_from(number(&digest[16..24])).expect("eight bytes are 64 bits");
    // Ids of zeros are none.
    (TraceId(number(&digest[..16]) | 1), SpanId::doubled(span | 1))
}

/// Returns the name of a reference or a link; one without any is known by its place.
pub(crate) fn key_of(element: &Json, place: usize) -> String {
    let own = element.at("attributes.key").and_then(Json::as_text).filter(|key| !key.is_empty());
    own.map_or_else(|| place.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn check(references: &str, links: &str, wanted: Option<&str>) {
        let list = |text: &str| parse(text).expect("JSON").as_list().expect("a list").to_vec();
        let found = hashes(&list(references), &list(links));
        let ids: Vec<_> = found.iter().map(|hash| hash.at("id").and_then(Json::as_text)).collect();
        assert_eq!(ids, wanted.map(Some).into_iter().collect::<Vec<_>>(), "{references} {links}");
    }

    /// The ids are those of `hashlib.blake2b(text, digest_size=16)` of Python.
    #[test]
    fn ids_are_those_that_others_work_out() {
        let application = r#"{"id":"0199a1c0-0000-7000-8000-000000000001","slug":"app","version":"3","attributes":{"key":"application"}}"#;
        check(&format!("[{application}]"), "[]", Some("a5d36f16-1f86-92aa-05cc-bd35ff4e90a7"));
        let link = r#"{"trace_id":"31d6cfe04b9011ec800142010a8000b0","span_id":"00f067aa0ba902b7""#;
        check(
            r#"[{"attributes":{"key":"evaluator"},"id":"größe"}]"#,
            &format!(r#"[{link},"attributes":{{"key":"invocation"}}}}]"#),
            Some("46020c64-b5ef-8d1b-4693-93b258d5f749"),
        );
        check("[]", &format!("[{link}}}]"), Some("37dad865-8785-0007-a99d-f785ba87c37f"));
    }

    #[test]
    fn ids_are_made_of_a_text_and_differ() {
        let (trace, span) = made_ids("a");
        assert_eq!((made_ids("a"), trace.to_string().len(), span.to_string().len()), ((trace, span), 32, 16));
        assert_ne!(made_ids("b").0, trace);
        assert_ne!(made_ids("b").1, span);
    }

    #[test]
    fn order_and_what_is_no_id_do_not_matter() {
        let (one, two) = (r#"{"id":"1","attributes":{"key":"a"}}"#, r#"{"id":"2","attributes":{"key":"b"}}"#);
        let of = |text: String| hashes(parse(&text).expect("JSON").as_list().expect("a list"), &[]);
        assert_eq!(of(format!("[{one},{two}]")), of(format!("[{two},{one}]")));
        assert_ne!(of(format!("[{one},{two}]")), of(format!("[{one}]")));
        check("[]", "[]", None);
        check(r#"[{"slug":"only","attributes":{"key":"application"}}]"#, "[{}]", None);
    }
}
