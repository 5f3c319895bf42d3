use std::sync::Arc;

use hashbrown::HashMap;

/// A text's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(u32);

impl Word {
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

/// Texts that come again and again, each held once.
#[derive(Debug, Default)]
pub(super) struct Words {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, Word>,
    pub(super) bytes: usize,
}

impl Words {
    /// Returns a text's number; a new one gets the next.
    pub(super) fn put(&mut self, text: &str) -> Word {
        if let Some(word) = self.numbers.get(text) {
            return *word;
        }
        let word = Word(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = text.into();
        self.bytes += text.len() + 2 * size_of::<Arc<str>>() + 3 * size_of::<usize>();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, word);
        word
    }

    pub(super) fn find(&self, text: &str) -> Option<Word> {
        self.numbers.get(text).copied()
    }

    /// Returns a number's text, to be held elsewhere, too.
    pub(super) fn shared(&self, word: Word) -> Arc<str> {
        usize::try_from(word.0).ok().and_then(|at| self.texts.get(at)).cloned().unwrap_or_default()
    }

    pub(super) fn text(&self, word: Word) -> &str {
        usize::try_from(word.0).ok().and_then(|at| self.texts.get(at)).map_or("", |text| text)
    }
}
