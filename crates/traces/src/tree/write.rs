use std::collections::BTreeMap;

use super::Tree;
use crate::json::write_text;

/// What is written next.
enum Step<'s> {
    Open(usize),
    Text(&'static str),
    Name(&'s str),
}

impl Tree {
    /// Writes `{"name": node, "other": [node, node]}` behind what is there: the spans below each other by their names, each
    /// as `head` writes it, an object whose last brace is left open, and those below it in its `spans`.
    pub fn write<'s>(&self, out: &mut String, name: impl Fn(usize) -> &'s str, head: impl Fn(usize, &mut String)) {
        let mut steps = Vec::new();
        push(&mut steps, &self.roots, &name);
        while let Some(step) = steps.pop() {
            match step {
                Step::Text(text) => out.push_str(text),
                Step::Name(name) => {
                    write_text(out, name);
                    out.push(':');
                }
                Step::Open(at) => {
                    head(at, out);
                    steps.push(Step::Text("}"));
                    if !self.children[at].is_empty() {
                        out.push_str(",\"spans\":");
                        push(&mut steps, &self.children[at], &name);
                    }
                }
            }
        }
    }
}

/// Lays down the steps of a group of spans, the last first.
fn push<'s>(steps: &mut Vec<Step<'s>>, spans: &[usize], name: &impl Fn(usize) -> &'s str) {
    let mut by_name: BTreeMap<&'s str, Vec<usize>> = BTreeMap::new();
    for at in spans {
        by_name.entry(name(*at)).or_default().push(*at);
    }
    let mut own = vec![Step::Text("{")];
    for (group, (name, spans)) in by_name.into_iter().enumerate() {
        if group > 0 {
            own.push(Step::Text(","));
        }
        own.push(Step::Name(name));
        let is_list = spans.len() > 1;
        if is_list {
            own.push(Step::Text("["));
        }
        for (index, at) in spans.into_iter().enumerate() {
            if index > 0 {
                own.push(Step::Text(","));
            }
            own.push(Step::Open(at));
        }
        if is_list {
            own.push(Step::Text("]"));
        }
    }
    own.push(Step::Text("}"));
    steps.extend(own.into_iter().rev());
}
