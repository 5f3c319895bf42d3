//! Annotations and invocations of one span, without the words of spans: made, changed, told and asked for.
//!
//! Who made one, why and by which way (`origin`, `kind`, `channel`) are flags in `ag.flags`, where other programs look for
//! them too; data, tags, meta and references stand in `ag` as they do in any span.

#[cfg(test)]
mod tests;

use crate::json::put;
use crate::members::Members;
use crate::span::key_of;
use crate::vocabulary::is_referenced;
use crate::{Defaults, Filter, Invalid, Json, Object, QueryBody, Span, SpanId, TraceId};

/// What a client says of a trace of one span.
const MEMBERS: &[&str] = &["origin", "kind", "channel", "data", "tags", "meta", "references", "links"];

/// What our answers have beside that, and a client may send back.
const ANSWERED: &[&str] = &[
    "trace_id",
    "span_id",
    "created_at",
    "updated_at",
    "deleted_at",
    "created_by_id",
    "updated_by_id",
    "deleted_by_id",
];

const REFERENCE: &[&str] = &["id", "slug", "version"];

/// A word that stands as a flag in `ag.flags`; the one without a flag is meant where none is set.
struct Word {
    member: &'static str,
    /// Where nobody says it.
    default: &'static str,
    flags: &'static [(&'static str, &'static str)],
    plain: &'static str,
}

const WORDS: &[Word] = &[
    // Some clients call it feedback.
    Word {
        member: "origin",
        default: "custom",
        flags: &[("is_human", "human"), ("is_feedback", "human"), ("is_custom", "custom")],
        plain: "auto",
    },
    Word { member: "kind", default: "adhoc", flags: &[("is_evaluation", "eval"), ("is_play", "play")], plain: "adhoc" },
    Word {
        member: "channel",
        default: "api",
        flags: &[("is_sdk", "sdk"), ("is_web", "web"), ("is_otlp", "otlp")],
        plain: "api",
    },
];

/// An annotation or an invocation of one span: made, changed, told and asked for without the words of spans.
#[derive(Debug)]
pub struct Simple;

impl Simple {
    /// Reads `{"trace": {…}}` as the one span of a trace: an annotation where it has links, else an invocation.
    pub fn read(body: &Json, (trace, span): (TraceId, SpanId), defaults: &Defaults) -> Result<Span, Invalid> {
        let sent = Sent::of(body)?;
        if sent.members.get("data").is_none() {
            let help = "send what it is about, as `{\"outputs\": {…}}`";
            return Err(Invalid::at(sent.members.place_of("data"), "it is missing", help));
        }
        let mut json = Object::from([
            ("trace_id".to_owned(), Json::text(trace.to_string())),
            ("span_id".to_owned(), Json::text(span.to_string())),
        ]);
        for word in WORDS {
            let said = sent.word(word)?.unwrap_or(word.default);
            word.set(&mut json, said);
        }
        sent.apply(&mut json)?;
        let mut span = Span::read(&Json::Object(json), "trace", defaults)?;
        span.span_name = span.trace_type.unwrap_or_default().as_str().to_owned();
        Ok(span)
    }

    /// Changes what `{"trace": {…}}` names, and leaves the rest as it is.
    pub fn changed(span: &Span, body: &Json, defaults: &Defaults) -> Result<Span, Invalid> {
        let sent = Sent::of(body)?;
        let Json::Object(mut json) = span.json() else { return Ok(span.clone()) };
        for word in WORDS {
            if let Some(said) = sent.word(word)? {
                word.set(&mut json, said);
            }
        }
        sent.apply(&mut json)?;
        Span::read(&Json::Object(json), "trace", defaults)
    }

    /// Tells a span so.
    #[must_use]
    pub fn told(span: &Span) -> Json {
        let whole = span.json();
        let mut told = Object::new();
        for name in ANSWERED {
            told.extend(whole.at(name).map(|value| ((*name).to_owned(), value.clone())));
        }
        told.extend(WORDS.iter().map(|word| (word.member.to_owned(), Json::text(word.of(span)))));
        for name in ["data", "tags", "meta"] {
            told.extend(span.attribute(&format!("ag.{name}")).map(|value| (name.to_owned(), value.clone())));
        }
        for (name, list, own) in
            [("references", &span.references, REFERENCE), ("links", &span.links, &["trace_id", "span_id"][..])]
        {
            let each = list.iter().enumerate().map(|(place, element)| {
                let members = own.iter().filter_map(|member| Some((*member, element.at(member)?.clone())));
                (key_of(element, place), Json::object(members))
            });
            told.insert(name.to_owned(), Json::object(each));
        }
        Json::Object(told)
    }

    /// Reads `{"trace": {…}, "links": […], "windowing": {…}}` as a query for roots.
    pub fn query(body: &Json) -> Result<QueryBody, Invalid> {
        let members = Members::of(body, "")?;
        members.known(&["trace", "links", "windowing"])?;
        let mut all = vec![condition("parent_id", "not_exists", Json::Null)];
        if let Some(trace) = members.get("trace") {
            let sent = Sent::within(trace)?;
            for word in WORDS {
                if let Some(said) = sent.word(word)? {
                    all.extend(word.conditions(said));
                }
            }
            sent.conditions(&mut all)?;
        }
        let own = members.list("links")?;
        if !own.is_empty() {
            let each = own.iter().enumerate().map(|(index, link)| is_own(link, &format!("links[{index}]")));
            all.push(group("or", each.collect::<Result<_, _>>()?));
        }
        let windowing = members.get("windowing").map(|windowing| ("windowing", windowing.clone()));
        let mut query = QueryBody::read(&Json::object(windowing), &[])?;
        query.filter = Some(Filter::read(&group("and", all), "trace")?);
        Ok(query)
    }
}

impl Word {
    /// Sets the flag of a word, and takes those of the others off.
    fn set(&self, span: &mut Object, said: &str) {
        for (flag, _) in self.flags {
            crate::json::take(span, &format!("attributes.ag.flags.{flag}"));
        }
        if let Some((flag, _)) = self.flags.iter().find(|(_, word)| *word == said) {
            // The place is free, or holds objects only.
            let _ = put(span, &["attributes", "ag", "flags", flag], Json::Bool(true));
        }
    }

    fn of(&self, span: &Span) -> &'static str {
        let is_set = |flag: &str| span.attribute(&format!("ag.flags.{flag}")) == Some(&Json::Bool(true));
        self.flags.iter().find(|(flag, _)| is_set(flag)).map_or(self.plain, |(_, word)| *word)
    }

    /// The first flag that is set counts: those before it are not.
    fn conditions(&self, said: &str) -> Vec<Json> {
        let is_set = |flag: &str| attribute(&["ag", "flags", flag], "is", Json::Bool(true));
        let meant: Vec<Json> =
            self.flags.iter().filter(|(_, word)| *word == said).map(|(flag, _)| is_set(flag)).collect();
        let others = self.flags.iter().take_while(|(_, word)| *word != said);
        let mut all: Vec<Json> = others.map(|(flag, _)| group("nand", vec![is_set(flag)])).collect();
        if !meant.is_empty() {
            all.push(group("or", meant));
        }
        all
    }
}

/// The members of a trace of one span in a request.
struct Sent<'j> {
    members: Members<'j>,
}

impl<'j> Sent<'j> {
    fn of(body: &'j Json) -> Result<Self, Invalid> {
        let members = Members::of(body, "")?;
        members.known(&["trace"])?;
        let help = "send `{\"trace\": {\"data\": {…}}}`";
        Self::within(members.get("trace").ok_or_else(|| Invalid::at("trace", "it is missing", help))?)
    }

    fn within(trace: &'j Json) -> Result<Self, Invalid> {
        let members = Members::of(trace, "trace")?;
        members.known(&[MEMBERS, ANSWERED].concat())?;
        Ok(Self { members })
    }

    fn word(&self, word: &Word) -> Result<Option<&'static str>, Invalid> {
        let Some(said) = self.members.text(word.member)? else { return Ok(None) };
        let mut known: Vec<&str> = word.flags.iter().map(|(_, word)| *word).chain([word.plain]).collect();
        known.dedup();
        let found = known.iter().find(|known| **known == said).copied();
        let place = self.members.place_of(word.member);
        let wrong = || {
            Invalid::at(
                place,
                format!("`{}` is none", crate::error::shown(said)),
                format!("there are {}", known.join(", ")),
            )
        };
        found.map(Some).ok_or_else(wrong)
    }

    /// Puts what is said into a span's JSON.
    fn apply(&self, span: &mut Object) -> Result<(), Invalid> {
        for name in ["data", "tags", "meta"] {
            let Some(value) = self.members.get(name) else { continue };
            if value.as_object().is_none() && (name != "tags" || value.as_list().is_none()) {
                let problem = format!("{} stands where an object is expected", value.kind());
                return Err(Invalid::at(self.members.place_of(name), problem, "send an object"));
            }
            crate::json::take(span, &format!("attributes.ag.{name}"));
            let _ = put(span, &["attributes", "ag", name], value.clone());
        }
        if let Some(references) = self.references()? {
            crate::json::take(span, "attributes.ag.references");
            let named = references.into_iter().map(|(key, members)| (key, Json::Object(members)));
            let _ = put(span, &["attributes", "ag", "references"], Json::object(named));
            span.remove("references");
            span.remove("hashes");
        }
        if let Some(links) = self.links()? {
            span.insert("links".to_owned(), Json::List(links));
            span.remove("hashes");
            // Links make an annotation of it.
            span.remove("trace_type");
            crate::json::take(span, "attributes.ag.type.trace");
        }
        Ok(())
    }

    /// Reads what is referred to, by its name.
    fn references(&self) -> Result<Option<Vec<(String, Object)>>, Invalid> {
        let Some(value) = self.members.get("references") else { return Ok(None) };
        let place = self.members.place_of("references");
        Members::of(value, &place)?;
        let mut all = Vec::new();
        for (key, reference) in value.as_object().into_iter().flatten().filter(|(_, value)| **value != Json::Null) {
            let place = format!("{place}.{key}");
            if !is_referenced(key) {
                let help = "there are application, evaluator, workflow, testset, testcase, query, environment, snippet, \
                            each also with `_variant` or `_revision` behind it";
                return Err(Invalid::at(place, "nothing is referred to so", help));
            }
            let members = Members::of(reference, &place)?;
            members.known(REFERENCE)?;
            let own = REFERENCE.iter().filter_map(|name| Some(((*name).to_owned(), members.get(name)?.clone())));
            all.push((key.clone(), own.collect()));
        }
        Ok(Some(all))
    }

    /// Reads links: by their names, or as a list.
    fn links(&self) -> Result<Option<Vec<Json>>, Invalid> {
        let Some(value) = self.members.get("links") else { return Ok(None) };
        let place = self.members.place_of("links");
        if let Some(list) = value.as_list() {
            let each = list.iter().enumerate();
            let checked = each.map(|(index, link)| ids_of(link, &format!("{place}[{index}]")).map(|_| link.clone()));
            return checked.collect::<Result<_, _>>().map(Some);
        }
        Members::of(value, &place)?;
        let named = value.as_object().into_iter().flatten().map(|(key, link)| {
            let (trace, span) = ids_of(link, &format!("{place}.{key}"))?;
            let attributes = Json::object([("key", Json::text(key.as_str()))]);
            let ids = [("trace_id", Json::text(trace.to_string())), ("span_id", Json::text(span.to_string()))];
            Ok(Json::object(ids.into_iter().chain([("attributes", attributes)])))
        });
        named.collect::<Result<_, _>>().map(Some)
    }

    /// The conditions that these members are when somebody looks for them.
    fn conditions(&self, all: &mut Vec<Json>) -> Result<(), Invalid> {
        for name in ["data", "tags", "meta"] {
            match self.members.get(name) {
                Some(list @ Json::List(_)) if name == "tags" => {
                    all.push(attribute(&["ag", "tags"], "in", list.clone()))
                }
                Some(value) => leaves(value, &mut vec!["ag", name], all),
                None => {}
            }
        }
        for (key, mut members) in self.references()?.unwrap_or_default() {
            members.insert("attributes".to_owned(), Json::object([("key", Json::Text(key))]));
            all.push(condition("references", "in", Json::List(vec![Json::Object(members)])));
        }
        if let Some(links) = self.links()?.filter(|links| !links.is_empty()) {
            all.push(condition("links", "in", Json::List(links)));
        }
        Ok(())
    }
}

/// Asks for each value within an object.
fn leaves<'j>(value: &'j Json, path: &mut Vec<&'j str>, all: &mut Vec<Json>) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                path.push(name);
                leaves(member, path, all);
                path.pop();
            }
        }
        Json::List(elements) => {
            all.extend(elements.iter().map(|element| attribute(path, "in", Json::List(vec![element.clone()]))))
        }
        leaf => all.push(attribute(path, "is", leaf.clone())),
    }
}

fn ids_of(link: &Json, place: &str) -> Result<(TraceId, SpanId), Invalid> {
    let members = Members::of(link, place)?;
    let lacks = |name: &str| Invalid::at(members.place_of(name), "it is missing", "a link has both ids");
    let trace = members.parsed("trace_id", TraceId::read)?.ok_or_else(|| lacks("trace_id"))?;
    Ok((trace, members.parsed("span_id", SpanId::read)?.ok_or_else(|| lacks("span_id"))?))
}

/// The condition that a trace is this one itself.
fn is_own(link: &Json, place: &str) -> Result<Json, Invalid> {
    let members = Members::of(link, place)?;
    let trace = members.parsed("trace_id", TraceId::read)?;
    let span = members.parsed("span_id", SpanId::read)?;
    let lacks = || Invalid::at(members.place_of("trace_id"), "it is missing", "name the trace");
    let mut all = vec![condition("trace_id", "is", Json::text(trace.ok_or_else(lacks)?.to_string()))];
    all.extend(span.map(|span| condition("span_id", "is", Json::text(span.to_string()))));
    Ok(group("and", all))
}

fn condition(field: &str, operator: &str, value: Json) -> Json {
    Json::object([("field", Json::text(field)), ("operator", Json::text(operator)), ("value", value)])
}

fn attribute(path: &[&str], operator: &str, value: Json) -> Json {
    let path = Json::List(path.iter().map(|step| Json::text(*step)).collect());
    Json::object([
        ("field", Json::text("attributes")),
        ("key", path),
        ("operator", Json::text(operator)),
        ("value", value),
    ])
}

fn group(operator: &str, all: Vec<Json>) -> Json {
    Json::object([("operator", Json::text(operator)), ("conditions", Json::List(all))])
}
