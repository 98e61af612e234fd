//! The reference for sources: evaluates a mapping over whole decoded values, path by path, without schemas compiled into
//! anything. Shares only numbers and instants with what it checks.

use std::fmt::Write as _;

use cohortd::event::{Instant, Number};

use super::values::{Found, Type};

/// A path in parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) of_element: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Name(String),
    Place(usize),
    Keyed(String, String),
}

#[derive(Debug, Clone)]
pub(super) enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Test(Path, Test),
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    /// A sign, and a number in hundredths.
    Number(&'static str, i64),
    Text(&'static str, &'static str),
    True,
    In(Vec<&'static str>),
    Contains(&'static str),
    Missing,
    Known,
}

/// A source in parts.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) customer: Vec<Path>,
    pub(super) time: Vec<Path>,
    pub(super) id: Option<Path>,
    pub(super) name: Option<Path>,
    pub(super) filter: Option<Filter>,
    pub(super) each: Option<Path>,
    pub(super) properties: Vec<Path>,
}

impl Path {
    pub(super) fn text(&self) -> String {
        let mut text = if self.of_element { "each".to_owned() } else { String::new() };
        for step in &self.steps {
            match step {
                Step::Name(name) if text.is_empty() => text.push_str(name),
                Step::Name(name) => write!(text, ".{name}").unwrap(),
                Step::Place(place) => write!(text, "[{place}]").unwrap(),
                Step::Keyed(by, is) => write!(text, "[{by}=\"{is}\"]").unwrap(),
            }
        }
        text
    }

    fn find<'f>(&self, record: &'f Found, element: Option<&'f Found>) -> &'f Found {
        let from = if self.of_element { element.unwrap_or(&Found::Null) } else { record };
        self.steps.iter().fold(from, |value, step| match (step, value) {
            (Step::Name(name), Found::Members(members)) => {
                members.iter().rev().find(|(own, _)| own == name).map_or(&Found::Null, |(_, value)| value)
            }
            (Step::Place(place), Found::List(items)) => items.get(*place).unwrap_or(&Found::Null),
            (Step::Keyed(by, is), Found::List(items)) => {
                let by = Self { of_element: false, steps: vec![Step::Name(by.clone())] };
                let has = |item: &&Found| id(by.find(item, None)) == Ok(Some(is.clone()));
                items.iter().find(has).unwrap_or(&Found::Null)
            }
            _ => &Found::Null,
        })
    }

    /// Does any branch of a type have it?
    pub(super) fn is_in(&self, of: &Type) -> bool {
        fn walk(of: &Type, steps: &[Step]) -> bool {
            let Some((step, rest)) = steps.split_first() else { return true };
            match (step, of) {
                (_, Type::Union(branches)) => branches.iter().any(|branch| walk(branch, steps)),
                (Step::Name(name), Type::Record(record)) => record.field(name).is_some_and(|of| walk(of, rest)),
                (Step::Name(_), Type::Map(values)) => walk(values, rest),
                (Step::Place(_) | Step::Keyed(..), Type::List(items)) => walk(items, rest),
                _ => false,
            }
        }
        walk(of, &self.steps)
    }

    /// The types of the elements of the lists that it leads to.
    pub(super) fn elements<'t>(&self, of: &'t Type) -> Vec<&'t Type> {
        fn walk<'t>(of: &'t Type, steps: &[Step], found: &mut Vec<&'t Type>) {
            match (steps.split_first(), of) {
                (_, Type::Union(branches)) => branches.iter().for_each(|branch| walk(branch, steps, found)),
                (None, Type::List(items)) => found.push(items),
                (Some((Step::Name(name), rest)), Type::Record(record)) => {
                    record.field(name).into_iter().for_each(|of| walk(of, rest, found));
                }
                (Some((Step::Name(_), rest)), Type::Map(values)) => walk(values, rest, found),
                (Some((Step::Place(_) | Step::Keyed(..), rest)), Type::List(items)) => walk(items, rest, found),
                _ => {}
            }
        }
        let mut found = Vec::new();
        walk(of, &self.steps, &mut found);
        found
    }
}

impl Filter {
    pub(super) fn text(&self) -> String {
        match self {
            Self::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) or ({})", a.text(), b.text()),
            Self::Not(inner) => format!("not ({})", inner.text()),
            Self::Test(path, test) => {
                let path = path.text();
                match test {
                    Test::Number(sign, hundredths) => format!("{path} {sign} {}", hundredths_text(*hundredths)),
                    Test::Text(sign, text) => format!("{path} {sign} \"{text}\""),
                    Test::True => format!("{path} = true"),
                    Test::In(texts) => {
                        let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
                        format!("{path} in ({})", texts.join(", "))
                    }
                    Test::Contains(text) => format!("{path} contains \"{text}\""),
                    Test::Missing => format!("{path} is missing"),
                    Test::Known => format!("{path} is known"),
                }
            }
        }
    }

    fn holds(&self, record: &Found, element: Option<&Found>) -> bool {
        match self {
            Self::And(a, b) => a.holds(record, element) && b.holds(record, element),
            Self::Or(a, b) => a.holds(record, element) || b.holds(record, element),
            Self::Not(inner) => !inner.holds(record, element),
            Self::Test(path, test) => {
                let found = path.find(record, element);
                match test {
                    Test::Missing => *found == Found::Null,
                    Test::Known => *found != Found::Null,
                    Test::True => value(found).as_deref() == Some("true"),
                    Test::In(texts) => texts.iter().any(|text| value(found) == Some(format!("'{text}'"))),
                    Test::Contains(part) => match found {
                        Found::Text(text) => text.contains(part),
                        Found::List(items) => items.iter().any(|item| value(item) == Some(format!("'{part}'"))),
                        _ => false,
                    },
                    Test::Text(sign, text) => match value(found) {
                        None => false,
                        Some(own) if own.starts_with('\'') => signed(sign, own.cmp(&format!("'{text}'"))),
                        Some(_) => *sign == "!=",
                    },
                    Test::Number(sign, hundredths) => match (value(found), number(found)) {
                        (None, _) => false,
                        (Some(_), Some(own)) => signed(sign, own.cmp(&Number(i128::from(*hundredths) * 10_000))),
                        (Some(_), None) => *sign == "!=",
                    },
                }
            }
        }
    }
}

fn hundredths_text(hundredths: i64) -> String {
    Number(i128::from(hundredths) * 10_000).to_string()
}

fn signed(sign: &str, order: std::cmp::Ordering) -> bool {
    match sign {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        other => panic!("{other}"),
    }
}

/// The text of an id; an error for what is none.
fn id(found: &Found) -> Result<Option<String>, ()> {
    match found {
        Found::Null => Ok(None),
        Found::Text(text) if text.is_empty() => Ok(None),
        Found::Text(text) => Ok(Some(text.clone())),
        Found::Moment(_, sent) | Found::Local(sent) => Ok(Some(sent.to_string())),
        Found::Number(unscaled, scale) => {
            let factor = 10_i128.pow(*scale);
            if unscaled % factor == 0 { Ok(Some((unscaled / factor).to_string())) } else { Err(()) }
        }
        Found::Double(value) if value.trunc() == *value && value.abs() < 9e15 => Ok(Some((*value as i64).to_string())),
        _ => Err(()),
    }
}

fn number(found: &Found) -> Option<Number> {
    let number = match found {
        Found::Number(unscaled, scale) => Number(unscaled * 10_i128.pow(6 - scale)),
        Found::Double(value) => Number::from_double(*value)?,
        Found::Moment(millis, _) => Number::from_integer(Instant(*millis).plausible()?.0),
        _ => return None,
    };
    (number.0.abs() < Number::LIMIT).then_some(number)
}

/// A property's value as it is shown; `None`: missing, or of no use.
fn value(found: &Found) -> Option<String> {
    match found {
        Found::Bool(value) => Some(value.to_string()),
        Found::Text(text) => Some(format!("'{text}'")),
        Found::Date(days) => {
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(i64::from(*days))).unwrap();
            Some(format!("'{date}'"))
        }
        Found::Time(seconds) => Some(format!("'{:02}:{:02}:{:02}'", seconds / 3_600, seconds / 60 % 60, seconds % 60)),
        other => number(other).map(|number| number.to_string()),
    }
}

fn instant(found: &Found) -> Result<Instant, ()> {
    let bare = |millis: i128| {
        let is_small = millis != 0 && millis.abs() < 100_000_000_000;
        i64::try_from(millis).ok().filter(|_| !is_small)
    };
    let millis = match found {
        Found::Moment(millis, _) => Some(*millis),
        Found::Number(unscaled, scale) => bare(unscaled.div_euclid(10_i128.pow(*scale))),
        Found::Double(value) if value.is_finite() && value.abs() < 1e18 => bare(value.floor() as i128),
        Found::Text(text) if text == "2026-01-05T09:00:00Z" => Some(1_767_603_600_000),
        _ => None,
    };
    millis.and_then(|millis| Instant(millis).plausible()).ok_or(())
}

impl Source {
    pub(super) fn text(&self, format: &str) -> String {
        let list = |paths: &[Path]| {
            let texts: Vec<String> = paths.iter().map(|path| format!("'{}'", path.text())).collect();
            format!("[{}]", texts.join(", "))
        };
        let mut text = format!("[sources.s]\ntopic = \"t\"\nformat = \"{format}\"\n");
        writeln!(text, "customer = {}\ntime = {}", list(&self.customer), list(&self.time)).unwrap();
        match &self.name {
            Some(path) => {
                writeln!(text, "event = {{ field = '{}', names = {{ x = \"ex\", 1 = \"one\" }} }}", path.text())
            }
            None => writeln!(text, "event = \"e\""),
        }
        .unwrap();
        if let Some(id) = &self.id {
            writeln!(text, "id = '{}'", id.text()).unwrap();
        }
        if let Some(filter) = &self.filter {
            writeln!(text, "where = '{}'", filter.text()).unwrap();
        }
        if let Some(each) = &self.each {
            writeln!(text, "each = '{}'", each.text()).unwrap();
        }
        text.push_str("[sources.s.properties]\n");
        for (place, path) in self.properties.iter().enumerate() {
            writeln!(text, "p{place} = '{}'", path.text()).unwrap();
        }
        text
    }

    /// What becomes of a record: what it is in one line for each event, or the reason alone.
    pub(super) fn judge(&self, record: &Found, of: Option<&Type>) -> Vec<String> {
        if let Some(of) = of
            && self.is_blocked(of)
        {
            return vec!["refused: no_such_field".to_owned()];
        }
        let Some(each) = &self.each else {
            return match self.one(record, None) {
                Ok(event) => vec![event],
                Err(reason) => vec![reason],
            };
        };
        let items = match each.find(record, None) {
            Found::Null => return vec!["skipped: no_elements".to_owned()],
            Found::List(items) => items,
            // A branch of a union that is no list has none.
            _ if of.is_some() => return vec!["skipped: no_elements".to_owned()],
            _ => return vec!["refused: bad_list".to_owned()],
        };
        let (mut events, mut first) = (Vec::new(), "skipped: no_elements".to_owned());
        for (number, item) in items.iter().enumerate() {
            match self.one(record, Some((number, item))) {
                Ok(event) => events.push(event),
                Err(reason) if reason.starts_with("refused") => return vec![reason],
                Err(reason) if first.ends_with("no_elements") => first = reason,
                Err(_) => {}
            }
        }
        if events.is_empty() { vec![first] } else { events }
    }

    fn is_blocked(&self, of: &Type) -> bool {
        let elements = self.each.as_ref().map(|each| each.elements(of)).unwrap_or_default();
        let is_absent = |path: &Path| match path.of_element {
            false => !path.is_in(of),
            true => !elements.is_empty() && !elements.iter().any(|of| path.is_in(of)),
        };
        self.customer.iter().all(is_absent)
            || self.time.iter().all(is_absent)
            || self.each.is_some() && elements.is_empty()
    }

    fn one(&self, record: &Found, element: Option<(usize, &Found)>) -> Result<String, String> {
        let item = element.map(|(_, item)| item);
        let first = |paths: &[Path]| {
            let found = paths.iter().map(|path| id(path.find(record, item)));
            found.into_iter().find(|id| *id != Ok(None)).unwrap_or(Ok(None))
        };
        if self.filter.as_ref().is_some_and(|filter| !filter.holds(record, item)) {
            return Err("skipped: where".to_owned());
        }
        let name = match &self.name {
            None => "e",
            Some(path) => match first(std::slice::from_ref(path)) {
                Ok(Some(text)) if text == "x" => "ex",
                Ok(Some(text)) if text == "1" => "one",
                Ok(Some(_)) => return Err("skipped: other_event".to_owned()),
                Ok(None) | Err(()) => return Err("refused: no_event".to_owned()),
            },
        };
        let customer = match first(&self.customer) {
            Ok(Some(customer)) => customer,
            Ok(None) => return Err("skipped: no_customer".to_owned()),
            Err(()) => return Err("refused: bad_customer".to_owned()),
        };
        let is_there = |found: &&Found| **found != Found::Null && **found != Found::Text(String::new());
        let time = self.time.iter().map(|path| path.find(record, item)).find(is_there);
        let at = time.and_then(|found| instant(found).ok()).ok_or("refused: bad_time")?;
        let number = element.map(|(number, _)| format!("#{number}")).unwrap_or_default();
        let id = match &self.id {
            None => format!("hash{number}"),
            Some(path) => match first(std::slice::from_ref(path)) {
                Ok(None) => format!("hash{number}"),
                Ok(Some(id)) if path.of_element => id,
                Ok(Some(id)) => format!("{id}{number}"),
                Err(()) => return Err("refused: bad_id".to_owned()),
            },
        };
        let (mut properties, mut unusable) = (Vec::new(), 0);
        for (place, path) in self.properties.iter().enumerate() {
            match path.find(record, item) {
                Found::Null => {}
                found => match value(found) {
                    Some(value) => properties.push(format!("p{place}={value}")),
                    None => unusable += 1,
                },
            }
        }
        if unusable > 0 {
            properties.push(format!("unusable={unusable}"));
        }
        Ok(format!("{customer} {name} {at} {id} s [{}]", properties.join(" ")))
    }
}
