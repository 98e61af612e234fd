//! Names, filters, windows and facts: the parts of conditions and measures.

use std::collections::BTreeSet;

use super::Compiler;
use crate::event::{NameId, PropertyId};
use crate::fact::{Earliest, FactIx, FactKind, Latest};
use crate::rules::ast::{
    Edge, Events, Filter as WrittenFilter, FilterTest as WrittenTest, Literal as WrittenLiteral, Name, Step, Unit,
    Window as WrittenWindow,
};
use crate::rules::fact_spec::{FactSpec, Selector};
use crate::rules::measure::Window;
use crate::rules::selector::{Filter, FilterTest, Literal};

impl Compiler<'_> {
    pub(super) fn window(&mut self, window: &WrittenWindow) -> Window {
        match window {
            WrittenWindow::Ever => Window::Ever,
            WrittenWindow::Last(duration) => Window::Last(duration.span),
            WrittenWindow::LastByCalendar { periods, unit } => Window::Calendar { periods: *periods, unit: *unit },
            WrittenWindow::Between(far, near) => Window::Between { far: far.span, near: near.span },
            WrittenWindow::MoreThan(duration) => Window::MoreThan(duration.span),
            WrittenWindow::Since(edge, events) => {
                let selector = self.selector_of(events, &[]);
                Window::Since { fact: self.edge(*edge, &selector), edge: *edge, inclusive: false }
            }
            WrittenWindow::SinceDate(date) => {
                let date = jiff::civil::date(date.year, date.month, date.day);
                let day = jiff::civil::date(1970, 1, 1).until(date).map_or(0, |span| i64::from(span.get_days()));
                Window::SinceDate(self.calendar.start(day, Unit::Day))
            }
            WrittenWindow::WithinFirst(duration, name) => {
                let selector = self.selector_of(&Events::Named(vec![name.clone()]), &[]);
                Window::WithinFirst { fact: self.edge(Edge::First, &selector), span: duration.span }
            }
        }
    }

    /// A window of changes of membership: `since F` includes the change that F itself causes.
    pub(super) fn window_of_changes(&mut self, window: &WrittenWindow) -> Window {
        match self.window(window) {
            Window::Since { fact, edge, .. } => Window::Since { fact, edge, inclusive: true },
            other => other,
        }
    }

    pub(super) fn edge(&mut self, edge: Edge, selector: &Selector) -> FactIx {
        let kind: FactKind = match edge {
            Edge::First => Earliest { cap: 1 }.into(),
            Edge::Last => Latest { cap: 1, back: None }.into(),
        };
        self.fact(kind, selector, None)
    }

    pub(super) fn fact(&mut self, kind: impl Into<FactKind>, selector: &Selector, other: Option<Selector>) -> FactIx {
        self.fact_via(kind, selector, other, None)
    }

    pub(super) fn fact_via(
        &mut self,
        kind: impl Into<FactKind>,
        selector: &Selector,
        other: Option<Selector>,
        via: Option<Selector>,
    ) -> FactIx {
        let kind = kind.into();
        let same = |fact: &mut FactSpec| {
            fact.selector == *selector && fact.other == other && fact.via == via && fact.kind.absorb(&kind)
        };
        let at = self.facts.iter_mut().position(same).unwrap_or_else(|| {
            self.facts.push(FactSpec { kind, id: 0, selector: selector.clone(), other, chain: None, via });
            self.facts.len() - 1
        });
        FactIx(u16::try_from(at).expect("a rules file has fewer than 65,536 facts"))
    }

    pub(super) fn selector(&mut self, step: &Step) -> Selector {
        self.selector_of(&step.events, &step.filters)
    }

    pub(super) fn selector_of(&mut self, events: &Events, filters: &[WrittenFilter]) -> Selector {
        let names = match events {
            Events::Anything => None,
            Events::Named(names) => {
                let ids: BTreeSet<NameId> = names.iter().map(|name| self.name(&name.text)).collect();
                Some(ids.into_iter().collect())
            }
        };
        let mut filters: Vec<Filter> = filters.iter().map(|filter| self.filter(filter)).collect();
        filters.sort();
        filters.dedup();
        Selector { names, filters }
    }

    pub(super) fn filter(&mut self, written: &WrittenFilter) -> Filter {
        let property = self.property(&written.property);
        let test = match &written.test {
            WrittenTest::Compare(op, value) => FilterTest::compare(*op, literal(value)),
            WrittenTest::Known => FilterTest::Known,
            WrittenTest::Missing => FilterTest::Missing,
            WrittenTest::In(values) => FilterTest::In(values.iter().map(literal).collect()),
            WrittenTest::Contains(value) => FilterTest::Contains(literal(value)),
        };
        Filter { property, test }
    }

    pub(super) fn name(&mut self, name: &str) -> NameId {
        let id = self.vocabulary.add_name(name);
        if usize::from(id.0) == self.names.len() {
            self.names.push(name.to_owned());
        }
        id
    }

    pub(super) fn property(&mut self, name: &Name) -> PropertyId {
        let id = self.vocabulary.add_property(&name.text);
        if usize::from(id.0) == self.properties.len() {
            self.properties.push(name.text.clone());
        }
        id
    }
}

pub(super) fn literal(written: &WrittenLiteral) -> Literal {
    match written {
        WrittenLiteral::Bool(flag) => Literal::Bool(*flag),
        WrittenLiteral::Number(number) => Literal::Number(*number),
        WrittenLiteral::Text(text) => Literal::Text(text.as_str().into()),
    }
}
