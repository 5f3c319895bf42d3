use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::derive::Amounts;

fn place(id: u64, parent: Option<u64>, start: i64) -> Place {
    (SpanId::doubled(id), parent.map(SpanId::doubled), UnixNanos(start))
}

fn shown(places: &[Place]) -> String {
    let names: Vec<String> = places.iter().map(|(id, ..)| id.to_string().trim_start_matches('0').to_owned()).collect();
    let mut out = String::new();
    Tree::of(places).write(
        &mut out,
        |at| names[at].as_str(),
        |at, out| out.push_str(&format!("{{\"at\":{}", places[at].2.0)),
    );
    out
}

#[test]
fn roots_orphans_and_rings_are_all_shown() {
    let places = [
        place(1, None, 10),
        place(2, Some(1), 20),
        place(3, Some(99), 15),
        place(4, None, 5),
        place(5, Some(6), 30),
        place(6, Some(7), 28),
        place(7, Some(6), 29),
        place(8, Some(8), 1),
    ];
    let wanted = expect![[
        r#"{"1":{"at":10,"spans":{"2":{"at":20}}},"3":{"at":15},"4":{"at":5},"6":{"at":28,"spans":{"5":{"at":30},"7":{"at":29}}},"8":{"at":1}}"#
    ]];
    wanted.assert_eq(&shown(&places));
    assert_eq!(Tree::of(&places).roots, [7, 3, 0, 2, 5]);
}

#[test]
fn spans_of_one_name_are_a_list_in_the_order_of_time() {
    let places = [place(1, None, 0), place(2, Some(1), 9), place(3, Some(1), 4)];
    let mut out = String::new();
    let names = ["root", "step", "step"];
    Tree::of(&places).write(&mut out, |at| names[at], |at, out| out.push_str(&format!("{{\"at\":{}", places[at].2.0)));
    expect![[r#"{"root":{"at":0,"spans":{"step":[{"at":4},{"at":9}]}}}"#]].assert_eq(&out);
}

#[test]
fn a_chain_of_a_hundred_thousand_spans_and_a_ring_of_them_take_no_stack() {
    let count: u64 = 100_000;
    let start = |id: u64| i64::try_from(id).expect("small");
    let chain: Vec<Place> = (1..=count).map(|id| place(id, (id > 1).then(|| id - 1), start(id))).collect();
    let own: Vec<Own> = chain
        .iter()
        .map(|(_, _, at)| Own { start: *at, end: UnixNanos(at.0 + 1_000_000), errors: 1, ..Own::default() })
        .collect();
    let roll_ups = Tree::of(&chain).roll_ups(&own);
    assert_eq!((roll_ups[0].errors, roll_ups[0].duration_ms), (100_000, 1.099_999));
    assert_eq!(shown(&chain).matches("\"at\":").count(), 100_000);
    let ring: Vec<Place> =
        (1..=count).map(|id| place(id, Some(if id == 1 { count } else { id - 1 }), start(id))).collect();
    let tree = Tree::of(&ring);
    assert_eq!((tree.roots.clone(), tree.order.len(), tree.roll_ups(&own)[0].errors), (vec![0], 100_000, 100_000));
}

#[test]
fn what_is_not_known_stays_unknown_and_what_goes_on_at_once_is_not_counted_twice() {
    let ms = |ms: i64| UnixNanos(ms * 1_000_000);
    let places = [place(1, None, 0), place(2, Some(1), 1), place(3, Some(1), 2)];
    let own = [
        Own { start: ms(0), end: ms(10), ..Own::default() },
        Own {
            start: ms(1),
            end: ms(9),
            tokens: Amounts { prompt: Some(3.0), total: Some(3.0), completion: None },
            ..Own::default()
        },
        Own { start: ms(2), end: ms(12), errors: 2, ..Own::default() },
    ];
    let roll_ups = Tree::of(&places).roll_ups(&own);
    assert_eq!((roll_ups[0].duration_ms, roll_ups[0].errors), (12.0, 2));
    assert_eq!(roll_ups[0].tokens, Amounts { prompt: Some(3.0), completion: None, total: Some(3.0) });
    assert_eq!(roll_ups[0].costs, Amounts::default());
    assert_eq!(roll_ups[2].tokens, Amounts::default());
}

proptest! {
    #[test]
    fn every_span_is_in_the_tree_once_whatever_the_parents(parents in prop::collection::vec(prop::option::of(0_u64..12), 0..12)) {
        let places: Vec<Place> = parents.iter().enumerate().map(|(at, parent)| place(at as u64, *parent, (at as i64 * 7) % 5)).collect();
        let tree = Tree::of(&places);
        let mut order = tree.order.clone();
        order.sort_unstable();
        prop_assert_eq!(order, (0..places.len()).collect::<Vec<_>>());
        let below: usize = tree.children.iter().map(Vec::len).sum();
        prop_assert_eq!(below + tree.roots.len(), places.len());
        let text = shown(&places);
        let json = crate::json::parse(&text).expect("JSON");
        prop_assert_eq!(json.to_string().matches("\"at\":").count(), places.len());
    }
}
