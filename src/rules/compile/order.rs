//! The order in which cohorts are decided, from their references to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use super::names::{cohorts_named, cohorts_of_signals, risk_in};
use crate::rules::ast::{Name, Range};
use crate::rules::document::{Document, Group};
use crate::rules::error::{ExprError, nearest};

/// Errors, each with the cohort and its part.
type Errors = Vec<(String, Part, ExprError)>;

/// Which cohorts each cohort refers to, and where.
#[derive(Default)]
struct References<'d> {
    of: BTreeMap<&'d str, BTreeSet<&'d str>>,
    /// The first reference in an expression, by both names.
    locations: BTreeMap<(&'d str, &'d str), (Part, Range)>,
}

/// The cohorts in the order of their references: always the smallest name among those whose references are decided.
/// With errors, the order is still good enough to find further ones.
pub(super) fn decision_order(document: &Document) -> (Vec<&str>, Errors) {
    let mut errors = Vec::new();
    let mut references = References::default();
    references.add_expressions(document, &mut errors);
    references.add_groups(document, &mut errors);
    // Cohorts that are not enabled are never decided, so nothing waits for them.
    references.of.values_mut().for_each(|needs| needs.retain(|need| document.cohorts[*need].enabled));
    let order = references.order(document, &mut errors);
    (order, errors)
}

impl<'d> References<'d> {
    /// The cohorts named in expressions, and those named in signals where an expression asks for the risk.
    fn add_expressions(&mut self, document: &'d Document, errors: &mut Errors) {
        for (name, rule) in &document.cohorts {
            let parts =
                [(Part::Who, Some(&rule.who)), (Part::Stay, rule.stay.as_ref()), (Part::Until, rule.until.as_ref())];
            let found = self.of.entry(name).or_default();
            for (part, written) in parts {
                let mut names = Vec::new();
                if let Some(written) = written {
                    cohorts_named(&written.expr, &mut names);
                }
                if let Some(range) = written.and_then(|written| risk_in(document, &written.expr)) {
                    names.extend(cohorts_of_signals(document));
                    let known = document.cohorts.keys().filter(|known| names.iter().any(|name| name.text == **known));
                    known.for_each(|known| {
                        self.locations.entry((name, known)).or_insert((part, range));
                    });
                    // Errors in signals are reported there.
                    names.retain(|name| document.cohorts.contains_key(&name.text));
                }
                for reference in names {
                    if let Some((known, _)) = document.cohorts.get_key_value(&reference.text) {
                        found.insert(known);
                        self.locations.entry((name, known)).or_insert((part, reference.range));
                    } else if !document.unread.contains(&reference.text) {
                        // One that could not be parsed is reported there.
                        errors.push((name.clone(), part, no_cohort(document, reference)));
                    }
                }
            }
        }
    }

    /// The cohorts of a group that come first in it.
    fn add_groups(&mut self, document: &'d Document, errors: &mut Errors) {
        for (name, rule) in &document.cohorts {
            let Some(group) = &rule.group else { continue };
            let first = document.cohorts.keys().filter(|other| comes_first(document, other, name));
            self.of.entry(name).or_default().extend(first.map(String::as_str));
            let equal = |other: &&String| {
                *other < name && document.cohorts[*other].group.as_ref().is_some_and(|o| same(o, group))
            };
            if let Some(other) = document.cohorts.keys().find(equal) {
                let message = format!("`{other}` has the same priority in the group `{}`", group.name);
                let error =
                    ExprError::new(Range::default(), message).hint("give each cohort of a group a different number");
                errors.push((name.clone(), Part::Priority, error));
            }
        }
    }

    /// Sorts topologically; a cycle is an error, and is opened at one of its cohorts.
    fn order(&self, document: &Document, errors: &mut Errors) -> Vec<&'d str> {
        let mut order: Vec<&str> = Vec::new();
        let mut open: BTreeMap<&str, usize> = self.of.iter().map(|(name, needs)| (*name, needs.len())).collect();
        let mut dependants: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, needs) in &self.of {
            needs.iter().for_each(|need| dependants.entry(need).or_default().push(name));
        }
        let mut ready: BTreeSet<&str> = open.iter().filter(|(_, needs)| **needs == 0).map(|(name, _)| *name).collect();
        while !open.is_empty() {
            let next = ready.pop_first().unwrap_or_else(|| {
                let cycle = cycle(&self.of, |name| open.contains_key(name));
                errors.push(self.in_cycle(document, &cycle));
                cycle[0]
            });
            open.remove(next);
            order.push(next);
            for dependant in dependants.get(next).into_iter().flatten() {
                if let Some(needs) = open.get_mut(dependant) {
                    *needs -= 1;
                    if *needs == 0 {
                        ready.insert(dependant);
                    }
                }
            }
        }
        order
    }

    /// The error for a cycle, at a reference that is part of it.
    fn in_cycle(&self, document: &Document, cycle: &[&str]) -> (String, Part, ExprError) {
        // Priorities alone make no cycle, so at least one reference is in an expression.
        let written = cycle.windows(2).find_map(|pair| Some((pair[0], self.locations.get(&(pair[0], pair[1]))?)));
        let (name, (part, range)) = written.unwrap_or((cycle[0], &(Part::Who, Range { start: 0, end: 0 })));
        let grouped = cycle.windows(2).any(|pair| comes_first(document, pair[1], pair[0]));
        let message = format!("cohorts refer to each other in a cycle: {}", cycle.join(" -> "));
        let error = ExprError::new(*range, message).hint(if grouped {
            "remove one of these references; in a group, each cohort refers to those with lower priority numbers"
        } else {
            "remove one of these references"
        });
        (name.to_owned(), *part, error)
    }
}

/// The error for a reference to a cohort that is not defined.
fn no_cohort(document: &Document, reference: &Name) -> ExprError {
    let error = ExprError::new(reference.range, format!("there is no cohort `{}`", reference.text));
    match nearest(&reference.text, document.cohorts.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("define it, or remove the reference"),
    }
}

/// Is `first` of the same group as `name`, with a lower priority number?
pub(super) fn comes_first(document: &Document, first: &str, name: &str) -> bool {
    let group = |name: &str| document.cohorts[name].group.as_ref();
    group(first)
        .zip(group(name))
        .is_some_and(|(first, group)| first.name == group.name && first.priority < group.priority)
}

fn same(one: &Group, other: &Group) -> bool {
    one.name == other.name && one.priority == other.priority
}

/// One cycle among the names that are still open, with the first repeated at the end.
pub(super) fn cycle<'a>(
    references: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    open: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    let is_open = |name: &&&'a str| open(name);
    let mut path: Vec<&'a str> = references.keys().filter(is_open).take(1).copied().collect();
    let mut positions: BTreeMap<&'a str, usize> = BTreeMap::from([(path[0], 0)]);
    loop {
        let here = path[path.len() - 1];
        let next = references[here].iter().find(is_open).copied().unwrap_or(here);
        if let Some(start) = positions.insert(next, path.len()) {
            path.drain(..start);
            path.push(next);
            return path;
        }
        path.push(next);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::load;

    fn mistake(rules: &str) -> String {
        load("r.toml", rules).unwrap_err().iter().map(|error| error.one_line()).collect::<Vec<_>>().join("\n")
    }

    fn of_group(name: &str, who: &str, priority: &str) -> String {
        format!("[cohorts.{name}]\nwho = \"{who}\"\nexclusive_in = \"g\"\n{priority}\n")
    }

    #[test]
    fn each_cohort_of_a_group_has_a_priority_of_its_own() {
        let rules = of_group("a", "did visit", "priority = 1") + &of_group("b", "did buy", "priority = 1");
        let expected = "r.toml:8:12: cohorts.b.priority: `a` has the same priority in the group `g`; \
                        give each cohort of a group a different number";
        assert_eq!(mistake(&rules), expected);
        let expected = "r.toml:3:16: cohorts.a.exclusive_in: a cohort of the group `g` needs a `priority`; \
                        add one, such as priority = 1: the customer is in the cohort of the group with the lowest \
                        number";
        assert_eq!(mistake(&of_group("a", "did visit", "")), expected);
        let expected = "r.toml:3:12: cohorts.a.priority: a `priority` needs `exclusive_in`; \
                        add it, such as exclusive_in = \"offers\": a priority applies within a group";
        assert_eq!(mistake("[cohorts.a]\nwho = \"did visit\"\npriority = 1\n"), expected);
        assert!(mistake(&of_group("a", "did visit", "priority = 1.5")).contains("expected a whole number"));
    }

    #[test]
    fn a_group_can_close_a_circle() {
        let rules = of_group("a", "did visit and in b", "priority = 1") + &of_group("b", "did buy", "priority = 2");
        let expected = "r.toml:2:25: cohorts.a.who: cohorts refer to each other in a cycle: a -> b -> a; remove one of \
                        these references; in a group, each cohort refers to those with lower priority numbers";
        assert_eq!(mistake(&rules), expected);
    }
}
