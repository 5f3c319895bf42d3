use std::collections::HashMap;

use proptest::prelude::*;
use tidegate_templates::{Aliases, Fact, Miner, Settings, TemplateId, UserMask, span_pattern};

use crate::restart::{closure, miner};

/// Lines from few words, so that they meet, with values and punctuation between.
fn line() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "ada",
        "bob",
        "eve",
        "ian",
        "joe",
        "of",
        "to",
        "was",
        "given",
        "7",
        "10.0.0.1",
        "a=b",
        "(x)",
        "is:",
        "/a/b",
        "\"q r\"",
        "k=\"v w\"",
        "...",
        "true",
        "Jul",
        "{",
        "é",
    ]);
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

/// Text from the pieces of JSON and of key-value lists, mostly broken.
fn pieces_of_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\"",
        ":",
        ",",
        "\\",
        "\\u",
        "d83d",
        "\\ud83d\\udc00",
        "é",
        "\n",
        "\u{10}",
        "msg",
        "\"msg\":\"",
        "{\"values\":[{\"key\":\"",
        "\",\"value\":{\"stringValue\":\"",
        "\"}}",
        "7",
        "order-1 ",
        "=\"",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Says whether a template's text is what a line looks like, by a plain search: `<…>` stands for any characters.
fn covers(text: &str, line: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (text, line) = (squeeze(text), squeeze(line));
    let parts: Vec<&str> = text.split("<*>").collect();
    let mut rest = line.as_str();
    for (at, part) in parts.iter().enumerate() {
        let Some(found) = (if at == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) }) else {
            return false;
        };
        rest = &rest[found + part.len()..];
    }
    parts.len() > 1 || rest.is_empty()
}

proptest! {
    #[test]
    fn any_text_has_a_template_and_the_same_one_again(body in any::<String>(), other in "\\PC{0,40}") {
        let mut miner = miner();
        let id = miner.mine(&body);
        miner.mine(&other);
        prop_assert_eq!(miner.resolve(miner.resolve(id)), miner.resolve(id));
        let again = miner.mine(&body);
        prop_assert_eq!(miner.resolve(id), again);
        prop_assert_eq!(miner.stats().lines, 3);
        prop_assert!(span_pattern(&body).len() <= 8 * body.len() + 8);
    }

    #[test]
    fn broken_json_has_a_template_with_and_without_masks(rest in pieces_of_json()) {
        let mask = UserMask { name: "ORDER".to_owned(), regex: "order-[0-9]+|\"".to_owned() };
        let settings = Settings { masks: vec![mask], ..Settings::default() };
        for mut miner in [miner(), Miner::new(settings).unwrap()] {
            for body in [format!("{{{rest}"), format!("{{\"values\":[{{\"key\":\"{rest}"), rest.clone()] {
                let id = miner.mine(&body);
                prop_assert_eq!(miner.mine(&body), id);
                let text = miner.template(id).unwrap().text;
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_as_state_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..200,
    ) {
        let mut one = miner();
        prop_assert!(one.import(&bytes).is_err());
        one.mine("mail of ada");
        let mut state = one.export();
        let at = at % state.len();
        state[at] ^= 1;
        prop_assert!(miner().import(&state).is_err());
    }

    #[test]
    fn texts_cover_the_lines_they_group(lines in prop::collection::vec(line(), 1..200)) {
        let mut miner = miner();
        let ids: Vec<TemplateId> = lines.iter().map(|line| miner.mine(line)).collect();
        for (line, id) in lines.iter().zip(ids) {
            for id in [id, miner.resolve(id)] {
                let text = miner.template(id).unwrap().text;
                prop_assert!(text.starts_with('{') || covers(&text, line), "{} <= {}", text, line);
            }
        }
    }

    #[test]
    fn a_restart_changes_no_id(lines in prop::collection::vec(line(), 1..150), middle in 0_usize..150) {
        let middle = middle.min(lines.len());
        let (mut through, mut before, mut after) = (miner(), miner(), miner());
        for line in &lines[..middle] {
            through.mine(line);
            before.mine(line);
        }
        after.import(&before.export()).unwrap();
        prop_assert_eq!(closure(&after), closure(&before));
        for line in &lines[middle..] {
            prop_assert_eq!(through.mine(line), after.mine(line));
        }
        prop_assert_eq!(closure(&through), closure(&after));
    }

    #[test]
    fn states_unite_in_any_order(
        lines in prop::collection::vec(line(), 1..200),
        node_of in prop::collection::vec(0_usize..3, 200),
    ) {
        let mut nodes: Vec<Miner> = (0..3).map(|_| miner()).collect();
        let ids: Vec<TemplateId> = lines.iter().zip(&node_of).map(|(line, at)| nodes[*at].mine(line)).collect();
        let states: Vec<Vec<u8>> = nodes.iter().map(Miner::export).collect();
        let united = |order: &[usize]| {
            let mut one = miner();
            order.iter().for_each(|at| one.import(&states[*at]).unwrap());
            ids.iter().map(|id| one.resolve(*id)).collect::<Vec<_>>()
        };
        let expected = united(&[0, 1, 2]);
        for order in [&[0, 2, 1][..], &[1, 0, 2], &[2, 1, 0], &[1, 2, 0, 0, 1]] {
            prop_assert_eq!(united(order), expected.clone());
        }
    }

    #[test]
    fn counts_reunite_from_the_facts_of_all_nodes(
        lines in prop::collection::vec(line(), 1..200),
        node_of in prop::collection::vec(0_usize..3, 200),
    ) {
        let mut nodes: Vec<Miner> = (0..3).map(|_| Miner::new(Settings::default()).unwrap()).collect();
        let ids: Vec<TemplateId> = lines.iter().zip(&node_of).map(|(line, at)| nodes[*at].mine(line)).collect();
        let (mut forward, mut backward) = (Aliases::default(), Aliases::default());
        let mut facts: Vec<Fact> = nodes.iter_mut().flat_map(Miner::take_facts).collect();
        let add = |aliases: &mut Aliases, fact: &Fact| {
            if let Fact::Merged { from, into } = fact {
                aliases.add(*from, *into);
            }
        };
        facts.iter().for_each(|fact| add(&mut forward, fact));
        facts.reverse();
        facts.iter().chain(&facts).for_each(|fact| add(&mut backward, fact));
        let resolved = forward.resolved();
        prop_assert_eq!(&resolved, &backward.resolved());
        let resolve = |id: TemplateId| resolved.get(&id).copied().unwrap_or(id);
        // One node's lines that it calls one template are one template to every reader.
        let mut counts: HashMap<TemplateId, usize> = HashMap::new();
        for (id, at) in ids.iter().zip(&node_of) {
            prop_assert_eq!(resolve(*id), resolve(nodes[*at].resolve(*id)));
            *counts.entry(resolve(*id)).or_default() += 1;
        }
        prop_assert_eq!(counts.values().sum::<usize>(), lines.len());
    }
}
