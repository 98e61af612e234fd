//! One line that says where, which key, what is wrong and what to do.

use super::{keys, layer};

/// Something wrong in the settings. Its text is one line: `place: key: what is wrong; the remedy`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {text}")]
pub struct Error {
    /// `FILE:LINE`, a variable's name, `--set`, or `default`.
    place: String,
    text: String,
}

impl Error {
    pub(super) fn new(place: &str, key: &str, problem: impl Into<String>) -> Self {
        Self::in_place(place.to_owned(), format!("{key}: {}", problem.into()))
    }

    /// About a place as a whole. Line breaks, as parsers make them, become spaces.
    pub(super) fn in_place(place: String, text: String) -> Self {
        Self { place, text: text.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    /// About a value that its type refused. The place is looked up in `merged`, because the deserializer has forgotten
    /// it by the time that it complains.
    pub(super) fn of_value(error: config::ConfigError, merged: &config::Value) -> Self {
        use config::ConfigError;
        let (key, problem) = match error {
            ConfigError::At { error, key: Some(key), .. } => (key, error.to_string()),
            ConfigError::Type { unexpected, expected: "a boolean", key: Some(key), .. } => {
                (key, format!("{unexpected} is not a boolean; write true or false"))
            }
            ConfigError::Type { unexpected, expected, key: Some(key), .. } => {
                (key, format!("found {unexpected}; write {expected}"))
            }
            // The manual holds every key, so nothing is missing, and unknown keys were refused before.
            other => return Self::in_place("settings".into(), other.to_string()),
        };
        let place = keys::find(merged, &key).and_then(config::Value::origin).unwrap_or(layer::DEFAULT);
        Self::new(place, &key, problem)
    }
}
