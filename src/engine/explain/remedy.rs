//! What would make a condition hold otherwise.

use std::cmp::Ordering;

use crate::engine::conditions::{CustomerView, moves, within};
use crate::engine::customer::Membership;
use crate::engine::effects::{Claim, Part};
use crate::event::{Change, Instant, NameId, Value};
use crate::fact::{A, B, Fact, FactIx, FactKind, VIA};
use crate::rules::ast::{Edge, Op};
use crate::rules::{
    Aggregate, CohortIx, Comparand, Condition, CountTest, Filter, Measure, Node, Role, RuleSet, Score, Window,
};

/// Any one of these may turn a condition; nothing else can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turn {
    pub deeds: Vec<Deed>,
    /// The customer's entering or leaving another cohort.
    pub cohorts: Vec<(CohortIx, Change)>,
    /// Silence until then.
    pub silence_until: Option<Instant>,
}

/// What the customer may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Any of these; `None`: anything at all.
    pub names: Option<Vec<NameId>>,
    /// Only with properties as the condition asks.
    pub filtered: bool,
    pub times: u64,
}

impl Turn {
    pub(super) fn of(part: &Part, scene: &CustomerView<'_>) -> Self {
        let mut turn =
            Self { silence_until: Some(part.until).filter(|until| *until < Instant::MAX), ..Self::default() };
        if let Claim::Condition { index, second, .. } = &part.claim {
            for index in std::iter::once(*index).chain(*second) {
                turn.by(scene.rules.condition(index), scene.condition(index).holds, scene);
            }
        }
        turn
    }

    /// Adds what may turn a condition that holds now, or does not.
    fn by(&mut self, condition: &Condition, holds: bool, scene: &CustomerView<'_>) {
        match condition {
            Condition::Count { fact, window, test, .. } => self.by_count(*fact, *window, *test, holds, scene),
            Condition::First { fact, window, .. } => {
                if scene.edge(*fact, Edge::First).is_none() {
                    self.more(*fact, 1, *window, scene);
                }
            }
            Condition::Total { fact, test } => {
                let count = if let Some(Fact::Total(total)) = scene.fact(*fact) { total.count } else { 0 };
                self.more(*fact, missing(*test, count), Window::Ever, scene);
            }
            Condition::Followed { fact, .. } => {
                // An answer ends it, a first step begins it.
                self.deed(*fact, 1, if holds { answering } else { own }, scene.rules);
            }
            // One that holds may only be ended by time; one that does not, by any of its steps.
            Condition::Chain { fact, window } => {
                if !holds {
                    self.deed(*fact, 1, Role::step, scene.rules);
                }
                if let Window::Since { fact, .. } = window {
                    self.deed(*fact, 1, own, scene.rules);
                }
            }
            // An event of now counts in the current period.
            Condition::Rhythm { fact, .. } => self.deed(*fact, 1, own, scene.rules),
            Condition::Streak { fact, .. } => self.deed(*fact, 1, own, scene.rules),
            Condition::In { cohort, .. } => {
                let leaves = scene.membership(*cohort).member;
                self.cohorts.push((*cohort, if leaves { Change::Exited } else { Change::Entered }));
            }
            Condition::Moves { cohort, entered, window, test } => {
                let mut times = [Instant::MIN; Membership::HISTORY_MAX];
                let times = moves(scene.membership(*cohort), *entered, &mut times);
                let count = within(times, *window, scene).map_or(0, |part| part.len() as u64);
                if missing(*test, count) > 0 && is_open(*window, scene) {
                    self.cohorts.push((*cohort, if *entered { Change::Entered } else { Change::Exited }));
                }
                self.by_edge(*window, *test, count, scene);
            }
            Condition::FirstEntered { cohort, .. } => {
                if scene.membership(*cohort).times_entered == 0 {
                    self.cohorts.push((*cohort, Change::Entered));
                }
            }
            Condition::Compare { measure, op, with } => {
                let number = |measure: &Measure| scene.measure(measure).value.and_then(Value::number);
                let bound = match with {
                    Comparand::Number(number) => Some(*number),
                    _ => None,
                };
                let order = number(measure).zip(bound).map(|(value, bound)| value.cmp(&bound));
                self.by_measure(measure, Some(Asked { op: *op, holds, order }), scene);
                if let Comparand::Measure { measure, .. } = with {
                    self.by_measure(measure, None, scene);
                }
            }
            Condition::Rank { rank, among } => {
                let in_it = |cohort: CohortIx| scene.membership(cohort).member;
                let turning = among.filter(|cohort| holds || !in_it(*cohort));
                self.cohorts.extend(
                    turning.map(|cohort| (cohort, if in_it(cohort) { Change::Exited } else { Change::Entered })),
                );
                let rank = scene.rules.rank(*rank);
                let op = if rank.highest { Op::Ge } else { Op::Le };
                let measure = &scene.rules.rankings[usize::from(rank.ranking.0)].measure;
                self.by_measure(measure, Some(Asked { op, holds, order: None }), scene);
            }
            Condition::Known { measure } | Condition::Missing { measure } => {
                // What is known of the past stays known.
                if scene.measure(measure).value.is_none() {
                    self.by_measure(measure, None, scene);
                }
            }
        }
    }

    fn by_count(&mut self, fact: FactIx, window: Window, test: CountTest, holds: bool, scene: &CustomerView<'_>) {
        let count = scene.found_in(fact, window).map_or(0, |found| found.count);
        let waits = count == 0 && test.holds(0) && !holds;
        // Nothing found counts only once known for long enough; something found counts at once.
        let times = if waits { u64::from(test.holds(1)) } else { missing(test, count) };
        self.more(fact, times, window, scene);
        self.by_edge(window, test, count, scene);
    }

    /// The event that a window begins with may happen (again).
    fn by_edge(&mut self, window: Window, test: CountTest, count: u64, scene: &CustomerView<'_>) {
        match window {
            // What was found lies before it then.
            Window::Since { fact, edge, .. } => {
                let moves = edge == Edge::Last || scene.edge(fact, edge).is_none();
                if moves && test.boundary_at_or_below(count).is_some() {
                    self.deed(fact, 1, own, scene.rules);
                }
            }
            Window::WithinFirst { fact, .. } if scene.edge(fact, Edge::First).is_none() => {
                self.deed(fact, 1, own, scene.rules);
            }
            _ => {}
        }
    }

    /// `asked`: how it is compared; `None`: it is one of several measures that decide together.
    fn by_measure(&mut self, measure: &Measure, asked: Option<Asked>, scene: &CustomerView<'_>) {
        let moves = Moves::of(measure, scene);
        if let Measure::Series { window, .. } | Measure::Distinct { window, .. } | Measure::Pick { window, .. } =
            measure
        {
            // The event that a window begins with leaves less in it.
            if moves != Moves::Up || asked.is_none_or(Asked::may_turn_falling) {
                self.by_anchor(*window, scene);
            }
        }
        let pointless = asked.is_some_and(|asked| match moves {
            Moves::Up => !asked.may_turn_rising(),
            Moves::Down => !asked.may_turn_falling(),
            Moves::Anywhere => false,
        });
        if let (Measure::Score { score: Score::Risk, .. }, Some(asked)) = (measure, asked) {
            self.by_signals(asked, scene);
        }
        let comparison = asked.map(|asked| (asked.op, asked.holds));
        let fact = match measure {
            // More of them cannot undo "at least", nor make "at most" true again.
            _ if pointless => return,
            Measure::Series { fact, window, .. }
            | Measure::Distinct { fact, window }
            | Measure::Pick { fact, window, .. } => {
                self.more(*fact, 1, *window, scene);
                return;
            }
            Measure::Total { fact, .. }
            | Measure::Extreme { fact }
            | Measure::Score { fact, .. }
            | Measure::UsualGap { fact, .. } => *fact,
            Measure::TimeSince { fact, edge } => {
                let known = scene.edge(*fact, *edge).is_some();
                // It begins at nothing again, which is no longer than before.
                let pointless = matches!(comparison, Some((Op::Le | Op::Lt, true) | (Op::Ge | Op::Gt, false)));
                if known && (*edge == Edge::First || pointless) {
                    return;
                }
                *fact
            }
            Measure::TimeFrom { fact } => {
                self.deed(*fact, 1, own, scene.rules);
                self.deed(*fact, 1, answering, scene.rules);
                return;
            }
            Measure::Steps { fact } => {
                self.deed(*fact, 1, own, scene.rules);
                self.deed(*fact, 1, answering, scene.rules);
                self.deed(*fact, 1, between, scene.rules);
                return;
            }
            Measure::Change { of, .. } | Measure::Growth { of, .. } => return self.by_measure(of, None, scene),
            Measure::Ratio { of, to } => {
                self.by_measure(of, None, scene);
                return self.by_measure(to, None, scene);
            }
        };
        self.deed(fact, 1, own, scene.rules);
    }

    /// Signals add their points to the risk, so whatever turns one of them may turn a comparison with it.
    fn by_signals(&mut self, asked: Asked, scene: &CustomerView<'_>) {
        let signals = scene.rules.churn.iter().flat_map(|churn| &churn.signals);
        // Who has no risk has none by signals either.
        for signal in signals.filter(|signal| signal.points != 0 && scene.outlook().is_some()) {
            let mut turn = Self::default();
            turn.by_node(&signal.when, scene);
            let rises = (signal.points > 0) != scene.node(&signal.when).holds;
            let may_turn = if rises { asked.may_turn_rising() } else { asked.may_turn_falling() };
            if may_turn {
                turn.deeds.retain(|deed| !self.deeds.contains(deed));
                self.deeds.append(&mut turn.deeds);
            }
            // In either direction: one that is entered again before points expire keeps them from expiring.
            turn.cohorts.retain(|cohort| !self.cohorts.contains(cohort));
            self.cohorts.append(&mut turn.cohorts);
        }
    }

    fn by_node(&mut self, node: &Node, scene: &CustomerView<'_>) {
        match node {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| self.by_node(part, scene)),
            Node::Not(inner) => self.by_node(inner, scene),
            Node::Leaf(index, _) => self.by(scene.rules.condition(*index), scene.condition(*index).holds, scene),
        }
    }

    /// The event that a window begins with, if another one moves the beginning.
    fn by_anchor(&mut self, window: Window, scene: &CustomerView<'_>) {
        match window {
            Window::Since { fact, edge, .. } if edge == Edge::Last || scene.edge(fact, edge).is_none() => {
                self.deed(fact, 1, own, scene.rules);
            }
            Window::WithinFirst { fact, .. } if scene.edge(fact, Edge::First).is_none() => {
                self.deed(fact, 1, own, scene.rules);
            }
            _ => {}
        }
    }

    /// So many more events, where the window is open to them.
    fn more(&mut self, fact: FactIx, times: u64, window: Window, scene: &CustomerView<'_>) {
        if times > 0 && is_open(window, scene) {
            self.deed(fact, times, own, scene.rules);
        }
    }

    /// Adds the events that feed a fact in a role: that is, with these tests.
    fn deed(
        &mut self,
        fact: FactIx,
        times: u64,
        filters: impl for<'r> Fn(&'r Role) -> Option<&'r [Filter]>,
        rules: &RuleSet,
    ) {
        let tests = |name| rules.feeds(name).iter().find(|feed| feed.fact == fact).and_then(|feed| filters(&feed.role));
        let named = (0..rules.vocabulary.names_len()).map(|i| NameId(u16::try_from(i).unwrap_or(u16::MAX)));
        let names: Vec<NameId> = named.filter(|name| tests(*name).is_some()).collect();
        let anything = tests(NameId::OTHER);
        let first = anything.or_else(|| names.first().and_then(|name| tests(*name)));
        let filtered = first.is_some_and(|filters| !filters.is_empty());
        let deed = Deed { names: anything.is_none().then_some(names), filtered, times };
        if !self.deeds.contains(&deed) {
            self.deeds.push(deed);
        }
    }
}

/// How a measure is compared, and on which side of the number it stands.
#[derive(Debug, Clone, Copy)]
struct Asked {
    op: Op,
    holds: bool,
    order: Option<Ordering>,
}

impl Asked {
    /// Can it hold otherwise where the measure is greater than now?
    fn may_turn_rising(self) -> bool {
        match (self.op, self.holds) {
            (Op::Ge | Op::Gt, holds) => !holds,
            (Op::Le | Op::Lt, holds) => holds,
            (Op::Eq | Op::Ne, _) => self.order != Some(Ordering::Greater),
        }
    }

    /// The same where it is less.
    fn may_turn_falling(self) -> bool {
        match (self.op, self.holds) {
            (Op::Ge | Op::Gt, holds) => holds,
            (Op::Le | Op::Lt, holds) => !holds,
            (Op::Eq | Op::Ne, _) => self.order != Some(Ordering::Less),
        }
    }
}

/// Where one more event moves a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moves {
    Up,
    Down,
    Anywhere,
}

impl Moves {
    /// Amounts are taken for what they mostly are: money given back is another event.
    fn of(measure: &Measure, scene: &CustomerView<'_>) -> Self {
        match measure {
            Measure::Total { of: Aggregate::Count | Aggregate::Sum, .. }
            | Measure::Series { of: Aggregate::Count | Aggregate::Sum | Aggregate::Max, .. }
            | Measure::Distinct { .. } => Self::Up,
            Measure::Series { of: Aggregate::Min, .. } => Self::Down,
            Measure::Extreme { fact } => match scene.kind(*fact) {
                FactKind::Extreme(kind) if kind.greatest => Self::Up,
                _ => Self::Down,
            },
            _ => Self::Anywhere,
        }
    }
}

fn own(role: &Role) -> Option<&[Filter]> {
    role.filters(A)
}

fn answering(role: &Role) -> Option<&[Filter]> {
    role.filters(B)
}

fn between(role: &Role) -> Option<&[Filter]> {
    role.filters(VIA)
}

/// How many more turn the test; 0: no number of them does.
fn missing(test: CountTest, count: u64) -> u64 {
    test.boundary_above(count).map_or(0, |boundary| boundary - count)
}

/// Does, or will, an event of now count in it?
fn is_open(window: Window, scene: &CustomerView<'_>) -> bool {
    match window {
        Window::WithinFirst { fact, span } => {
            scene.edge(fact, Edge::First).is_some_and(|first| scene.at <= first + span)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{CustomerState, Engine, Language, Words, explain};
    use crate::event::{CustomerEvent, Instant, Span};
    use crate::rules::{CohortIx, load};

    /// What changes the first condition of `who` on the tenth day, after visits at the beginning of some days.
    fn after(days: &[i64], who: &str) -> String {
        let rules = Arc::new(load("r.toml", &format!("[cohorts.c]\nwho = '''{who}'''")).unwrap());
        let mut engine = Engine::new(Arc::clone(&rules), Span(4 * Span::DAY.0), 64);
        let (mut state, mut said) = (CustomerState::new(&rules), Vec::new());
        for (day, position) in days.iter().zip(0..) {
            let event = CustomerEvent {
                customer: "c",
                name: "visit",
                name_id: rules.vocabulary.name("visit"),
                at: Instant(day * Span::DAY.0),
                id: None,
                source: None,
                record_hash: i64::cast_unsigned(position),
                unusable_values: 0,
                properties: &[],
            };
            engine.apply(&mut state, &event, position, Instant::MIN, Words::None, &mut said);
        }
        let at = Instant(10 * Span::DAY.0);
        engine.fire(&mut state, at.next(), Words::None, &mut said);
        explain(&engine, &state, CohortIx(0), at).clauses[0].turn.text(&rules, Language::English)
    }

    #[test]
    fn a_count_rises_by_events_and_falls_by_silence() {
        assert_eq!(after(&[1], "did visit at least 3 times"), "visit 2 more times");
        assert_eq!(after(&[1, 2], "did visit at least 2 times"), "nothing any more");
        assert_eq!(after(&[8], "did visit in the last 3 days"), "silence until 12 Jan 1970 00:00");
        assert_eq!(after(&[8], "did visit at most 1 times in the last 3 days"), "a visit");
        assert_eq!(
            after(&[8], "count(visit in the last 3 days) between 1 and 1"),
            "a visit, or silence until 12 Jan 1970 00:00"
        );
        assert_eq!(after(&[1], "did visit where plan = pro in the last 3 days"), "a fitting visit");
    }

    #[test]
    fn an_instant_is_the_one_at_which_it_does_change() {
        // The first visit leaves the window on the 22nd, and one is enough.
        let said = after(&[1, 8], "count(visit in the last 20 days) >= 1");
        assert_eq!(said, "silence until 29 Jan 1970 00:00");
        let said = after(&[1, 8], "count(visit in the last 20 days) >= 2");
        assert_eq!(said, "silence until 22 Jan 1970 00:00");
        let said = after(&[1, 2, 3], "median(visit.amount in the last 20 days) is missing");
        assert_eq!(said, "a visit");
    }

    #[test]
    fn only_what_can_change_it_in_that_direction_is_said_to() {
        for settled in
            ["sum(visit.amount) >= 0", "distinct(visit.plan) < 0", "count(visit ever) = 1", "count(visit ever) != 1"]
        {
            assert_eq!(after(&[1, 2], settled), "nothing any more", "{settled}");
        }
        assert_eq!(after(&[1, 2], "sum(visit.amount) > 5"), "a visit");
        assert_eq!(after(&[1], "count(visit since last click) >= 1"), "a click");
        assert_eq!(after(&[1], "count(visit since last click) >= 2"), "a visit");
        assert_eq!(after(&[1], "count(visit since last click) < 1"), "a click");
    }

    #[test]
    fn absence_ends_with_an_event_and_comes_with_silence() {
        assert_eq!(after(&[1], "did not buy in the last 30 days"), "silence until 1 Feb 1970 00:00");
        assert_eq!(after(&[1], "did not buy in the last 3 days"), "a buy");
        assert_eq!(after(&[1], "silent for 30 days"), "silence until 1 Feb 1970 00:00");
        assert_eq!(after(&[1], "silent for 3 days"), "any event");
        assert_eq!(after(&[1], "visit then no buy where step = 2 within 3 days"), "a fitting buy");
        assert_eq!(after(&[8], "visit then no buy within 3 days"), "a visit, or silence until 12 Jan 1970 00:00");
    }

    #[test]
    fn what_the_past_has_settled_nothing_changes() {
        assert_eq!(after(&[1], "did visit for the first time in the last 3 days"), "nothing any more");
        assert_eq!(after(&[1], "did buy within 3 days of first visit"), "nothing any more");
        assert_eq!(after(&[1], "time since first visit > 3 days"), "nothing any more");
        assert_eq!(after(&[1], "time since last visit > 3 days"), "a visit");
        assert_eq!(after(&[1], "did any of (buy, order, pay) since last visit"), "a buy, order or pay");
    }
}
