//! A source as text again: as it is in force, with what its preset adds.

use std::fmt;

use super::document::{EventName, Kind, Source};
use super::field::As;
use super::filter::{Filter, Test};
use super::path::Path;
use super::time::Unit;
use crate::event::{Kept, Span};
use crate::rules::ast::Op;

/// TOML that reads as the same source, without its preset.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        writeln!(f, "[sources.{name}]")?;
        match self.topics.as_slice() {
            [topic] => writeln!(f, "topic = {}", quoted(topic))?,
            topics => {
                let topics: Vec<String> = topics.iter().map(|topic| quoted(topic)).collect();
                writeln!(f, "topics = [{}]", topics.join(", "))?;
            }
        }
        writeln!(f, "format = {}", quoted(self.format.word()))?;
        writeln!(f, "customer = {}", paths(&self.customer))?;
        writeln!(f, "no_customer = {}", quoted(self.no_customer.word()))?;
        match self.time.unit {
            Some(unit) => {
                writeln!(f, "time = {{ field = {}, unit = {} }}", paths(&self.time.paths), quoted(word(unit)))?
            }
            None => writeln!(f, "time = {}", paths(&self.time.paths))?,
        }
        if let Some(zone) = self.time.zone.as_ref().and_then(jiff::tz::TimeZone::iana_name) {
            writeln!(f, "time_zone = {}", quoted(zone))?;
        }
        if !self.id.is_empty() {
            writeln!(f, "id = {}", paths(&self.id))?;
        }
        writeln!(f, "dedupe = {}", quoted(&self.dedupe))?;
        if let Some(from) = self.from {
            writeln!(f, "from = {}", quoted(&from.to_string()))?;
        }
        if let Some(every) = self.expect_every {
            writeln!(f, "expect_every = {}", quoted(&interval(every)))?;
        }
        if let Some(event) = &self.event {
            writeln!(f, "event = {}", event_name(event))?;
        }
        if let Some(filter) = &self.filter {
            writeln!(f, "where = {}", quoted(&filter.to_string()))?;
        }
        if let Some(each) = &self.each {
            writeln!(f, "each = {}", quoted(&each.text))?;
        }
        if !self.properties.is_empty() {
            writeln!(f, "\n[sources.{name}.properties]")?;
        }
        for property in &self.properties {
            let path = quoted(&property.path.text);
            let value = match property.as_ {
                As::Itself => path,
                As::Text => format!("{{ field = {path}, as = \"text\" }}"),
                As::Number => format!("{{ field = {path}, as = \"number\" }}"),
                As::Negative => format!("{{ field = {path}, as = \"negative\" }}"),
            };
            writeln!(f, "{} = {value}", key(&property.name))?;
        }
        self.kinds.iter().try_for_each(|kind| entry(f, name, kind))
    }
}

fn entry(f: &mut fmt::Formatter<'_>, name: &str, kind: &Kind) -> fmt::Result {
    writeln!(f, "\n[[sources.{name}.events]]")?;
    if let Some(record) = &kind.record {
        writeln!(f, "record = {}", quoted(record))?;
    }
    if let Some(filter) = &kind.filter {
        writeln!(f, "where = {}", quoted(&filter.to_string()))?;
    }
    if let Some(became) = &kind.became {
        writeln!(f, "became = {}", quoted(&became.after.to_string()))?;
    }
    if let Some(event) = &kind.event {
        writeln!(f, "event = {}", event_name(event))?;
    }
    Ok(())
}

/// In the largest unit that it is a whole number of.
fn interval(span: Span) -> String {
    let units = [(Span::DAY, "days"), (Span::HOUR, "hours"), (Span::MINUTE, "minutes"), (Span::SECOND, "seconds")];
    let whole = units.into_iter().find(|(unit, _)| span.0 % unit.0 == 0);
    let (unit, word) = whole.unwrap_or((Span(1), "milliseconds"));
    let count = span.0 / unit.0;
    format!("{count} {}", if count == 1 { word.trim_end_matches('s') } else { word })
}

fn word(unit: Unit) -> &'static str {
    Unit::NAMES.iter().find(|(_, known)| *known == unit).map_or("", |(word, _)| word)
}

fn paths(paths: &[Path]) -> String {
    match paths {
        [path] => quoted(&path.text),
        paths => {
            let texts: Vec<String> = paths.iter().map(|path| quoted(&path.text)).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

fn event_name(name: &EventName) -> String {
    match name {
        EventName::Constant(name) => quoted(name),
        EventName::Field { paths: field, names: None } => format!("{{ field = {} }}", paths(field)),
        EventName::Field { paths: field, names: Some(names) } => {
            let names: Vec<String> = names.iter().map(|(from, to)| format!("{} = {}", key(from), quoted(to))).collect();
            format!("{{ field = {}, names = {{ {} }} }}", paths(field), names.join(", "))
        }
    }
}

/// A key of TOML, in quotes where it needs them.
fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { escaped(name) }
}

/// A text of TOML, in the quotes that need no escapes if there are such.
fn quoted(text: &str) -> String {
    let is_literal = text.contains(['"', '\\']) && !text.contains(['\'', '\n']) && !text.chars().any(char::is_control);
    if is_literal { format!("'{text}'") } else { escaped(text) }
}

fn escaped(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The condition in its own language.
impl fmt::Display for Filter<Path> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::And(_) | Self::Or(_) => write!(f, "({part})")?,
                    single => write!(f, "{single}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::And(parts) => joined(f, parts, "and"),
            Self::Or(parts) => joined(f, parts, "or"),
            Self::Not(inner) if matches!(**inner, Self::And(_) | Self::Or(_)) => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Test(path, test) => {
                let text = &path.text;
                match test {
                    Test::Compare(op, value) => write!(f, "{text} {} {}", sign(*op), literal(value)),
                    Test::In(values) => {
                        let values: Vec<String> = values.iter().map(literal).collect();
                        write!(f, "{text} in ({})", values.join(", "))
                    }
                    Test::Contains(value) => write!(f, "{text} contains {}", literal(value)),
                    Test::Missing => write!(f, "{text} is missing"),
                    Test::Known => write!(f, "{text} is known"),
                }
            }
        }
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Eq => "=",
        Op::Ne => "!=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
    }
}

fn literal(value: &Kept) -> String {
    match value {
        Kept::Bool(value) => value.to_string(),
        Kept::Number(value) => value.to_string(),
        Kept::Text(value) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
