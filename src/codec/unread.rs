//! Fields of events that are not used: their values are lost.

use std::fmt;

use super::json::Text;

/// The number of names that are kept.
const NAMED_MAX: usize = 20;

/// Their names, each once, in the order seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    names: Vec<String>,
    more: bool,
}

impl Unread {
    pub(super) fn of(names: impl IntoIterator<Item = String>) -> Self {
        let mut unread = Self::default();
        names.into_iter().for_each(|name| unread.add(name));
        unread
    }

    pub(super) fn note(&mut self, name: Text<'_>) {
        if !self.more && !self.names.iter().any(|known| name.is(known)) {
            self.add(name.lossy().into_owned());
        }
    }

    fn add(&mut self, name: String) {
        if self.names.contains(&name) {
            return;
        }
        self.more = self.names.len() == NAMED_MAX;
        if !self.more {
            self.names.push(name);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// `amount, channel and more`
impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.more { " and more" } else { "" };
        write!(f, "{}{more}", self.names.join(", "))
    }
}
