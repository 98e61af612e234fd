//! The rules file as a document: TOML read key by key, so that all errors are found at once, with their locations.

mod churn;
mod cohorts;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ast::{Events, Expr, Function, Literal, Measure, MeasureKind, Name, Operand, Range};
use super::error::{RuleError, nearest};
use super::parser::{parse_attribute, parse_measure};
use super::reserved::{SCORES, is_reserved};
use crate::event::{Localized, Span};
pub use churn::{ChurnModel, ChurnRule, LOWEST_LEVEL, SignalRule};

/// A rules file as written, without any name resolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// An IANA name; `UTC` where none is written.
    pub time_zone: String,
    /// The events that end silence; the default is any event.
    pub activity: Events,
    /// `[defaults.usual_gap]`, used until a customer has three gaps.
    pub usual_gaps: BTreeMap<String, Span>,
    /// `[profile]`, by name.
    pub profile: BTreeMap<String, Attribute>,
    /// `[measures]`, by name.
    pub measures: BTreeMap<String, NamedMeasure>,
    /// `[churn]`
    pub churn: Option<ChurnRule>,
    /// By name.
    pub cohorts: BTreeMap<String, CohortRule>,
    /// Cohorts whose `who` could not be parsed, which was reported as an error.
    pub(super) unread: BTreeSet<String>,
}

impl Document {
    /// A document with `[churn]` alone, without cohorts and signals.
    #[must_use]
    pub fn of_churn_alone(&self, churn: ChurnRule) -> Self {
        Self {
            churn: Some(ChurnRule { signals: Vec::new(), ..churn }),
            profile: BTreeMap::new(),
            measures: BTreeMap::new(),
            cohorts: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Every expression with its cohort and key, in the order of the cohorts' names.
    pub fn expressions(&self) -> impl Iterator<Item = (&str, &'static str, &Written)> {
        self.cohorts.iter().flat_map(|(name, rule)| {
            let parts = [("who", Some(&rule.who)), ("stay", rule.stay.as_ref()), ("until", rule.until.as_ref())];
            parts.into_iter().filter_map(move |(key, written)| Some((name.as_str(), key, written?)))
        })
    }

    /// The event and property of an attribute, or of a measure that picks a value, with the value that it is compared
    /// with.
    #[must_use]
    pub fn compared<'d>(&'d self, measure: &'d Measure, with: &Operand) -> Option<(&'d Name, &'d Name, Literal)> {
        let (event, property) = match &measure.kind {
            MeasureKind::Named(name) => {
                let attribute = self.profile.get(&name.text)?;
                (&attribute.event, &attribute.property)
            }
            MeasureKind::Of {
                function: Function::First | Function::Last | Function::MostCommon,
                event,
                property,
                ..
            } => (event, property),
            _ => return None,
        };
        let is_name = |word: &str| self.profile.contains_key(word) || self.measures.contains_key(word);
        let value = match with {
            Operand::Literal(value) => value.clone(),
            Operand::Word(word) if !is_name(&word.text) => Literal::Text(word.text.clone()),
            _ => return None,
        };
        Some((event, property, value))
    }
}

/// `plan = "signup.plan"`: the property of the latest event by time that carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub event: Name,
    pub property: Name,
}

/// `basket = "average(purchase.amount in the last 90 days)"`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedMeasure {
    pub text: String,
    pub measure: Measure,
    /// The value's range in the file, with its quotes.
    pub(super) literal: std::ops::Range<usize>,
}

/// One `[cohorts.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortRule {
    pub who: Written,
    pub stay: Option<Written>,
    pub until: Option<Written>,
    pub at_least: Option<Span>,
    pub at_most: Option<Span>,
    pub cooldown: Option<Span>,
    /// `reenter = "never"`
    pub once: bool,
    pub enabled: bool,
    /// Decided and counted, never emitted.
    pub shadow: bool,
    /// `exclusive_in` with `priority`
    pub group: Option<Group>,
    pub on_create: OnCreate,
    /// Attributes and named measures that its changes carry; their ranges are those in the file.
    pub include: Vec<Name>,
    /// The name for people; the key where none is written.
    pub name: Localized,
    pub owner: Option<String>,
    pub action: Option<String>,
}

/// A group of cohorts, of which a customer is in one at a time: the one with the lowest priority number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub priority: i64,
    /// The location of the priority in the file.
    pub(super) literal: std::ops::Range<usize>,
}

/// Whether the entries of customers who are in a cohort from its creation on may be acted on.
///
/// Only an edit of the rules uses it, since only that creates a cohort for customers already known. A first start
/// decides them over the log and ignores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCreate {
    /// No automation acts on their entry.
    #[default]
    Silent,
    /// Their entry may be acted on like any other.
    Emit,
}

/// An expression with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub text: String,
    pub expr: Expr,
    /// The value's range in the file, with its quotes.
    pub(super) literal: std::ops::Range<usize>,
}

const TOP_KEYS: [&str; 7] = ["time_zone", "activity", "defaults", "cohorts", "churn", "measures", "profile"];

/// Reads a rules file.
///
/// # Errors
/// Every syntax error, in the order of the file.
pub fn read(file: &str, text: &str) -> Result<Document, Vec<RuleError>> {
    match read_partly(file, text) {
        (Some(document), errors) if errors.is_empty() => Ok(document),
        (_, errors) => Err(errors),
    }
}

/// Reads as much of a rules file as possible, so that errors elsewhere in it can still be found; `None` if it is not
/// valid TOML.
pub(super) fn read_partly(file: &str, text: &str) -> (Option<Document>, Vec<RuleError>) {
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let range = Range { start: span.start, end: span.end };
            let hint = habit(text, span.start).map(str::to_owned);
            let error = RuleError::at(file, text, range, "", format!("this is not valid TOML: {message}"), hint);
            return (None, vec![error]);
        }
    };
    let mut reader = Reader { file, text, errors: Vec::new() };
    let document = reader.document(&table);
    reader.errors.sort_by_key(|error| (error.line, error.column));
    (Some(document), reader.errors)
}

/// A hint for invalid TOML at `at`, for common mistakes.
fn habit(text: &str, at: usize) -> Option<&'static str> {
    let at = text.floor_char_boundary(at);
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    let value = line.split_once('=').map_or("", |(_, value)| value.trim_start());
    if text.trim_start().starts_with('{') {
        return Some("this looks like JSON; a rules file begins like [cohorts.new_signups], and then who = \"...\"");
    }
    if value.starts_with(['“', '”', '„', '«', '‘', '’']) {
        return Some("write straight quotes, \"...\"");
    }
    if value.starts_with('"') && value.matches('"').count() > 2 {
        return Some("quotes inside quotes: put the whole rule between '...', and the texts in it between \"...\"");
    }
    if value.starts_with(char::is_alphabetic) {
        return Some("put a rule or a text in quotes: who = \"did purchase in the last 7 days\"");
    }
    if line.starts_with('[') && line.contains(' ') {
        return Some("a cohort name has no spaces: [cohorts.best_customers]");
    }
    None
}

/// A hint for an unknown time zone.
fn zone_like(name: &str) -> String {
    let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "use a name from the IANA list, such as \"Europe/Paris\"".to_owned(),
    }
}

type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<RuleError>,
}

impl Reader<'_> {
    fn document(&mut self, table: &DeTable<'_>) -> Document {
        let mut document = Document {
            time_zone: "UTC".into(),
            activity: Events::Anything,
            usual_gaps: BTreeMap::new(),
            profile: BTreeMap::new(),
            measures: BTreeMap::new(),
            churn: None,
            cohorts: BTreeMap::new(),
            unread: BTreeSet::new(),
        };
        for entry in table {
            let (key, value) = entry;
            match key.get_ref().as_ref() {
                "time_zone" => {
                    if let Some(name) = self.string("time_zone", value) {
                        if jiff::tz::TimeZone::get(&name).is_err() {
                            let message = format!("`{name}` is not a known time zone");
                            self.error("time_zone", value.span(), message, Some(zone_like(&name)));
                        }
                        document.time_zone = name;
                    }
                }
                "activity" => {
                    if let Some(names) = self.names("activity", value) {
                        document.activity = Events::Named(names);
                    }
                }
                "defaults" => document.usual_gaps = self.defaults(value),
                "profile" => document.profile = self.profile(value),
                "measures" => document.measures = self.measures(value),
                "cohorts" => (document.cohorts, document.unread) = self.cohorts(value),
                "churn" => document.churn = self.churn(key.span(), value),
                _ => self.unknown("", entry, &TOP_KEYS),
            }
        }
        for (name, defined) in &document.measures {
            if document.profile.contains_key(name) {
                let message = format!("`{name}` is also an attribute of [profile]");
                let key = format!("measures.{name}");
                self.error(&key, defined.literal.clone(), message, Some("give one of them another name".into()));
            }
        }
        if document.cohorts.is_empty() && document.churn.is_none() && self.errors.is_empty() {
            let hint = "add one: [cohorts.new_signups] with who = \"did signup in the last 7 days\"";
            self.error("", 0..0, "no cohort is defined".into(), Some(hint.into()));
        }
        document
    }

    fn defaults(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Span> {
        let mut gaps = BTreeMap::new();
        for entry in self.table("defaults", value) {
            if entry.0.get_ref().as_ref() != "usual_gap" {
                self.unknown("defaults", entry, &["usual_gap"]);
                continue;
            }
            for (event, gap) in self.table("defaults.usual_gap", entry.1) {
                if let Some(duration) = self.duration(&format!("defaults.usual_gap.{}", event.get_ref()), gap) {
                    gaps.insert(event.get_ref().to_string(), duration.span);
                }
            }
        }
        gaps
    }

    fn profile(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Attribute> {
        let mut attributes = BTreeMap::new();
        for (name, value) in self.table("profile", value) {
            let key = format!("profile.{}", name.get_ref());
            self.bare_name("profile", name);
            let Some(text) = self.string(&key, value) else { continue };
            match parse_attribute(&text) {
                Ok((event, property)) => {
                    attributes.insert(name.get_ref().to_string(), Attribute { event, property });
                }
                Err(error) => {
                    let hint = "an attribute is an event's property: \"signup.plan\"";
                    let error = if error.hint.is_none() { error.hint(hint) } else { error };
                    self.inside(&key, value.span(), &text, error);
                }
            }
        }
        attributes
    }

    fn measures(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, NamedMeasure> {
        let mut measures = BTreeMap::new();
        for (name, value) in self.table("measures", value) {
            let key = format!("measures.{}", name.get_ref());
            self.bare_name("measures", name);
            let Some(text) = self.string(&key, value) else { continue };
            match parse_measure(&text) {
                Ok(measure) => {
                    let defined = NamedMeasure { text, measure, literal: value.span() };
                    measures.insert(name.get_ref().to_string(), defined);
                }
                Err(error) => self.inside(&key, value.span(), &text, error),
            }
        }
        measures
    }

    /// Checks a name that is used in expressions without quotes.
    fn bare_name(&mut self, section: &str, name: &Spanned<std::borrow::Cow<'_, str>>) {
        let plain = name.get_ref().as_ref();
        if !is_plain(plain) {
            let hint = "use lower-case letters, digits and _, beginning with a letter";
            self.error(section, name.span(), format!("`{plain}` is not a valid name"), Some(hint.into()));
        } else if is_reserved(plain) {
            let message = format!("`{plain}` is a reserved word");
            self.error(section, name.span(), message, Some("give it another name".into()));
        } else if SCORES.contains(&plain) {
            let message = format!("`{plain}` is the name of a score");
            self.error(section, name.span(), message, Some("give it another name".into()));
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}
