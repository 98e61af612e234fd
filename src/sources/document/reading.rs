//! The whole file: each source read, laid over its preset, and checked with the others.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Draft;
use super::source::{Format, NoCustomer, Source, Times};
use super::values::Reader;
use crate::codec::{Access, Registry};
use crate::rules::RuleError;
use crate::rules::ast::Range;
use crate::sources::filter::Filter;
use crate::sources::path::Path;
use crate::sources::tree::Seen;

/// The longest text of sources, in bytes: with the rules and an envelope a version must fit in a record of Kafka's default
/// limit.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// The longest name of a source, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// A sources file, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// In the order of the names.
    pub sources: Vec<Source>,
    /// The registry with the schemas of their records, if it is not that of the settings. Holds no secret.
    pub registry: Option<String>,
}

impl Document {
    /// The source of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }
}

/// Reads and checks a sources file. `own_topics` are those that this group writes, which no source may read.
///
/// # Errors
/// Every mistake found, in the order of the file.
pub fn read(file: &str, text: &str, own_topics: &[&str]) -> Result<Document, Vec<RuleError>> {
    let mut reader = Reader { file, text, errors: Vec::new() };
    if text.len() > TEXT_BYTES_MAX {
        reader.error("", 0..0, &format!("the file is longer than {} KiB", TEXT_BYTES_MAX >> 10), None);
        return Err(reader.errors);
    }
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let span = error.span().unwrap_or(0..0);
            let hint = habit(text, span.start).map(str::to_owned);
            reader.error("", span, &format!("this is not valid TOML: {message}"), hint);
            return Err(reader.errors);
        }
    };
    let registry = table.get("schemas").and_then(|value| reader.registry(value));
    let sources = reader.sources(&table, own_topics);
    if reader.errors.is_empty() {
        return Ok(Document { sources, registry });
    }
    reader.errors.sort_by_key(|error| (error.line, error.column));
    Err(reader.errors)
}

/// A hint for invalid TOML at `at`, for common mistakes.
fn habit(text: &str, at: usize) -> Option<&'static str> {
    let at = text.floor_char_boundary(at);
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    let value = line.split_once('=').map_or("", |(_, value)| value.trim_start());
    if value.starts_with(['“', '”', '„', '«', '‘', '’']) {
        return Some("write straight quotes, \"...\"");
    }
    if value.starts_with('"') && value.matches('"').count() > 2 {
        return Some(
            "quotes inside quotes: put the whole condition between '...', and the texts in it between \"...\"",
        );
    }
    if value.starts_with(char::is_alphabetic) {
        return Some("put a path or a text in quotes: customer = \"buyer.id\"");
    }
    None
}

/// Keys of the file that belong elsewhere.
const ELSEWHERE: [&str; 4] = ["kafka", "topics", "rules", "cohorts"];

impl Reader<'_> {
    fn sources(&mut self, table: &DeTable<'_>, own_topics: &[&str]) -> Vec<Source> {
        let mut found = Vec::new();
        for entry in table {
            let name = entry.0.get_ref().as_ref();
            match name {
                "sources" => {
                    for (name, value) in self.table("sources", entry.1).into_iter().flatten() {
                        found.extend(self.source(name, value));
                    }
                }
                "cohorts" | "measures" | "profile" | "churn" | "activity" => {
                    let hint = "it belongs in the rules, a separate file that is given with --rules".to_owned();
                    self.error("", entry.0.span(), &format!("unknown key `{name}`"), Some(hint));
                }
                "schemas" => {}
                _ if ELSEWHERE.contains(&name) => {
                    let hint = "it belongs in the settings, a separate file that is given with --config".to_owned();
                    self.error("", entry.0.span(), &format!("unknown key `{name}`"), Some(hint));
                }
                _ => self.unknown("", entry, &["sources", "schemas"]),
            }
        }
        if found.is_empty() && self.errors.is_empty() {
            let hint = "add one: [sources.orders] with topic = \"shop.orders\"".to_owned();
            self.error("", 0..0, "no source is defined", Some(hint));
        }
        self.claims(&found, own_topics);
        found.into_iter().map(|(source, _)| source).collect()
    }

    /// The address in `[schemas]`.
    fn registry(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let mut found = None;
        for entry in self.table("schemas", value)? {
            if entry.0.get_ref() != "registry" {
                let name = entry.0.get_ref();
                let hint = match name.as_ref() {
                    "token" | "ca" | "certificate" | "key" | "proxy" => {
                        "it belongs in the settings, with what is secret"
                    }
                    _ => "valid here: registry",
                };
                self.error("schemas", entry.0.span(), &format!("unknown key `{name}`"), Some(hint.to_owned()));
                continue;
            }
            let address = self.string("schemas.registry", entry.1)?;
            let problem = if address.contains('@') {
                Some("an address with a user or password; all processes read this file from a topic".to_owned())
            } else {
                Registry::new(&address, Access::default()).err().map(|unusable| unusable.problem)
            };
            match problem {
                None => found = Some(address),
                Some(problem) => {
                    let hint = Some("write \"https://registry.example:8081\"".to_owned());
                    self.error("schemas.registry", entry.1.span(), &problem, hint);
                }
            }
        }
        found
    }

    /// No topic has two sources, or is our own.
    fn claims(&mut self, found: &[(Source, Vec<(String, Range)>)], own_topics: &[&str]) {
        let mut claimed: BTreeMap<&str, &str> = BTreeMap::new();
        for (source, topics) in found {
            let key = format!("sources.{}", source.name);
            for (topic, range) in topics {
                if own_topics.contains(&topic.as_str()) {
                    let message = format!("`{topic}` is written by cohortd itself");
                    let hint = "a source reads a topic of another program; the topics of cohortd are `topics.*` in the settings";
                    self.error_at(&key, *range, &message, Some(hint.to_owned()));
                }
                match claimed.get(topic.as_str()) {
                    Some(other) => {
                        let (message, hint) = if *other == source.name {
                            (format!("`{topic}` is named twice"), "remove one of them".to_owned())
                        } else {
                            let hint = "several kinds of record in one topic are [[sources.NAME.events]] of one source";
                            (format!("`{topic}` is read by the source `{other}` already"), hint.to_owned())
                        };
                        self.error_at(&key, *range, &message, Some(hint));
                    }
                    None => _ = claimed.insert(topic, &source.name),
                }
            }
        }
    }

    fn source(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<(Source, Vec<(String, Range)>)> {
        let (plain, span) = (name.get_ref().as_ref(), name.span());
        if !is_plain(plain) {
            let hint = "use lower-case letters, digits and _, beginning with a letter".to_owned();
            self.error("sources", span.clone(), &format!("`{plain}` is not a valid name"), Some(hint));
        }
        let key = format!("sources.{plain}");
        let table = self.table(&key, value)?;
        let draft = self.draft(&key, table);
        let range = Range { start: span.start, end: span.end };
        let topics = draft.topics.clone();
        let source = self.whole(plain, &key, range, draft)?;
        self.check(&key, &source);
        Some((source, topics))
    }

    /// The draft laid over its preset. `None`: something that it needs is missing.
    fn whole(&mut self, name: &str, key: &str, range: Range, given: Draft) -> Option<Source> {
        let base = given.preset.map(|preset| preset.draft()).unwrap_or_default();
        let has = |name: &str| given.has(name) || base.has(name);
        let mut is_whole = true;
        for (wanted, is_there, hint) in [
            ("topic", has("topic") || has("topics"), "write topic = \"shop.orders\""),
            ("customer", has("customer"), "write where the customer's id lies: customer = \"buyer.id\""),
            (
                "time",
                has("time"),
                "write where the event's time lies: time = \"paid_at\", or \"@timestamp\" for the record's own",
            ),
            ("event", has("event") || has("events"), "write the event's name: event = \"purchase\""),
        ] {
            if !is_there {
                is_whole = false;
                let of = given.preset.map(|preset| format!(", which the preset \"{}\" leaves open", preset.word()));
                let message = format!("`{wanted}` is missing{}", of.unwrap_or_default());
                self.error_at(key, range, &message, Some(hint.to_owned()));
            }
        }
        if !is_whole {
            return None;
        }
        let unit = if given.has("time") { given.unit } else { base.unit };
        let mut properties = base.properties;
        properties.retain(|own| !given.properties.iter().any(|property| property.name == own.name));
        properties.extend(given.properties);
        Some(Source {
            name: name.to_owned(),
            topics: given.topics.into_iter().map(|(topic, _)| topic).collect(),
            format: given.format.or(base.format).unwrap_or(Format::Avro),
            preset: given.preset,
            customer: given.customer.or(base.customer).unwrap_or_default(),
            no_customer: given.no_customer.or(base.no_customer).unwrap_or(NoCustomer::Skip),
            time: Times {
                paths: given.time.or(base.time).unwrap_or_default(),
                unit,
                zone: given.time_zone.or(base.time_zone),
            },
            id: given.id.or(base.id).unwrap_or_default(),
            dedupe: given.dedupe.or(base.dedupe).unwrap_or_else(|| name.to_owned()),
            filter: given.filter.or(base.filter),
            each: given.each.or(base.each),
            properties,
            // What a source says of its events is not mixed with what a preset says of them.
            event: if given.keys.iter().any(|key| key == "events") { given.event } else { given.event.or(base.event) },
            kinds: if given.keys.iter().any(|key| key == "event" || key == "events") {
                given.kinds
            } else {
                base.kinds
            },
            from: given.from,
            expect_every: given.expect_every,
            range,
        })
    }

    /// What its parts ask of each other.
    fn check(&mut self, key: &str, source: &Source) {
        let paths = source.paths().into_iter().chain(source.filters().into_iter().flat_map(Filter::paths));
        let paths: Vec<&Path> = paths.collect();
        if source.each.is_none()
            && let Some(path) = paths.iter().find(|path| path.is_of_an_element())
        {
            let hint = "write each = \"lines\", or [\"each\"] for a field of this name".to_owned();
            self.error_at(key, path.range, &format!("`{}` needs `each`", path.text), Some(hint));
        }
        // That of `each` is one more.
        if paths.len() >= Seen::MAX {
            let message = format!("a source has at most {} paths", Seen::MAX - 1);
            self.error_at(key, source.range, &message, Some("keep the properties that rules use".to_owned()));
        }
        for (place, kind) in source.kinds.iter().enumerate() {
            let key = format!("{key}.events");
            if kind.event.is_none() && source.event.is_none() {
                let message = format!("entry {} of `events` has no `event`", place + 1);
                self.error_at(&key, source.range, &message, Some("write event = \"purchase\"".to_owned()));
            }
            if kind.record.is_some() && source.format == Format::Json {
                let message = format!("entry {} of `events` names a record, which JSON has not", place + 1);
                self.error_at(&key, source.range, &message, Some("tell kinds of records apart by `where`".to_owned()));
            }
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
}

impl crate::sources::preset::Preset {
    /// What the file of the preset says.
    fn draft(self) -> Draft {
        let file = format!("{}.toml", self.word());
        let table = DeTable::parse(self.text()).expect("presets are valid TOML; a test reads them").into_inner();
        let mut reader = Reader { file: &file, text: self.text(), errors: Vec::new() };
        let draft = reader.draft("preset", &table);
        debug_assert!(reader.errors.is_empty(), "{:?}", reader.errors);
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{EventName, Property};
    use super::{DeTable, Reader, read};
    use crate::sources::preset::Preset;

    #[test]
    fn presets_are_right() {
        for (word, preset) in Preset::NAMES {
            let table = DeTable::parse(preset.text()).unwrap().into_inner();
            let mut reader = Reader { file: word, text: preset.text(), errors: Vec::new() };
            reader.draft("preset", &table);
            assert_eq!(reader.errors, []);
        }
    }

    #[test]
    fn a_file_may_name_the_registry_of_its_sources() {
        let text = "[sources.a]\ntopic = \"a\"\ncustomer = \"c\"\ntime = \"t\"\nevent = \"e\"\n";
        assert_eq!(read("s.toml", text, &[]).unwrap().registry, None);
        let text = format!("[schemas]\nregistry = \"https://a:8081,https://b:8081\"\n{text}");
        assert_eq!(read("s.toml", &text, &[]).unwrap().registry.as_deref(), Some("https://a:8081,https://b:8081"));
    }

    #[test]
    fn keys_beside_a_preset_win_and_properties_join_its_own() {
        let text = "[sources.clicks]\ntopic = \"clicks\"\npreset = \"segment\"\ncustomer = \"traits.id\"\n\
                    properties = { value = \"properties.value\", revenue = \"properties.total\" }\n";
        let document = read("s.toml", text, &[]).unwrap();
        let source = document.source("clicks").unwrap();
        assert_eq!(source.customer[0].text, "traits.id");
        let of = |name: &str| -> Vec<&Property> { source.properties.iter().filter(|own| own.name == name).collect() };
        assert_eq!((of("value").len(), of("currency").len()), (1, 1));
        assert_eq!(of("revenue")[0].path.text, "properties.total");
        assert_eq!(of("revenue").len(), 1);
        let text = text.replace("customer =", "event = \"click\"\ncustomer =");
        let document = read("s.toml", &text, &[]).unwrap();
        assert_eq!(document.sources[0].event, Some(EventName::Constant("click".to_owned())));
        assert!(document.sources[0].kinds.is_empty());
    }
}
