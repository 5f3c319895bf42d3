/// A pattern of SQL's `LIKE`: `%` is any text, `_` any character, a backslash takes their meaning away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Like(Vec<Mark>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Any,
    One,
    Letter(char),
}

impl Like {
    /// Reads a pattern; a backslash before another letter, or at the end, stands for itself.
    pub(super) fn read(pattern: &str) -> Self {
        let mut marks = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            marks.push(match letter {
                '%' => Mark::Any,
                '_' => Mark::One,
                '\\' => Mark::Letter(letters.next_if(|next| matches!(next, '%' | '_' | '\\')).unwrap_or('\\')),
                other => Mark::Letter(other),
            });
        }
        // Several are as one, and would only cost time.
        marks.dedup_by(|next, before| *next == Mark::Any && *before == Mark::Any);
        Self(marks)
    }

    /// Says whether a text is so: after a `%` the last one that was met is tried again one character further.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut mark) = (0, 0);
        let mut last_any: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(mark) {
                Some(Mark::Any) => {
                    last_any = Some((mark, at));
                    mark += 1;
                    continue;
                }
                Some(Mark::One) => {}
                Some(Mark::Letter(letter)) if *letter == text[at] => {}
                _ => {
                    let Some((any, from)) = last_any else { return false };
                    last_any = Some((any, from + 1));
                    (mark, at) = (any + 1, from + 1);
                    continue;
                }
            }
            (mark, at) = (mark + 1, at + 1);
        }
        self.0[mark..].iter().all(|mark| *mark == Mark::Any)
    }

    /// Writes it as ClickHouse reads it.
    pub(super) fn sql(&self) -> String {
        let mut out = String::new();
        for mark in &self.0 {
            match mark {
                Mark::Any => out.push('%'),
                Mark::One => out.push('_'),
                Mark::Letter(letter) => {
                    if matches!(letter, '%' | '_' | '\\') {
                        out.push('\\');
                    }
                    out.push(*letter);
                }
            }
        }
        out
    }

    /// Takes `A` to `Z` as `a` to `z`.
    pub(super) fn folded(mut self) -> Self {
        for mark in &mut self.0 {
            if let Mark::Letter(letter) = mark {
                letter.make_ascii_lowercase();
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_sql_has_it() {
        let check = |pattern: &str, text: &str, wanted: bool| {
            assert_eq!(Like::read(pattern).matches(text), wanted, "{pattern} over {text}");
        };
        check("", "", true);
        check("%", "", true);
        check("_", "", false);
        check("_", "ü", true);
        check("a%b%c", "aXbYbZc", true);
        check("a%b%c", "aXbYbZ", false);
        check("100\\%", "100%", true);
        check("100\\%", "1000", false);
        check("a\\b", "a\\b", true);
        check("a\\", "a\\", true);
        check("%%%a", "\nba", true);
        check("_%_", "a", false);
    }

    #[test]
    fn a_pattern_of_many_wildcards_takes_no_exponential_time() {
        let pattern = "%a".repeat(500) + "%b";
        assert!(!Like::read(&pattern).matches(&"a".repeat(5_000)));
    }

    #[test]
    fn a_pattern_is_written_so_that_it_cannot_be_read_otherwise() {
        assert_eq!(Like::read("a\\b\\%_%%\\").sql(), "a\\\\b\\%_%\\\\");
    }
}
