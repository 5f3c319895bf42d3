use std::collections::BTreeSet;

/// Characters of one piece that two texts are compared by.
const GRAM: usize = 3;

/// Counts the words that must be changed, added or removed to make one text the other; `None` past `most`.
pub(super) fn words_apart(one: &str, other: &str, most: usize) -> Option<usize> {
    let one: Vec<&str> = one.split_whitespace().collect();
    let other: Vec<&str> = other.split_whitespace().collect();
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, word) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, own) in other.iter().enumerate() {
            let changed = diagonal + usize::from(word != own);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(row[to] + 1).min(row[to + 1] + 1);
        }
    }
    row.last().copied().filter(|apart| *apart <= most)
}

/// Returns the share of three-letter pieces that both texts have, of those that either has.
#[expect(clippy::cast_precision_loss, reason = "texts have far fewer pieces than a double can count")]
pub(super) fn likeness(one: &BTreeSet<[char; GRAM]>, other: &BTreeSet<[char; GRAM]>) -> f64 {
    let all = one.union(other).count();
    if all == 0 { 1.0 } else { one.intersection(other).count() as f64 / all as f64 }
}

/// Cuts a text into its pieces.
pub(super) fn grams(text: &str) -> BTreeSet<[char; GRAM]> {
    let padded: Vec<char> = format!("  {text} ").chars().collect();
    padded.windows(GRAM).filter_map(|window| window.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_words_and_likeness_pieces() {
        let apart = |one, other| words_apart(one, other, 2);
        assert_eq!(apart("a b c", "a b c"), Some(0));
        assert_eq!(apart("a b c", "a x c"), Some(1));
        assert_eq!(apart("a b c", "b c d"), Some(2));
        assert_eq!(apart("a b c", "x y z"), None);
        assert_eq!(apart("a", "a b c d"), None);
        assert!((likeness(&grams("login"), &grams("login")) - 1.0).abs() < f64::EPSILON);
        assert!(likeness(&grams("login of <*>"), &grams("card declined")) < 0.1);
    }
}
