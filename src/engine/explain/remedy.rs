//! What would change the result of a condition.

use std::cmp::Ordering;

use crate::engine::conditions::{CustomerView, Verdict, times_of, within};
use crate::engine::customer::Membership;
use crate::engine::effects::{Claim, EvidencePart};
use crate::event::{Change, Instant, NameId, Value};
use crate::fact::{A, B, Fact, FactIx, FactKind, VIA};
use crate::rules::ast::{Edge, Op, RankEnd};
use crate::rules::{
    Aggregate, CohortIx, Comparand, Condition, ConditionIx, CountTest, Filter, Measure, Node, RankIx, Role, RuleSet,
    Score, Window,
};

/// Any one of these may change the result of a condition; nothing else can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remedy {
    pub actions: Vec<Action>,
    /// The customer's entering or leaving another cohort.
    pub cohorts: Vec<(CohortIx, Change)>,
    /// Silence until then.
    pub silence_until: Option<Instant>,
}

/// Something that the customer may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Any of these events; `None`: any event at all.
    pub names: Option<Vec<NameId>>,
    /// Only events with properties as the condition asks.
    pub filtered: bool,
    pub times: u64,
}

impl Remedy {
    pub(super) fn of(part: &EvidencePart, view: &CustomerView<'_>) -> Self {
        let mut remedy =
            Self { silence_until: Some(part.until).filter(|until| *until < Instant::MAX), ..Self::default() };
        if let Claim::Condition { index, second, .. } = &part.claim {
            for index in std::iter::once(*index).chain(*second) {
                remedy.add_condition(index, view);
            }
        }
        remedy
    }

    /// Adds what may change the result of a condition.
    fn add_condition(&mut self, index: ConditionIx, view: &CustomerView<'_>) {
        let verdict = view.condition(index);
        match view.rules.condition(index) {
            Condition::Count { fact, window, test, .. } => self.add_for_count(*fact, *window, *test, verdict, view),
            Condition::First { fact, window, .. } => {
                if view.edge(*fact, Edge::First).is_none() {
                    self.add_more(*fact, 1, *window, view);
                }
            }
            Condition::Total { fact, test } => {
                let count = if let Some(Fact::Total(total)) = view.fact(*fact) { total.count } else { 0 };
                self.add_more(*fact, events_missing(*test, count), Window::Ever, view);
            }
            Condition::Unanswered { fact, .. } => {
                // A B ends it, an A begins it.
                self.add_action(*fact, 1, if verdict.holds { answer_part } else { first_part }, view.rules);
            }
            // One that holds is ended by time only; one that does not may be completed by any of its steps.
            Condition::Sequence { fact, window } => {
                if !verdict.holds {
                    self.add_action(*fact, 1, Role::step, view.rules);
                }
                if let Window::Since { fact, .. } = window {
                    self.add_action(*fact, 1, first_part, view.rules);
                }
            }
            // An event at this instant counts in the current period.
            Condition::Rhythm { fact, .. } | Condition::Streak { fact, .. } => {
                self.add_action(*fact, 1, first_part, view.rules);
            }
            Condition::In { cohort, .. } => self.cohorts.push((*cohort, other_change(*cohort, view))),
            Condition::Moves { cohort, change, window, test } => {
                let mut times = [Instant::MIN; Membership::HISTORY_MAX];
                let times = times_of(*change, view.membership(*cohort), &mut times);
                let count = within(times, *window, view).map_or(0, |part| part.len() as u64);
                if events_missing(*test, count) > 0 && is_open(*window, view) {
                    self.cohorts.push((*cohort, *change));
                }
                self.add_window_start(*window, *test, count, view);
            }
            Condition::FirstEntered { cohort, .. } => {
                if view.membership(*cohort).times_entered == 0 {
                    self.cohorts.push((*cohort, Change::Entered));
                }
            }
            Condition::Compare { measure, op, with } => self.add_for_comparison(measure, *op, with, verdict, view),
            Condition::Rank { rank, among } => self.add_for_rank(*rank, *among, verdict, view),
            Condition::Known { measure } | Condition::Missing { measure } => {
                // A value that is known stays known.
                if view.measure(measure).value.is_none() {
                    self.add_measure(measure, None, view);
                }
            }
        }
    }

    fn add_for_comparison(
        &mut self,
        measure: &Measure,
        op: Op,
        with: &Comparand,
        verdict: Verdict,
        view: &CustomerView<'_>,
    ) {
        let number = |measure: &Measure| view.measure(measure).value.and_then(Value::number);
        let bound = match with {
            Comparand::Number(number) => Some(*number),
            _ => None,
        };
        let order = number(measure).zip(bound).map(|(value, bound)| value.cmp(&bound));
        self.add_measure(measure, Some(Comparison { op, holds: verdict.holds, order }), view);
        if let Comparand::Measure { measure, .. } = with {
            self.add_measure(measure, None, view);
        }
    }

    fn add_for_rank(&mut self, rank: RankIx, among: Option<CohortIx>, verdict: Verdict, view: &CustomerView<'_>) {
        let holds = verdict.holds;
        let may_matter = |cohort: &CohortIx| holds || !view.membership(*cohort).member;
        self.cohorts.extend(among.filter(may_matter).map(|cohort| (cohort, other_change(cohort, view))));
        let rank = view.rules.rank(rank);
        let op = match rank.end {
            RankEnd::Highest => Op::Ge,
            RankEnd::Lowest => Op::Le,
        };
        let measure = &view.rules.rankings[usize::from(rank.ranking.0)].measure;
        self.add_measure(measure, Some(Comparison { op, holds, order: None }), view);
    }

    fn add_for_count(
        &mut self,
        fact: FactIx,
        window: Window,
        test: CountTest,
        verdict: Verdict,
        view: &CustomerView<'_>,
    ) {
        let count = view.found_in(fact, window).map_or(0, |found| found.count);
        let waits = count == 0 && test.holds(0) && !verdict.holds;
        // A count of zero holds only after the waiting time; a count of one holds at once.
        let times = if waits { u64::from(test.holds(1)) } else { events_missing(test, count) };
        self.add_more(fact, times, window, view);
        self.add_window_start(window, test, count, view);
    }

    /// Adds the event that a window begins with, if it can change the result.
    fn add_window_start(&mut self, window: Window, test: CountTest, count: u64, view: &CustomerView<'_>) {
        match window {
            // The events found are before the window then.
            Window::Since { fact, edge, .. } => {
                let moves = edge == Edge::Last || view.edge(fact, edge).is_none();
                if moves && test.boundary_at_or_below(count).is_some() {
                    self.add_action(fact, 1, first_part, view.rules);
                }
            }
            Window::WithinFirst { fact, .. } if view.edge(fact, Edge::First).is_none() => {
                self.add_action(fact, 1, first_part, view.rules);
            }
            _ => {}
        }
    }

    /// Adds what may change a measure. `comparison`: how it is compared; `None`: it is one of several measures in a
    /// comparison.
    fn add_measure(&mut self, measure: &Measure, comparison: Option<Comparison>, view: &CustomerView<'_>) {
        let moves = Direction::of(measure, view);
        if let Measure::Series { window, .. } | Measure::Distinct { window, .. } | Measure::Pick { window, .. } =
            measure
        {
            // The event that a window begins with shortens the window.
            if moves != Direction::Up || comparison.is_none_or(Comparison::may_change_falling) {
                self.add_moving_start(*window, view);
            }
        }
        let is_pointless = comparison.is_some_and(|comparison| match moves {
            Direction::Up => !comparison.may_change_rising(),
            Direction::Down => !comparison.may_change_falling(),
            Direction::Anywhere => false,
        });
        if let (Measure::Score { score: Score::Risk, .. }, Some(comparison)) = (measure, comparison) {
            self.add_signals(comparison, view);
        }
        let comparison = comparison.map(|comparison| (comparison.op, comparison.holds));
        let fact = match measure {
            // More events cannot make "at least" false, nor "at most" true.
            _ if is_pointless => return,
            Measure::Series { fact, window, .. }
            | Measure::Distinct { fact, window }
            | Measure::Pick { fact, window, .. } => {
                self.add_more(*fact, 1, *window, view);
                return;
            }
            Measure::Total { fact, .. }
            | Measure::Extreme { fact }
            | Measure::Score { fact, .. }
            | Measure::UsualGap { fact, .. } => *fact,
            Measure::TimeSince { fact, edge } => {
                let known = view.edge(*fact, *edge).is_some();
                // Another event resets it to zero, which can only make it shorter.
                let is_pointless = matches!(comparison, Some((Op::Le | Op::Lt, true) | (Op::Ge | Op::Gt, false)));
                if known && (*edge == Edge::First || is_pointless) {
                    return;
                }
                *fact
            }
            Measure::TimeFrom { fact } => {
                self.add_action(*fact, 1, first_part, view.rules);
                self.add_action(*fact, 1, answer_part, view.rules);
                return;
            }
            Measure::Steps { fact } => {
                self.add_action(*fact, 1, first_part, view.rules);
                self.add_action(*fact, 1, answer_part, view.rules);
                self.add_action(*fact, 1, counted_part, view.rules);
                return;
            }
            Measure::Change { of, .. } | Measure::Growth { of, .. } => return self.add_measure(of, None, view),
            Measure::Ratio { of, to } => {
                self.add_measure(of, None, view);
                return self.add_measure(to, None, view);
            }
        };
        self.add_action(fact, 1, first_part, view.rules);
    }

    /// Signals add their points to the risk, so what changes a signal may change a comparison with the risk.
    fn add_signals(&mut self, comparison: Comparison, view: &CustomerView<'_>) {
        let signals = view.rules.churn.iter().flat_map(|churn| &churn.signals);
        // Without a prediction signals have no effect.
        for signal in signals.filter(|signal| signal.points != 0 && view.prediction().is_some()) {
            let mut remedy = Self::default();
            remedy.add_node(&signal.when, view);
            let rises = (signal.points > 0) != view.node(&signal.when).holds;
            let may_change = if rises { comparison.may_change_rising() } else { comparison.may_change_falling() };
            if may_change {
                remedy.actions.retain(|action| !self.actions.contains(action));
                self.actions.append(&mut remedy.actions);
            }
            // Cohorts in either direction: entering one again keeps points from expiring.
            remedy.cohorts.retain(|cohort| !self.cohorts.contains(cohort));
            self.cohorts.append(&mut remedy.cohorts);
        }
    }

    fn add_node(&mut self, node: &Node, view: &CustomerView<'_>) {
        match node {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| self.add_node(part, view)),
            Node::Not(inner) => self.add_node(inner, view),
            Node::Leaf(index, _) => self.add_condition(*index, view),
        }
    }

    /// Adds the event that a window begins with, if another one moves the beginning.
    fn add_moving_start(&mut self, window: Window, view: &CustomerView<'_>) {
        match window {
            Window::Since { fact, edge, .. } if edge == Edge::Last || view.edge(fact, edge).is_none() => {
                self.add_action(fact, 1, first_part, view.rules);
            }
            Window::WithinFirst { fact, .. } if view.edge(fact, Edge::First).is_none() => {
                self.add_action(fact, 1, first_part, view.rules);
            }
            _ => {}
        }
    }

    /// Adds so many more events, if an event at this instant counts in the window.
    fn add_more(&mut self, fact: FactIx, times: u64, window: Window, view: &CustomerView<'_>) {
        if times > 0 && is_open(window, view) {
            self.add_action(fact, times, first_part, view.rules);
        }
    }

    /// Adds the events that feed a part of a fact, with that part's tests.
    fn add_action(
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
        let action = Action { names: anything.is_none().then_some(names), filtered, times };
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }
}

/// The change that ends a customer's being in a cohort, or being out of it.
fn other_change(cohort: CohortIx, view: &CustomerView<'_>) -> Change {
    if view.membership(cohort).member { Change::Exited } else { Change::Entered }
}

/// How a measure is compared, and on which side of the bound it is.
#[derive(Debug, Clone, Copy)]
struct Comparison {
    op: Op,
    holds: bool,
    order: Option<Ordering>,
}

impl Comparison {
    /// Can the result change if the measure rises?
    fn may_change_rising(self) -> bool {
        match (self.op, self.holds) {
            (Op::Ge | Op::Gt, holds) => !holds,
            (Op::Le | Op::Lt, holds) => holds,
            (Op::Eq | Op::Ne, _) => self.order != Some(Ordering::Greater),
        }
    }

    /// Can the result change if the measure falls?
    fn may_change_falling(self) -> bool {
        match (self.op, self.holds) {
            (Op::Ge | Op::Gt, holds) => holds,
            (Op::Le | Op::Lt, holds) => !holds,
            (Op::Eq | Op::Ne, _) => self.order != Some(Ordering::Less),
        }
    }
}

/// The direction in which one more event changes a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
    Anywhere,
}

impl Direction {
    /// Amounts are assumed to be positive: refunds are usually another event.
    fn of(measure: &Measure, view: &CustomerView<'_>) -> Self {
        match measure {
            Measure::Total { of: Aggregate::Count | Aggregate::Sum, .. }
            | Measure::Series { of: Aggregate::Count | Aggregate::Sum | Aggregate::Max, .. }
            | Measure::Distinct { .. } => Self::Up,
            Measure::Series { of: Aggregate::Min, .. } => Self::Down,
            Measure::Extreme { fact } => match view.kind(*fact) {
                FactKind::Extreme(kind) if kind.greatest => Self::Up,
                _ => Self::Down,
            },
            _ => Self::Anywhere,
        }
    }
}

fn first_part(role: &Role) -> Option<&[Filter]> {
    role.filters(A)
}

fn answer_part(role: &Role) -> Option<&[Filter]> {
    role.filters(B)
}

fn counted_part(role: &Role) -> Option<&[Filter]> {
    role.filters(VIA)
}

/// How many more events change the result of the test; 0: no number of them does.
fn events_missing(test: CountTest, count: u64) -> u64 {
    test.boundary_above(count).map_or(0, |boundary| boundary - count)
}

/// Does an event at this instant count in the window, now or later?
fn is_open(window: Window, view: &CustomerView<'_>) -> bool {
    match window {
        Window::WithinFirst { fact, span } => view.edge(fact, Edge::First).is_some_and(|first| view.at <= first + span),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{CustomerState, Detail, Engine, Language, explain};
    use crate::event::{CustomerEvent, Instant, Span};
    use crate::rules::{CohortIx, load};

    /// The remedy of the first condition of `who` on the tenth day, after visits at the beginning of some days.
    fn after(days: &[i64], who: &str) -> String {
        let rules = Arc::new(load("r.toml", &format!("[cohorts.c]\nwho = '''{who}'''")).unwrap());
        let mut engine = Engine::new(Arc::clone(&rules), Span(4 * Span::DAY.0), 64);
        let (mut state, mut text) = (CustomerState::new(&rules), Vec::new());
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
            engine.apply(&mut state, &event, position, Instant::MIN, Detail::None, &mut text);
        }
        let at = Instant(10 * Span::DAY.0);
        engine.fire(&mut state, at.next(), Detail::None, &mut text);
        explain(&engine, &state, CohortIx(0), at).clauses[0].remedy.text(&rules, Language::English)
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
        let text = after(&[1, 8], "count(visit in the last 20 days) >= 1");
        assert_eq!(text, "silence until 29 Jan 1970 00:00");
        let text = after(&[1, 8], "count(visit in the last 20 days) >= 2");
        assert_eq!(text, "silence until 22 Jan 1970 00:00");
        let text = after(&[1, 2, 3], "median(visit.amount in the last 20 days) is missing");
        assert_eq!(text, "a visit");
    }

    #[test]
    fn only_what_can_change_it_in_that_direction_is_listed() {
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
