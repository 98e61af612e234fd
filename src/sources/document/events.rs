//! Names of events, and the kinds of records of one topic.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{Became, EventName, Kind};
use super::values::Reader;
use crate::event::NAME_BYTES_MAX;
use crate::rules::ast::Range;
use crate::sources::path::{Path, Root, Step};

/// The most entries of `events`.
const KINDS_MAX: usize = 100;

impl Reader<'_> {
    /// A text, or `{ field = path, names = { VALUE = "event" } }`.
    pub(super) fn event_name(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<EventName> {
        let DeValue::Table(table) = value.get_ref() else {
            return self.name(key, value).map(EventName::Constant);
        };
        let (mut paths, mut names) = (None, None);
        for entry in table {
            match entry.0.get_ref().as_ref() {
                "field" => paths = self.paths(&format!("{key}.field"), entry.1),
                "names" => names = self.names(&format!("{key}.names"), entry.1),
                _ => self.unknown(key, entry, &["field", "names"]),
            }
        }
        if !table.contains_key("field") {
            let hint = "write { field = \"type\", names = { ORDER_PAID = \"purchase\" } }";
            self.error(key, value.span(), "`field` is missing", Some(hint.to_owned()));
        }
        paths.map(|paths| EventName::Field { paths, names })
    }

    fn names(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<BTreeMap<String, String>> {
        let table = self.table(key, value)?;
        if table.is_empty() {
            self.error(
                key,
                value.span(),
                "expected at least one name",
                Some("without `names` each value is a name".to_owned()),
            );
            return None;
        }
        let mut names = BTreeMap::new();
        for (from, to) in table {
            if let Some(name) = self.name(&format!("{key}.{}", from.get_ref()), to) {
                names.insert(from.get_ref().to_string(), name);
            }
        }
        Some(names)
    }

    /// The name of an event.
    fn name(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let name = self.string(key, value)?;
        if name.len() > NAME_BYTES_MAX {
            self.error(key, value.span(), "the name of an event has at most 1,024 bytes", None);
            return None;
        }
        Some(name)
    }

    pub(super) fn kinds(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<Kind> {
        let tables: Option<Vec<(&Spanned<DeValue<'_>>, &DeTable<'_>)>> = match value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::Table(table) => Some((item, table)),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let Some(tables) = tables.filter(|tables| !tables.is_empty() && tables.len() <= KINDS_MAX) else {
            let message = format!("expected up to {KINDS_MAX} tables, each [[{key}]]");
            self.error(key, value.span(), &message, None);
            return Vec::new();
        };
        tables.into_iter().map(|(value, table)| self.kind(key, value, table)).collect()
    }

    fn kind(&mut self, key: &str, value: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Kind {
        let mut kind = Kind { record: None, filter: None, became: None, event: None };
        for entry in table {
            let inner = format!("{key}.{}", entry.0.get_ref());
            match entry.0.get_ref().as_ref() {
                "record" => kind.record = self.string(&inner, entry.1),
                "where" => kind.filter = self.filter(&inner, entry.1),
                "became" => kind.became = self.became(&inner, entry.1),
                "event" => kind.event = self.event_name(&inner, entry.1),
                _ => self.unknown(key, entry, &["record", "where", "event", "became"]),
            }
        }
        if table.is_empty() {
            self.error(
                key,
                value.span(),
                "this entry is empty",
                Some("write `record`, `where` or `became`, and `event`".to_owned()),
            );
        }
        kind
    }

    fn became(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Became> {
        let after = self.filter(key, value)?;
        let is_after =
            |path: &Path| path.root == Root::Value && path.steps.first() == Some(&Step::Name("after".to_owned()));
        if let Some(other) = after.paths().into_iter().find(|path| !is_after(path) || path.steps.len() < 2) {
            let message = format!("`{}` does not lie within `after`", other.text);
            let hint = "`became` compares the row after a change with the row before it: 'after.status = \"PAID\"'";
            self.error_at(key, other.range, &message, Some(hint.to_owned()));
            return None;
        }
        let before = after.map(&mut |path, _| before(path));
        let row = |name: &str| Path {
            text: name.to_owned(),
            root: Root::Value,
            steps: vec![Step::Name(name.to_owned())],
            range: Range::default(),
        };
        Some(Became { after, before, rows: [row("after"), row("before")], op: row("op") })
    }
}

/// The same place in the row before.
fn before(path: &Path) -> Path {
    let mut before = path.clone();
    before.steps[0] = Step::Name("before".to_owned());
    before.text = path.text.replacen("after", "before", 1);
    before
}

#[cfg(test)]
mod tests {
    use super::before;
    use crate::sources::filter::Filter;

    #[test]
    fn the_row_before_is_at_the_same_place() {
        let filter = Filter::parse(r#"after.after.status = "PAID" and ["after"].x is known"#).unwrap();
        let texts: Vec<String> = filter.paths().into_iter().map(|path| before(path).text).collect();
        assert_eq!(texts, ["before.after.status", "[\"before\"].x"]);
    }
}
