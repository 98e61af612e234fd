//! Texts of one change, in memory that is used again.

use crate::event::Localized;

/// Texts one after another in one buffer, by their number.
#[derive(Debug, Default)]
pub(in crate::lane) struct Texts {
    buffer: String,
    ends: Vec<usize>,
}

/// Those of a change of a cohort.
#[derive(Debug, Default)]
pub(in crate::lane) struct ChangeTexts {
    /// Of each part of the rule the condition, where it is not a text of the rules, and the value, in English.
    pub(super) parts: Texts,
    /// In English and French.
    pub(super) sentences: Localized<String>,
}

impl Texts {
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.ends.clear();
    }

    /// Adds a text and returns its number.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut String)) -> usize {
        write(&mut self.buffer);
        self.ends.push(self.buffer.len());
        self.ends.len() - 1
    }

    pub(super) fn get(&self, number: usize) -> &str {
        let begins = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.buffer[begins..self.ends[number]]
    }
}
