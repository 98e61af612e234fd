//! Typed values of keys, with an error at the location of each that has another type.

use toml::Spanned;
use toml::de::DeValue;

use super::{Entry, Reader, Written};
use crate::event::Localized;
use crate::rules::ast::{Duration, Name, Range};
use crate::rules::error::{ExprError, RuleError, nearest};
use crate::rules::parser::{parse, parse_duration};
use crate::rules::source::locate;

/// Sections of the settings that may be put into the rules by mistake.
const SECTIONS_OF_SETTINGS: [&str; 15] = [
    "lanes",
    "kafka",
    "topics",
    "batch",
    "rules",
    "state",
    "ranks",
    "metrics",
    "admin",
    "memory",
    "time",
    "automation",
    "dedupe",
    "schemas",
    "log",
];

impl Reader<'_> {
    pub(super) fn included(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<Name> {
        let DeValue::Array(items) = value.get_ref() else {
            let message = "expected a list of names of [profile] or [measures]".into();
            self.error(key, value.span(), message, None);
            return Vec::new();
        };
        let name = |item: &Spanned<DeValue<'_>>| {
            let range = Range { start: item.span().start, end: item.span().end };
            self.string(key, item).map(|text| Name { text, range })
        };
        items.iter().filter_map(name).collect()
    }

    pub(super) fn localized(&mut self, key: &str, value: &Spanned<DeValue<'_>>, name: &mut Localized) {
        if let DeValue::String(text) = value.get_ref() {
            *name = Localized { en: text.to_string(), fr: text.to_string() };
            return;
        }
        for entry in self.table(key, value) {
            let (language, text) = entry;
            match language.get_ref().as_ref() {
                "en" => name.en = self.string(key, text).unwrap_or_default(),
                "fr" => name.fr = self.string(key, text).unwrap_or_default(),
                _ => self.unknown(key, entry, &["en", "fr"]),
            }
        }
    }

    pub(super) fn expression(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Written> {
        let text = self.string(key, value)?;
        match parse(&text) {
            Ok(expr) => Some(Written { text, expr, literal: value.span() }),
            Err(error) => {
                self.inside(key, value.span(), &text, error);
                None
            }
        }
    }

    pub(super) fn duration(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let DeValue::String(text) = value.get_ref() else {
            self.error(key, value.span(), "expected a duration in quotes, such as \"14 days\"".into(), None);
            return None;
        };
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.inside(key, value.span(), text, error);
                None
            }
        }
    }

    pub(super) fn names(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Name>> {
        let DeValue::Array(items) = value.get_ref() else {
            self.error(
                key,
                value.span(),
                "expected a list of event names".into(),
                Some("write it like [\"visit\", \"login\"]".into()),
            );
            return None;
        };
        let mut names = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) if !text.is_empty() => {
                    let range = Range { start: item.span().start, end: item.span().end };
                    names.push(Name { text: text.to_string(), range });
                }
                _ => self.error(key, item.span(), "expected an event's name in quotes".into(), None),
            }
        }
        if items.is_empty() {
            let hint = "list the events that end silence, or remove the line: then any event does";
            self.error(key, value.span(), "expected at least one event's name".into(), Some(hint.into()));
        }
        (!names.is_empty()).then_some(names)
    }

    pub(super) fn flag(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.error(key, value.span(), "expected true or false".into(), None);
        None
    }

    pub(super) fn integer(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<i64> {
        let number = match value.get_ref() {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.error(key, value.span(), "expected a whole number".into(), None);
        }
        number
    }

    pub(super) fn string(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.to_string());
        }
        self.error(key, value.span(), "expected a text in quotes".into(), None);
        None
    }

    pub(super) fn table<'t, 'i>(&mut self, key: &str, value: &'t Spanned<DeValue<'i>>) -> Vec<Entry<'t, 'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return table.iter().collect();
        }
        self.error(key, value.span(), format!("expected a table, [{key}]"), None);
        Vec::new()
    }

    pub(super) fn unknown(&mut self, prefix: &str, (key, _): Entry<'_, '_>, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if prefix.is_empty() && SECTIONS_OF_SETTINGS.contains(&name) => {
                "it belongs in the settings, a separate file that is given with --config".to_owned()
            }
            None => format!("valid here: {}", known.join(", ")),
        };
        self.error(prefix, key.span(), format!("unknown key `{name}`"), Some(hint));
    }

    pub(super) fn later(&mut self, key: &str, span: std::ops::Range<usize>) {
        let hint = "remove it; a later release will support it";
        self.error(key, span, "this is not supported in this release".into(), Some(hint.into()));
    }

    pub(super) fn inside(&mut self, key: &str, literal: std::ops::Range<usize>, decoded: &str, error: ExprError) {
        let range = locate(self.text, literal, decoded, error.range);
        self.errors.push(RuleError::at(self.file, self.text, range, key, error.message, error.hint));
    }

    pub(super) fn error(&mut self, key: &str, span: std::ops::Range<usize>, message: String, hint: Option<String>) {
        let range = Range { start: span.start, end: span.end };
        self.errors.push(RuleError::at(self.file, self.text, range, key, message, hint));
    }
}
