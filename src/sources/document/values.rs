//! Typed values of keys, with an error at the location of each that has another type.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::rules::ast::Range;
use crate::rules::{ExprError, RuleError, locate, nearest};
use crate::sources::filter::Filter;
use crate::sources::path::Path;

pub(super) type Entry<'t, 'i> = (&'t Spanned<Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

/// Reads the values of one text, and collects what is wrong with it.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) errors: Vec<RuleError>,
}

impl Reader<'_> {
    pub(super) fn string(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) if text.is_empty() => {
                self.error(key, value.span(), "this text is empty", None);
                None
            }
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.error(key, value.span(), "expected a text in quotes", None);
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, value: &Spanned<DeValue<'_>>, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(key, value)?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meant);
        }
        let hint = match nearest(&text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("valid here: {}", words.join(", "))
            }
        };
        self.error(key, value.span(), &format!("`{text}` is not known here"), Some(hint));
        None
    }

    pub(super) fn path(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Path> {
        let DeValue::String(text) = value.get_ref() else {
            let hint = Some("a path names a field, as in \"buyer.id\"".to_owned());
            self.error(key, value.span(), "expected a path in quotes", hint);
            return None;
        };
        match Path::parse(text) {
            Ok(path) => {
                let range = locate(self.text, value.span(), text, path.range);
                Some(Path { range, ..path })
            }
            Err(error) => {
                self.inside(key, value.span(), text, error);
                None
            }
        }
    }

    /// A path, or a list of paths; `None` if any is wrong.
    pub(super) fn paths(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Path>> {
        let DeValue::Array(items) = value.get_ref() else { return self.path(key, value).map(|path| vec![path]) };
        if items.is_empty() {
            self.error(key, value.span(), "expected at least one path", None);
            return None;
        }
        let paths: Vec<Path> = items.iter().filter_map(|item| self.path(key, item)).collect();
        (paths.len() == items.len()).then_some(paths)
    }

    pub(super) fn filter(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Filter<Path>> {
        let text = self.string(key, value)?;
        match Filter::parse(&text) {
            Ok(filter) => {
                let place = |path: &Path| locate(self.text, value.span(), &text, path.range);
                Some(filter.map(&mut |path, _| Path { range: place(path), ..path.clone() }))
            }
            Err(error) => {
                self.inside(key, value.span(), &text, error);
                None
            }
        }
    }

    pub(super) fn table<'t, 'i>(&mut self, key: &str, value: &'t Spanned<DeValue<'i>>) -> Option<&'t DeTable<'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        self.error(key, value.span(), &format!("expected a table, [{key}]"), None);
        None
    }

    pub(super) fn unknown(&mut self, prefix: &str, (key, _): Entry<'_, '_>, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("valid here: {}", known.join(", ")),
        };
        self.error(prefix, key.span(), &format!("unknown key `{name}`"), Some(hint));
    }

    pub(super) fn inside(&mut self, key: &str, literal: std::ops::Range<usize>, decoded: &str, error: ExprError) {
        let range = locate(self.text, literal, decoded, error.range);
        self.errors.push(RuleError::at(self.file, self.text, range, key, error.message, error.hint));
    }

    pub(super) fn error(&mut self, key: &str, span: std::ops::Range<usize>, message: &str, hint: Option<String>) {
        self.error_at(key, Range { start: span.start, end: span.end }, message, hint);
    }

    pub(super) fn error_at(&mut self, key: &str, range: Range, message: &str, hint: Option<String>) {
        self.errors.push(RuleError::at(self.file, self.text, range, key, message.to_owned(), hint));
    }
}
