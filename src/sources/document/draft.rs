//! One table of a source, of the file or of a preset: what is written, before the two are laid over each other.

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{EventName, Format, Kind, NoCustomer, Property};
use super::values::{Entry, Reader};
use crate::event::{Instant, Span};
use crate::rules::ast::Range;
use crate::rules::{nearest, parse_duration};
use crate::sources::field::As;
use crate::sources::filter::Filter;
use crate::sources::path::Path;
use crate::sources::preset::Preset;
use crate::sources::time::Unit;

/// What is written; `None`: nothing, or something wrong that was reported.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) topics: Vec<(String, Range)>,
    pub(super) format: Option<Format>,
    pub(super) preset: Option<Preset>,
    pub(super) customer: Option<Vec<Path>>,
    pub(super) no_customer: Option<NoCustomer>,
    pub(super) time: Option<Vec<Path>>,
    pub(super) unit: Option<Unit>,
    pub(super) time_zone: Option<TimeZone>,
    pub(super) id: Option<Vec<Path>>,
    pub(super) dedupe: Option<String>,
    pub(super) event: Option<EventName>,
    pub(super) filter: Option<Filter<Path>>,
    pub(super) each: Option<Path>,
    pub(super) properties: Vec<Property>,
    pub(super) kinds: Vec<Kind>,
    pub(super) from: Option<Instant>,
    pub(super) expect_every: Option<Span>,
    /// Keys that are there, right or wrong.
    pub(super) keys: Vec<String>,
}

pub(super) const KEYS: [&str; 17] = [
    "topic",
    "topics",
    "format",
    "preset",
    "customer",
    "no_customer",
    "time",
    "time_zone",
    "id",
    "dedupe",
    "event",
    "where",
    "each",
    "properties",
    "events",
    "from",
    "expect_every",
];

/// Keys and formats that a later release will have.
const LATER_KEYS: [&str; 3] = ["arrives_within", "schema", "delimiter"];
const LATER_FORMATS: [(&str, &str); 6] = [
    ("protobuf", "write the topic as Avro or JSON"),
    ("csv", "write each row as a line of JSON"),
    ("tsv", "write each row as a line of JSON"),
    ("glue", "register the schemas in a registry that speaks Confluent's interface"),
    ("xml", "write the topic as Avro or JSON"),
    ("msgpack", "write the topic as Avro or JSON"),
];

/// The longest name of a topic that Kafka accepts, in bytes.
const TOPIC_BYTES_MAX: usize = 249;
/// The shortest and the longest `expect_every`.
const INTERVALS: [Span; 2] = [Span::MINUTE, Span(366 * Span::DAY.0)];
/// The most properties of a source.
const PROPERTIES_MAX: usize = 100;

impl Draft {
    /// Is the key there, right or wrong?
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }
}

impl Reader<'_> {
    pub(super) fn draft(&mut self, prefix: &str, table: &DeTable<'_>) -> Draft {
        let mut draft = Draft::default();
        for entry in table {
            let (name, value) = entry;
            let name = name.get_ref().as_ref();
            let key = format!("{prefix}.{name}");
            match name {
                "topic" => draft.topics.extend(self.topic(&key, value)),
                "topics" => draft.topics.extend(self.topics(&key, value)),
                "format" => draft.format = self.format(&key, value),
                "preset" => draft.preset = self.word(&key, value, &Preset::NAMES),
                "customer" => draft.customer = self.paths(&key, value),
                "no_customer" => draft.no_customer = self.word(&key, value, &NoCustomer::NAMES),
                "time" => (draft.time, draft.unit) = self.times(&key, value),
                "time_zone" => draft.time_zone = self.zone(&key, value),
                "id" => draft.id = self.paths(&key, value),
                "dedupe" => draft.dedupe = self.string(&key, value),
                "event" => draft.event = self.event_name(&key, value),
                "where" => draft.filter = self.filter(&key, value),
                "each" => draft.each = self.each(&key, value),
                "properties" => draft.properties = self.properties(&key, value),
                "events" => draft.kinds = self.kinds(&key, value),
                "from" => draft.from = self.instant(&key, value),
                "expect_every" => draft.expect_every = self.interval(&key, value),
                later if LATER_KEYS.contains(&later) => self.later(prefix, entry.0),
                _ => self.unknown(prefix, entry, &KEYS),
            }
            draft.keys.push(name.to_owned());
        }
        if draft.has("topic") && draft.has("topics") {
            let hint = Some("write all of them into `topics`".to_owned());
            let range = draft.topics.last().map_or(Range::default(), |(_, range)| *range);
            self.error_at(prefix, range, "`topic` and `topics` say the same", hint);
        }
        draft
    }

    fn later(&mut self, prefix: &str, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let message = format!("`{}` is not supported in this release", key.get_ref());
        self.error(prefix, key.span(), &message, Some("remove it".to_owned()));
    }

    fn topic(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<(String, Range)> {
        if let DeValue::Array(_) = value.get_ref() {
            self.error(
                key,
                value.span(),
                "expected the name of one topic",
                Some("several are `topics = [...]`".to_owned()),
            );
            return None;
        }
        let name = self.string(key, value)?;
        let is_valid = name.len() <= TOPIC_BYTES_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if !is_valid {
            let message = format!("`{name}` cannot be the name of a topic");
            let hint = "Kafka accepts letters without accents, digits, `.`, `_` and `-`; patterns are not supported";
            self.error(key, value.span(), &message, Some(hint.to_owned()));
            return None;
        }
        let span = value.span();
        Some((name, Range { start: span.start, end: span.end }))
    }

    fn topics(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<(String, Range)> {
        match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => {
                self.error(key, value.span(), "expected at least one topic", None);
                Vec::new()
            }
            DeValue::Array(items) => items.iter().filter_map(|item| self.topic(key, item)).collect(),
            _ => {
                let hint = Some("write it as [\"orders-fr\", \"orders-de\"]".to_owned());
                self.error(key, value.span(), "expected a list of topics", hint);
                Vec::new()
            }
        }
    }

    fn format(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Format> {
        if let DeValue::String(text) = value.get_ref()
            && let Some((_, instead)) = LATER_FORMATS.iter().find(|(format, _)| text.eq_ignore_ascii_case(format))
        {
            let message = format!("the format `{text}` is not supported in this release");
            self.error(key, value.span(), &message, Some((*instead).to_owned()));
            return None;
        }
        self.word(key, value, &Format::NAMES)
    }

    /// A path, a list of paths, or `{ field = path, unit = "seconds" }`.
    fn times(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> (Option<Vec<Path>>, Option<Unit>) {
        let DeValue::Table(table) = value.get_ref() else { return (self.paths(key, value), None) };
        let (mut paths, mut unit) = (None, None);
        for entry in table {
            match entry.0.get_ref().as_ref() {
                "field" => paths = self.paths(&format!("{key}.field"), entry.1),
                "unit" => unit = self.word(&format!("{key}.unit"), entry.1, &Unit::NAMES),
                _ => self.unknown(key, entry, &["field", "unit"]),
            }
        }
        if !table.contains_key("field") {
            self.error(key, value.span(), "`field` is missing", Some(FIELD.to_owned()));
        }
        (paths, unit)
    }

    fn zone(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<TimeZone> {
        let name = self.string(key, value)?;
        if let Ok(zone) = TimeZone::get(&name) {
            return Some(zone);
        }
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let hint = match nearest(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "use a name from the IANA list, such as \"Europe/Paris\"".to_owned(),
        };
        self.error(key, value.span(), &format!("`{name}` is not a known time zone"), Some(hint));
        None
    }

    fn instant(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Instant> {
        let text = match value.get_ref() {
            DeValue::Datetime(at) => at.to_string(),
            _ => self.string(key, value)?,
        };
        match Instant::written(&text) {
            Ok(at) => Some(at),
            Err(_) => {
                let hint = "write \"2026-01-31\", or \"2026-01-31T08:00:00Z\"".to_owned();
                self.error(key, value.span(), &format!("`{text}` is no time"), Some(hint));
                None
            }
        }
    }

    fn interval(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Span> {
        let text = self.string(key, value)?;
        let span = match parse_duration(&text) {
            Ok(duration) => duration.span,
            Err(error) => {
                self.inside(key, value.span(), &text, error);
                return None;
            }
        };
        if span >= INTERVALS[0] && span <= INTERVALS[1] {
            return Some(span);
        }
        let hint = "write how long the source is never silent, from \"1 minute\" to \"366 days\"".to_owned();
        self.error(key, value.span(), &format!("`{text}` is too short or too long"), Some(hint));
        None
    }

    fn each(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Path> {
        let path = self.path(key, value)?;
        if path.root == crate::sources::path::Root::Value {
            return Some(path);
        }
        let message = format!("`{}` is no list within the record's value", path.text);
        self.error_at(key, path.range, &message, Some("name a list, as in each = \"lines\"".to_owned()));
        None
    }

    fn properties(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<Property> {
        let Some(table) = self.table(key, value) else { return Vec::new() };
        if table.len() > PROPERTIES_MAX {
            let message = format!("a source has at most {PROPERTIES_MAX} properties");
            self.error(key, value.span(), &message, Some("keep those that rules use".to_owned()));
            return Vec::new();
        }
        let mut properties = Vec::new();
        // A table has no order of its own.
        let mut entries: Vec<Entry<'_, '_>> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let key = format!("{key}.{}", name.get_ref());
            let found = match value.get_ref() {
                DeValue::Table(table) => self.converted(&key, value, table),
                _ => self.path(&key, value).map(|path| (path, As::Itself)),
            };
            let name = name.get_ref().to_string();
            properties.extend(found.map(|(path, as_)| Property { name, path, as_ }));
        }
        properties
    }

    /// `{ field = path, as = "number" }`.
    fn converted(&mut self, key: &str, value: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Option<(Path, As)> {
        let (mut path, mut as_) = (None, As::Itself);
        for entry in table {
            match entry.0.get_ref().as_ref() {
                "field" => path = self.path(&format!("{key}.field"), entry.1),
                "as" => {
                    let words = [("text", As::Text), ("number", As::Number), ("negative", As::Negative)];
                    as_ = self.word(&format!("{key}.as"), entry.1, &words).unwrap_or_default();
                }
                _ => self.unknown(key, entry, &["field", "as"]),
            }
        }
        if !table.contains_key("field") {
            self.error(
                key,
                value.span(),
                "`field` is missing",
                Some("write { field = \"price\", as = \"number\" }".to_owned()),
            );
        }
        path.map(|path| (path, as_))
    }
}

const FIELD: &str = "write { field = \"ts\", unit = \"seconds\" }";
