//! Texts of one change, in memory that is used again.

/// Texts one after another in one buffer, by their number.
#[derive(Debug, Default)]
pub(in crate::lane) struct Texts {
    buffer: String,
    ends: Vec<usize>,
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
