use proptest::prelude::*;

use super::*;

fn span(id: &str, parent: &str, (start, end): (i64, i64)) -> TraceSpan {
    TraceSpan {
        span_id: id.to_owned(),
        parent_id: parent.to_owned(),
        start,
        duration: end - start,
        service: "shop".to_owned(),
        name: format!("op {id}"),
        ..TraceSpan::default()
    }
}

/// Lists ids with depth, place and self time.
fn told(tree: &Tree) -> Vec<(String, u64, Place, i64)> {
    let one = |placed: &Placed| (placed.span.span_id.clone(), placed.depth, placed.place, placed.self_time);
    tree.spans.iter().map(one).collect()
}

/// Lists the path's ids with begin and end.
fn path(tree: &Tree) -> Vec<(String, i64, i64)> {
    let root = tree.main_root().expect("a root");
    let id = |at: usize| tree.spans[at].span.span_id.clone();
    critical_path(tree, root).into_iter().map(|segment| (id(segment.span), segment.start, segment.end)).collect()
}

fn line(id: &str, depth: u64, place: Place, own: i64) -> (String, u64, Place, i64) {
    (id.to_owned(), depth, place, own)
}

#[test]
fn spans_stand_below_their_parents_in_the_order_in_which_they_began() {
    let tree = Tree::of(vec![
        span("c", "a", (60, 90)),
        span("d", "b", (20, 30)),
        span("a", "", (0, 100)),
        span("b", "a", (10, 50)),
    ]);
    let expected = [
        line("a", 0, Place::Root, 30),
        line("b", 1, Place::Child, 30),
        line("d", 2, Place::Child, 10),
        line("c", 1, Place::Child, 30),
    ];
    assert_eq!(told(&tree), expected);
    let stretches =
        [("a", 0, 10), ("b", 10, 20), ("d", 20, 30), ("b", 30, 50), ("a", 50, 60), ("c", 60, 90), ("a", 90, 100)];
    assert_eq!(path(&tree), stretches.map(|(id, from, to)| (id.to_owned(), from, to)));
}

#[test]
fn of_children_at_the_same_time_the_one_that_ends_last_is_waited_for() {
    let spans = vec![
        span("a", "", (0, 12)),
        span("b", "a", (0, 10)),
        span("c", "a", (5, 12)),
        span("d", "a", (1, 4)),
        span("e", "a", (11, 30)),
    ];
    let tree = Tree::of(spans);
    // `e` goes on after its parent and counts as far as 12, as `c` does, which began before it; `b` runs beside `c`.
    let stretches = [("a", 0, 1), ("d", 1, 4), ("a", 4, 5), ("c", 5, 12)];
    assert_eq!(path(&tree), stretches.map(|(id, from, to)| (id.to_owned(), from, to)));
    assert_eq!(told(&tree)[0].3, 0, "a span whose children cover it did nothing itself");
}

#[test]
fn orphans_circles_and_doubled_ids_are_all_shown_and_told() {
    let spans = vec![
        span("a", "", (0, 10)),
        span("b", "gone", (1, 5)),
        span("x", "y", (2, 3)),
        span("y", "x", (3, 4)),
        span("self", "self", (4, 5)),
        span("a", "", (6, 9)),
        span("k", "a", (7, 8)),
        span("", "", (8, 9)),
        span("", "", (9, 9)),
    ];
    let tree = Tree::of(spans);
    let expected = [
        line("a", 0, Place::Root, 9),
        line("k", 1, Place::Child, 1),
        line("b", 0, Place::Orphan, 4),
        line("x", 0, Place::Cycle, 1),
        line("y", 1, Place::Child, 1),
        line("self", 0, Place::Cycle, 1),
        line("a", 0, Place::Root, 3),
        line("", 0, Place::Root, 1),
        line("", 0, Place::Root, 0),
    ];
    assert_eq!(told(&tree), expected);
    let doubled: Vec<bool> = tree.spans.iter().map(|placed| placed.is_doubled).collect();
    assert_eq!(doubled, [true, false, false, false, false, false, true, false, false]);
    let trace = Trace::of("t".to_owned(), tree);
    assert_eq!((trace.span_count, trace.roots, trace.orphans, trace.cycles, trace.doubled), (9, 7, 1, 2, 2));
    assert_eq!(trace.critical_path.root, Some(0));
}

#[test]
fn a_trace_deeper_than_a_stack_is_no_trouble() {
    const DEEP: i64 = 100_000;
    let one =
        |n: i64| span(&n.to_string(), &if n == 0 { String::new() } else { (n - 1).to_string() }, (n, 2 * DEEP - n));
    let tree = Tree::of((0..DEEP).map(one).collect());
    assert_eq!(tree.spans.last().map(|placed| placed.depth), Some(99_999));
    let path = critical_path(&tree, 0);
    assert_eq!(path.iter().map(|segment| segment.end - segment.start).sum::<i64>(), 2 * DEEP);
    let compared = Comparison::of(["l".to_owned(), "r".to_owned()], &[tree.clone(), tree]);
    assert!(compared.paths.len() == 100_000 && compared.paths.iter().all(|path| path.only.is_none()));
}

#[test]
fn traces_are_compared_by_the_way_to_each_operation() {
    let named =
        |id: &str, parent: &str, name: &str, time| TraceSpan { name: name.to_owned(), ..span(id, parent, time) };
    let left = Tree::of(vec![
        named("1", "", "buy", (0, 100)),
        named("2", "1", "pay", (10, 20)),
        named("3", "1", "pay", (30, 50)),
        named("4", "1", "mail", (60, 70)),
    ]);
    let right = Tree::of(vec![
        named("9", "", "buy", (1_000, 1_300)),
        named("8", "9", "pay", (1_000, 1_200)),
        named("7", "8", "mail", (1_100, 1_110)),
    ]);
    let compared = Comparison::of(["l".to_owned(), "r".to_owned()], &[left, right]);
    let sums = |count, total_ns, self_ns| compare::Sums { count, total_ns, self_ns };
    let told: Vec<_> = compared
        .paths
        .iter()
        .map(|path| (path.operation.as_str(), path.parent, path.left, path.difference, path.only))
        .collect();
    let expected = [
        ("buy", None, sums(1, 100, 60), sums(0, 200, 40), None),
        ("pay", Some(0), sums(2, 30, 30), sums(-1, 170, 160), None),
        ("mail", Some(1), sums(0, 0, 0), sums(1, 10, 10), Some("right")),
        ("mail", Some(0), sums(1, 10, 10), sums(-1, -10, -10), Some("left")),
    ];
    assert_eq!(told, expected);
}

/// Any spans: few ids, so that parents are found, ids come twice and circles close; few times, so that many are equal.
fn any_spans() -> impl Strategy<Value = Vec<TraceSpan>> {
    let one = (0..12_u8, 0..16_u8, 0..40_i64, 0..30_i64).prop_map(|(id, parent, start, took)| {
        let parent = if parent == 0 { String::new() } else { parent.to_string() };
        span(&id.to_string(), &parent, (start, start + took))
    });
    proptest::collection::vec(one, 1..40)
}

/// How long a span ran without a child, counted unit by unit.
fn counted_self_time(tree: &Tree, at: usize) -> usize {
    let own = &tree.spans[at];
    let runs = |span: &TraceSpan, unit: i64| span.start <= unit && unit < span.end();
    let is_alone = |unit: &i64| !own.children.iter().any(|child| runs(&tree.spans[*child].span, *unit));
    (own.span.start..own.span.end()).filter(is_alone).count()
}

proptest! {
    #[test]
    fn every_span_is_shown_once_and_self_times_are_those_of_a_count(spans in any_spans()) {
        let tree = Tree::of(spans.clone());
        let ids = |spans: &mut Vec<&TraceSpan>| {
            spans.sort_by_key(|span| (span.span_id.clone(), span.start, span.duration, span.parent_id.clone()));
        };
        let (mut sent, mut shown) = (spans.iter().collect(), tree.spans.iter().map(|placed| &placed.span).collect());
        ids(&mut sent);
        ids(&mut shown);
        prop_assert_eq!(sent, shown);
        for (at, placed) in tree.spans.iter().enumerate() {
            prop_assert_eq!(usize::try_from(placed.self_time), Ok(counted_self_time(&tree, at)));
            prop_assert!(placed.parent.is_none_or(|parent| parent < at && tree.spans[parent].children.contains(&at)));
            prop_assert_eq!(placed.place == Place::Child, placed.parent.is_some());
        }
    }

    #[test]
    fn stretches_of_the_critical_path_follow_each_other_and_are_the_whole_root(spans in any_spans()) {
        let tree = Tree::of(spans);
        for root in (0..tree.spans.len()).filter(|at| tree.spans[*at].parent.is_none()) {
            let mut reached = tree.spans[root].span.start;
            for segment in critical_path(&tree, root) {
                let span = &tree.spans[segment.span].span;
                prop_assert!(segment.start == reached && segment.end > segment.start);
                prop_assert!(span.start <= segment.start && segment.end <= span.end());
                let mut at = segment.span;
                while let Some(parent) = tree.spans[at].parent {
                    at = parent;
                }
                prop_assert_eq!(at, root);
                reached = segment.end;
            }
            prop_assert_eq!(reached, tree.spans[root].span.end());
        }
    }
}
