//! Evaluates an expression on one customer at one instant.

use std::collections::BTreeSet;

use cohortd::event::{Change, Instant, Span, Value};
use cohortd::rules::ast::{
    Bound, Count, Did, Duration, Events, Expr, ExprKind, Filter, FilterTest, Literal, Mode, Op, Sequence, Silent, Step,
    Window,
};

use super::customer::{Customer, Membership};
use super::kept;
use super::log::LogEvent;
use super::rules::Rules;
use super::window::Speaks;

/// One customer at one instant.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) rules: &'a Rules<'a>,
    pub(crate) customer: &'a Customer<'a>,
    pub(crate) now: Instant,
    /// Inside `change in ... over D`: how far back it is evaluated.
    pub(crate) back: Span,
}

impl<'a> Moment<'a> {
    pub(crate) fn new(rules: &'a Rules<'a>, customer: &'a Customer<'a>, now: Instant) -> Self {
        Self { rules, customer, now, back: Span(0) }
    }

    pub(crate) fn holds(&self, expr: &'a Expr) -> bool {
        match &expr.kind {
            ExprKind::And(parts) => parts.iter().all(|part| self.holds(part)),
            ExprKind::Or(parts) => parts.iter().any(|part| self.holds(part)),
            ExprKind::Not(inner) => !self.holds(inner),
            ExprKind::Did(did) => self.did(did),
            ExprKind::Silent(silent) => self.silent(silent),
            ExprKind::Sequence(sequence) if sequence.next[0].absent => self.absence(sequence),
            ExprKind::Sequence(sequence) => self.chain(sequence),
            ExprKind::Streak(streak) => self.streak(streak),
            ExprKind::Compare(compare) => self.compare(compare),
            ExprKind::InCohort { cohort, stay } => self.in_cohort(&cohort.text, *stay),
            ExprKind::Entered { cohort, count, window } => self.entered(&cohort.text, count.as_ref(), window),
            ExprKind::Left { cohort, window } => self.left(&cohort.text, window),
            ExprKind::Rank(rank) => self.rank(rank),
            ExprKind::Consent { .. } => {
                unreachable!("refused before anything is judged")
            }
        }
    }

    /// The customer's events up to now.
    pub(crate) fn so_far(&self) -> impl Iterator<Item = &'a LogEvent> {
        let now = self.now;
        self.customer.events.iter().copied().filter(move |event| event.at <= now)
    }

    fn did(&self, did: &Did) -> bool {
        if let Some(Count::Rhythm { times, unit, periods, of_last, .. }) = did.count {
            return self.rhythm(&did.step, unit, times, periods, of_last);
        }
        let matching = || self.so_far().filter(|event| matches(event, &did.step));
        let held = self.held(&did.window, Speaks::OfEvents);
        if did.count == Some(Count::FirstTime) {
            let first = matching().map(|event| event.at).min();
            let in_window = first.is_some_and(|at| held.is_some_and(|held| held.holds(at)));
            return in_window != did.negated;
        }
        // `within D of first F`: there must be an F.
        let Some(held) = held else { return false };
        let events = || matching().filter(|event| held.holds(event.at));
        let banded = self.is_capped() && matches!(did.window, Window::Between(..) | Window::WithinFirst(..));
        let step = (&did.step.events, did.step.filters.as_slice());
        let (found, counted, bound, wanted) = match &did.count {
            count @ (None | Some(Count::Times(..))) if banded => {
                let tested = kept::times_tested(count.as_ref());
                let entries = self.numbers(step, None, &did.window, tested);
                let times = usize::try_from(entries.iter().map(|entry| entry.count).sum::<u64>()).expect("few");
                match count {
                    Some(Count::Times(bound, wanted)) => (times, times, *bound, *wanted),
                    _ => (times, times, Bound::AtLeast, 1),
                }
            }
            Some(Count::Different(bound, wanted, property)) if banded => {
                let pairs = self.held_keys(step, &did.window, |event| event.property(&property.text), kept::hash);
                (pairs.len(), pairs.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len(), *bound, *wanted)
            }
            Some(Count::OnDifferent(bound, wanted, unit)) if banded => {
                let period = |event: &LogEvent| Some(self.rules.calendar.period(*unit, event.at, 0));
                // All at one instant are of one period.
                let pairs = self.held_keys(step, &did.window, period, |_| 0);
                (pairs.len(), pairs.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len(), *bound, *wanted)
            }
            None => (events().count(), events().count(), Bound::AtLeast, 1),
            Some(Count::Times(bound, wanted)) => (events().count(), events().count(), *bound, *wanted),
            // Only events with the property count.
            Some(Count::Different(bound, wanted, property)) => {
                let values: Vec<Value<'_>> = events().filter_map(|event| event.property(&property.text)).collect();
                (values.len(), values.iter().collect::<BTreeSet<_>>().len(), *bound, *wanted)
            }
            Some(Count::OnDifferent(bound, wanted, unit)) => {
                let periods: BTreeSet<_> =
                    events().map(|event| self.rules.calendar.period(*unit, event.at, 0)).collect();
                (events().count(), periods.len(), *bound, *wanted)
            }
            Some(Count::FirstTime | Count::Rhythm { .. }) => unreachable!("decided above"),
        };
        if within_bound(counted, bound, wanted) == did.negated {
            return false;
        }
        // A count of zero needs observation.
        found > 0 || did.even_if_new || self.known_long_enough(&did.window)
    }

    fn silent(&self, silent: &Silent) -> bool {
        let listened = silent.on.as_ref().unwrap_or(&self.rules.document.activity);
        let window = Window::Last(silent.span);
        let held = self.held(&window, Speaks::OfEvents).expect("this window needs no event");
        let occurred = self.so_far().any(|event| is_one_of(event, listened) && held.holds(event.at));
        !occurred && (silent.even_if_new || self.known_long_enough(&window))
    }

    /// `[latest/each] A then no B within D [per key] [window]`
    fn absence(&self, sequence: &Sequence) -> bool {
        let next = &sequence.next[0];
        if self.is_capped() {
            let held = self.held(&sequence.window, Speaks::OfEvents);
            let counts = |due: Instant| self.now >= due && held.is_some_and(|held| held.holds(due));
            return self.waiting(sequence).into_iter().any(|open| counts(open + next.within.span));
        }
        // An event without the key is ignored; without `per`, all events share one key.
        let key = |event: &LogEvent| match &sequence.key {
            None => Some(None),
            Some(name) => event.property(&name.text).map(|value| Some(Owned::of(value))),
        };
        let with_key = |step| {
            self.so_far()
                .filter(move |event| matches(event, step))
                .filter_map(|event| key(event).map(|key| (event, key)))
                .collect::<Vec<_>>()
        };
        let (starts, answers) = (with_key(&sequence.first), with_key(&next.step));
        let held = self.held(&sequence.window, Speaks::OfEvents);
        starts.iter().any(|(start, key)| {
            let latest = !starts.iter().any(|(other, other_key)| other_key == key && other.at > start.at);
            let due = start.at + next.within.span;
            let answered = answers.iter().any(|(answer, answer_key)| {
                answer_key == key && answer.at >= start.at && !std::ptr::eq::<LogEvent>(*answer, *start)
            });
            (latest || sequence.mode == Some(Mode::Each))
                && self.now >= due
                && !answered
                && held.is_some_and(|held| held.holds(due))
        })
    }

    fn membership(&self, cohort: &str) -> Option<&Membership> {
        self.rules.place(cohort).map(|place| &self.customer.memberships[place])
    }

    pub(super) fn in_cohort(&self, cohort: &str, stay: Option<(Bound, Duration)>) -> bool {
        // A disabled cohort is never decided, so nobody is in it.
        let Some(membership) = self.membership(cohort).filter(|membership| membership.member) else { return false };
        let Some((bound, span)) = stay else { return true };
        let stayed = self.now.since(membership.entered_at.expect("a member has entered"));
        match bound {
            Bound::AtLeast => stayed >= span.span,
            Bound::AtMost => stayed <= span.span,
            Bound::Exactly => stayed == span.span,
            Bound::MoreThan => stayed > span.span,
            Bound::FewerThan => stayed < span.span,
        }
    }

    fn entered(&self, cohort: &str, count: Option<&Count>, window: &Window) -> bool {
        let held = self.held(window, Speaks::OfMembership);
        let in_window = |at: Instant| held.is_some_and(|held| held.holds(at));
        let membership = self.membership(cohort);
        let times =
            membership.map_or(0, |membership| membership.times(Change::Entered).filter(|at| in_window(*at)).count());
        match count {
            None => times >= 1,
            Some(Count::Times(bound, wanted)) => within_bound(times, *bound, *wanted),
            Some(Count::FirstTime) => membership.and_then(|m| m.first_entered_at).is_some_and(in_window),
            Some(Count::Different(..) | Count::OnDifferent(..) | Count::Rhythm { .. }) => {
                unreachable!("refused before anything is judged")
            }
        }
    }

    fn left(&self, cohort: &str, window: &Window) -> bool {
        let held = self.held(window, Speaks::OfMembership);
        self.membership(cohort).is_some_and(|membership| {
            membership.times(Change::Exited).any(|at| held.is_some_and(|held| held.holds(at)))
        })
    }
}

/// A key's value, its type kept: the number 1 and the text "1" are two keys.
#[derive(PartialEq)]
enum Owned {
    Bool(bool),
    Number(cohortd::event::Number),
    Text(String),
}

impl Owned {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text.into()),
        }
    }
}

pub(crate) fn within_bound(counted: usize, bound: Bound, wanted: u32) -> bool {
    let wanted = wanted as usize;
    match bound {
        Bound::AtLeast => counted >= wanted,
        Bound::AtMost => counted <= wanted,
        Bound::Exactly => counted == wanted,
        Bound::MoreThan => counted > wanted,
        Bound::FewerThan => counted < wanted,
    }
}

pub(crate) fn is_one_of(event: &LogEvent, events: &Events) -> bool {
    match events {
        Events::Anything => true,
        Events::Named(names) => names.iter().any(|name| name.text == event.name),
    }
}

pub(crate) fn matches(event: &LogEvent, step: &Step) -> bool {
    is_one_of(event, &step.events) && step.filters.iter().all(|filter| passes(event, filter))
}

pub(crate) fn passes(event: &LogEvent, filter: &Filter) -> bool {
    let value = event.property(&filter.property.text);
    let listed = event.listed(&filter.property.text);
    if !listed.is_empty() {
        // A list is equal to each of its values, and contains them; it has no order.
        let has = |literal: &Literal| listed.contains(&literal_value(literal));
        return match &filter.test {
            FilterTest::Compare(Op::Eq, literal) | FilterTest::Contains(literal) => has(literal),
            FilterTest::Compare(Op::Ne, literal) => !has(literal),
            FilterTest::In(literals) => literals.iter().any(has),
            FilterTest::Known => true,
            FilterTest::Missing | FilterTest::Compare(Op::Lt | Op::Le | Op::Gt | Op::Ge, _) => false,
        };
    }
    match (&filter.test, value) {
        (FilterTest::Missing, value) => value.is_none(),
        // Every comparison with a missing value is false.
        (_, None) => false,
        (FilterTest::Known, Some(_)) => true,
        (FilterTest::Compare(op, literal), Some(value)) => compare_values(value, *op, literal_value(literal)),
        (FilterTest::In(literals), Some(value)) => literals.iter().any(|literal| literal_value(literal) == value),
        (FilterTest::Contains(literal), Some(value)) => match (value, literal) {
            (Value::Text(text), Literal::Text(part)) => text.contains(part.as_str()),
            _ => false,
        },
    }
}

fn literal_value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Bool(flag) => Value::Bool(*flag),
        Literal::Number(number) => Value::Number(*number),
        Literal::Text(text) => Value::Text(text),
    }
}

/// Between different types only `!=` is true, and booleans have no order.
fn compare_values(left: Value<'_>, op: Op, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => ordered(&left, op, &right),
        (Value::Text(left), Value::Text(right)) => ordered(left, op, right),
        (left, right) => match op {
            Op::Eq => left == right,
            Op::Ne => left != right,
            Op::Lt | Op::Le | Op::Gt | Op::Ge => false,
        },
    }
}

pub(crate) fn ordered<T: Ord + ?Sized>(left: &T, op: Op, right: &T) -> bool {
    match op {
        Op::Eq => left == right,
        Op::Ne => left != right,
        Op::Lt => left < right,
        Op::Le => left <= right,
        Op::Gt => left > right,
        Op::Ge => left >= right,
    }
}
