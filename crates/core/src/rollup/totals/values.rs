use std::sync::Arc;

use hashbrown::HashMap;

use super::words::Word;

/// The number of a value's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text(u32);

/// The text of values, by key and hash. Where the key was does not matter: the same hash is the same text anywhere.
#[derive(Debug, Default)]
pub(super) struct Values {
    texts: Vec<Arc<str>>,
    numbers: HashMap<(Word, u64), Text>,
    pub(super) bytes: usize,
}

impl Values {
    pub(super) fn put(&mut self, key: Word, hash: u64, text: &str) {
        let Self { texts, numbers, bytes } = self;
        numbers.entry((key, hash)).or_insert_with(|| {
            *bytes += text.len() + 2 * size_of::<Arc<str>>() + 2 * size_of::<(Word, u64, Text)>();
            texts.push(text.into());
            Text(u32::try_from(texts.len() - 1).unwrap_or(u32::MAX))
        });
    }

    pub(super) fn find(&self, key: Word, hash: u64) -> Option<Text> {
        self.numbers.get(&(key, hash)).copied()
    }

    pub(super) fn text(&self, text: Text) -> Option<&Arc<str>> {
        self.texts.get(usize::try_from(text.0).ok()?)
    }
}
