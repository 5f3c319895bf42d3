use tidegate_templates::{Aliases, Fact, Miner, Settings, StateError, TemplateId};

pub(crate) fn miner() -> Miner {
    Miner::new(Settings::default()).unwrap()
}

/// What every template resolves to, in the order of ids.
pub(crate) fn closure(miner: &Miner) -> Vec<(TemplateId, TemplateId)> {
    let mut all: Vec<_> = miner.templates().map(|t| (t.id, t.merged_into.unwrap_or(t.id))).collect();
    all.sort();
    all
}

pub(crate) fn lines(count: usize) -> Vec<String> {
    let users = ["ada", "bob", "eve", "ian", "joe", "u1"];
    let verbs = ["read", "write", "drop"];
    (0..count)
        .map(|at| {
            let (user, other, verb) = (users[at / 3 % 6], users[at / 18 % 6], verbs[at / 7 % 3]);
            match at % 3 {
                0 => format!("user {user} may not {verb} table t{at}"),
                1 => format!("mail of {user} was given to {other}"),
                _ => format!("{verb} took {at} ms"),
            }
        })
        .collect()
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let lines = lines(200);
    for middle in [0, 1, 3, 17, 60, 200] {
        let (mut through, mut before) = (miner(), miner());
        lines[..middle].iter().for_each(|line| assert_eq!(through.mine(line), before.mine(line)));
        let mut after = miner();
        after.import(&before.export()).unwrap();
        assert_eq!(closure(&after), closure(&before));
        lines[middle..].iter().for_each(|line| assert_eq!(through.mine(line), after.mine(line)));
        assert_eq!(closure(&through), closure(&after), "restart at {middle}");
    }
}

#[test]
fn an_import_is_no_news() {
    let mut before = miner();
    lines(200).iter().for_each(|line| _ = before.mine(line));
    let mut after = miner();
    after.import(&before.export()).unwrap();
    assert_eq!(after.take_facts(), vec![]);
    let facts: Vec<Fact> = lines(200).iter().flat_map(|line| (after.mine(line), after.take_facts()).1).collect();
    assert_eq!(facts, vec![]);
}

#[test]
fn states_unite_in_any_order() {
    let all = lines(360);
    let states: Vec<Vec<u8>> = all
        .chunks(120)
        .map(|part| {
            let mut one = miner();
            part.iter().for_each(|line| _ = one.mine(line));
            one.export()
        })
        .collect();
    let united = |order: &[usize]| {
        let mut one = miner();
        order.iter().for_each(|at| one.import(&states[*at]).unwrap());
        closure(&one)
    };
    let expected = united(&[0, 1, 2]);
    for order in [&[0, 2, 1], &[1, 0, 2], &[2, 1, 0]] {
        assert_eq!(united(order), expected);
    }
    assert_eq!(united(&[2, 0, 1, 0, 2, 1, 1]), expected);
}

#[test]
fn stored_facts_resolve_what_the_miner_resolves() {
    let mut one = miner();
    let ids: Vec<TemplateId> = lines(200).iter().map(|line| one.mine(line)).collect();
    let mut aliases = Aliases::default();
    for fact in one.take_facts().into_iter().rev() {
        if let Fact::Merged { from, into } = fact {
            aliases.add(from, into);
            aliases.add(from, into);
        }
    }
    let resolved = aliases.resolved();
    for id in ids {
        assert_eq!(resolved.get(&id).copied().unwrap_or(id), one.resolve(id));
    }
}

#[test]
fn two_nodes_that_never_met_resolve_alike() {
    let (a, b, c, d) = (TemplateId(10), TemplateId(20), TemplateId(30), TemplateId(40));
    let mut aliases = Aliases::default();
    [(a, c), (a, d), (b, d)].into_iter().for_each(|(from, into)| aliases.add(from, into));
    let resolved = aliases.resolved();
    assert!([a, b, c, d].iter().all(|id| resolved[id] == c));
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let mut one = miner();
    lines(30).iter().for_each(|line| _ = one.mine(line));
    let state = one.export();
    let refused = |bytes: &[u8]| miner().import(bytes).unwrap_err();
    assert_eq!(refused(b""), StateError::Magic);
    assert_eq!(refused(b"something else"), StateError::Magic);
    assert_eq!(refused(&state[..state.len() - 1]), StateError::Checksum);
    let mut later = state.clone();
    later[4] = 9;
    assert_eq!(refused(&later), StateError::Version { found: 9 });
}

#[test]
fn words_that_vary_together_are_found_in_any_order_and_over_a_restart() {
    let names = ["ada", "bob", "eve", "ian", "joe", "kim", "max", "pia", "sue", "tom"];
    let line =
        |at: usize| format!("mail of {} to {} was lost by {}", names[at], names[(at + 3) % 10], names[(at + 5) % 10]);
    for order in [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 9, 1, 7, 8, 2, 5, 4]] {
        let mut before = miner();
        let ids: Vec<TemplateId> = order[..7].iter().map(|at| before.mine(&line(*at))).collect();
        assert_ne!(before.resolve(ids[0]), before.resolve(ids[1]), "seven are too few");
        let mut after = miner();
        after.import(&before.export()).unwrap();
        for one in [&mut before, &mut after] {
            order[7..].iter().for_each(|at| _ = one.mine(&line(*at)));
            let roots: Vec<TemplateId> = ids.iter().map(|id| one.resolve(*id)).collect();
            assert!(roots.iter().all(|root| *root == roots[0]), "{order:?}");
            assert_eq!(one.template(roots[0]).unwrap().text, "mail of <*> to <*> was lost by <*>");
            assert_eq!(one.mine("mail of zoe to lea was lost by roy"), roots[0]);
        }
        assert_eq!(closure(&before), closure(&after));
    }
}
