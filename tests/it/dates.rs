//! The dates in an explanation are those at which things change: of a customer who stays silent, each condition turns at the
//! instant given and not before, or never where none is given, and so does membership. The naive evaluator decides.

use std::borrow::Cow;
use std::collections::BTreeSet;

use cohortd::churn::MbgNbd;
use cohortd::engine::{Claim, Clause, Detail, Explanation, Language, Model, Parameters, RulePart, explain};
use cohortd::event::{Change, Instant, Span};
use cohortd::rules::ast::{Compare, CompareTest, Expr, ExprKind, Op};
use cohortd::rules::{CohortIx, CohortRule, RuleSet, Written};

use crate::engine_under_test::run_to_engine;
use crate::generate::{Generated, Property, Random};
use crate::naive::{Case, Config, LogEvent, ParametersApplied, Silence, conditions, leave_in_silence};

pub(crate) const PROPERTIES: [Property; 3] = [PLAIN, WITH_CHURN, BEYOND_CAPACITY];

const PLAIN: Property = Property {
    test: "dates::explanations_give_the_instants_at_which_things_change",
    cases: 2_000,
    make: |seed| Some(Generated::new(seed)),
    check,
};

const WITH_CHURN: Property = Property {
    test: "dates::explanations_with_churn_give_the_instants_at_which_things_change",
    cases: 1_200,
    make: |seed| Some(Generated::with_churn(seed)),
    check,
};

const BEYOND_CAPACITY: Property = Property {
    test: "dates::explanations_beyond_capacity_give_the_instants_at_which_things_change",
    cases: 700,
    make: |seed| Some(Generated::with_capacities(seed)),
    check,
};

#[test]
fn explanations_give_the_instants_at_which_things_change() {
    PLAIN.try_many();
}

#[test]
fn explanations_with_churn_give_the_instants_at_which_things_change() {
    WITH_CHURN.try_many();
}

#[test]
fn explanations_beyond_capacity_give_the_instants_at_which_things_change() {
    BEYOND_CAPACITY.try_many();
}

/// A risk with points turns by whatever turns the points, other cohorts included.
#[test]
fn a_risk_may_turn_by_what_its_signals_look_at() {
    let rules = "
        [churn]
        on = 'purchase'
        signals = [
            { when = 'did ticket at least 2 times in the last 30 days', points = 20, because = 'tickets' },
            { when = 'did login in the last 30 days', points = -20, because = 'logins' },
            { when = 'in visitors', points = 10, because = 'visits' },
        ]
        [cohorts.visitors]
        who = 'did visit in the last 7 days'
        [cohorts.at_risk]
        who = 'churn_risk >= 95'";
    let parameters = Parameters {
        version: 1,
        model: Model::Purchases { transactions: MbgNbd { r: 0.5, alpha_days: 10.0, a: 0.5, b: 1.5 }, amounts: None },
        recalibration: None,
        provisional: false,
    };
    let event = |name: &str, day: i64| LogEvent {
        customer: "ann".into(),
        name: name.into(),
        at: Instant((20_000 + day) * Span::DAY.0),
        id: Some(format!("{name} {day}")),
        source: None,
        record_hash: 0,
        properties: vec![],
    };
    let case = Case {
        rules: rules.into(),
        config: Config::default(),
        events: vec![event("purchase", 0), event("purchase", 20), event("visit", 21)],
        advances: vec![],
        thresholds: vec![],
        parameters: vec![ParametersApplied { position: 0, stream_time: Instant::MIN, parameters }],
        until: None,
    };
    let (engine, states) = run_to_engine(&case).unwrap();
    let at_risk = engine.rules().cohorts.iter().position(|cohort| cohort.name == "at_risk").unwrap();
    let found = explain(&engine, &states["ann"], CohortIx(u16::try_from(at_risk).unwrap()), event("visit", 22).at);
    assert!(!found.clauses[0].part.holds);
    let text = found.clauses[0].remedy.text(engine.rules(), Language::English);
    assert!(text.starts_with("ticket 2 more times, or a purchase, or leaving visitors, or silence until "), "{text}");
}

/// At how many instants that could change something a condition is evaluated, the cohorts staying as they are.
const CANDIDATES: usize = 150;
/// For how many such instants the customer is decided.
const DECIDED: usize = 200;

/// Explains every customer in every cohort at some instant after the case.
fn check(case: &Case, seed: u64) -> Result<(), String> {
    let (mut engine, mut states) = run_to_engine(case)?;
    let mut random = Random::new(seed);
    leave_in_silence(case, |mut silence| {
        let mut state = states.remove(silence.customer()).ok_or("the engine does not know a customer")?;
        let at = some_instant(&silence, &mut random);
        silence.decide_through(at);
        engine.fire(&mut state, at.next(), Detail::None, &mut Vec::new());
        engine.take_risks();
        let mut explained = Vec::new();
        for (name, rule) in &silence.document().cohorts {
            let index = engine.rules().cohorts.iter().position(|cohort| cohort.name == *name).expect("it is compiled");
            let index = CohortIx(u16::try_from(index).expect("few"));
            explained.push(Explained::new(name, rule, explain(&engine, &state, index, at)));
        }
        let later = later_instants(&silence, at, &mut random);
        conditions_turn(&explained, &silence, at, &later)
            .and_then(|()| everything_comes(explained, &mut silence.clone(), at, engine.rules()))
            .map_err(|what| format!("of {}, explained at {}: {what}", silence.customer(), at.0))
    })
}

/// Soon or long after the case, or beside an instant at which something could change.
fn some_instant(silence: &Silence<'_>, random: &mut Random) -> Instant {
    let present = silence.present();
    if random.percent(50) {
        let mut at = present;
        for _ in 0..=random.below(4) {
            at = silence.next_candidate(at).unwrap_or(at);
        }
        return present.max(at + Span(random.between(-1, 1)));
    }
    let most = *random.pick(&[3, Span::HOUR.0, 20 * Span::DAY.0, 400 * Span::DAY.0]);
    present + Span(random.between(0, most))
}

/// Those at which something could change, and some at random up to years later.
fn later_instants(silence: &Silence<'_>, at: Instant, random: &mut Random) -> Vec<Instant> {
    let next = |after: &Instant| silence.next_candidate(*after);
    let candidates = std::iter::successors(next(&at), next).take(CANDIDATES);
    let lengths = [9, Span::HOUR.0, Span::DAY.0, 30 * Span::DAY.0, 1_200 * Span::DAY.0];
    let drawn = lengths.iter().flat_map(|most| [*most; 3]).map(|most| at + Span(random.between(1, most)));
    candidates.chain(drawn).collect()
}

struct Explained<'d> {
    name: &'d str,
    found: Explanation,
    clauses: Vec<Dated<'d>>,
}

/// A condition of an explanation, and what the naive evaluator is asked for it.
struct Dated<'d> {
    clause: Clause,
    asked: Cow<'d, Expr>,
    negated: bool,
}

impl<'d> Explained<'d> {
    fn new(name: &'d str, rule: &'d CohortRule, mut found: Explanation) -> Self {
        let mut halves = BTreeSet::new();
        let dated = |clause: Clause| {
            let written = match clause.of {
                RulePart::Who => Some(&rule.who),
                RulePart::Stay => rule.stay.as_ref(),
                RulePart::Until => rule.until.as_ref(),
            };
            let Claim::Condition { second, words, negated, .. } = &clause.part.claim else {
                panic!("{clause:?} is no condition")
            };
            let whole = written.and_then(|written| in_words(written, words)).expect("it is written in the rules");
            let asked = match &whole.kind {
                ExprKind::Compare(Compare { measure, test: CompareTest::Between(low, high) }) if second.is_none() => {
                    // First the lower bound, then the upper one.
                    let (op, bound) = if halves.remove(words) { (Op::Le, high) } else { (Op::Ge, low) };
                    if op == Op::Ge {
                        halves.insert(words.clone());
                    }
                    let half = Compare { measure: measure.clone(), test: CompareTest::Compare(op, bound.clone()) };
                    Cow::Owned(Expr { kind: ExprKind::Compare(half), range: whole.range })
                }
                _ => Cow::Borrowed(whole),
            };
            Dated { asked, negated: *negated, clause }
        };
        let clauses = std::mem::take(&mut found.clauses).into_iter().map(dated).collect();
        Self { name, found, clauses }
    }
}

fn in_words<'w>(written: &'w Written, words: &str) -> Option<&'w Expr> {
    let of = |expr: &Expr| {
        let text = &written.text[expr.range.start..expr.range.end];
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    conditions(&written.expr).into_iter().find(|expr| of(expr) == words)
}

impl Dated<'_> {
    fn turns_at(&self) -> Instant {
        self.clause.remedy.silence_until.unwrap_or(Instant::MAX)
    }

    fn holds(&self, silence: &Silence<'_>, at: Instant) -> bool {
        silence.holds(&self.asked, at) != self.negated
    }

    fn wrong(&self, what: &str, at: Instant) -> String {
        let Clause { part, remedy, .. } = &self.clause;
        format!("a condition {what} at {}: {part:?}, {remedy:?}", at.0)
    }
}

/// As long as no cohort changes.
fn conditions_turn(
    explained: &[Explained<'_>],
    silence: &Silence<'_>,
    at: Instant,
    later: &[Instant],
) -> Result<(), String> {
    for dated in explained.iter().flat_map(|explained| &explained.clauses) {
        let turns_at = dated.turns_at();
        let before = Instant(turns_at.0 - 1);
        let just_before = (turns_at < Instant::MAX).then_some(before);
        if turns_at <= at {
            return Err(dated.wrong("turns in the past", at));
        }
        let earlier = later.iter().copied().filter(|later| *later < turns_at);
        let mut unchanged = earlier.chain([at]).chain(just_before);
        if let Some(other) = unchanged.find(|instant| dated.holds(silence, *instant) != dated.clause.part.holds) {
            return Err(dated.wrong("holds otherwise", other));
        }
        if turns_at < Instant::MAX && dated.holds(silence, turns_at) == dated.clause.part.holds {
            return Err(dated.wrong("does not turn", turns_at));
        }
    }
    Ok(())
}

/// Time passes, and cohorts change: conditions and memberships only at the instants that explanations gave.
fn everything_comes(
    mut explained: Vec<Explained<'_>>,
    silence: &mut Silence<'_>,
    at: Instant,
    rules: &RuleSet,
) -> Result<(), String> {
    if let Some(other) = explained.iter().find(|one| silence.is_in(one.name) != one.found.member) {
        return Err(format!("whether they are in {} is {}", other.name, other.found.member));
    }
    let mut changed: BTreeSet<(&str, Change)> = BTreeSet::new();
    let mut now = at;
    for _ in 0..DECIDED {
        let Some(next) = silence.next_candidate(now) else { break };
        now = next;
        silence.decide(now);
        for one in &explained {
            let change = if one.found.member { Change::Exited } else { Change::Entered };
            let is_first = !changed.contains(&(one.name, change));
            let came = (is_first && silence.is_in(one.name) != one.found.member).then_some((now, change));
            let was_due = one.found.next_change.is_some_and(|(due, _)| due <= now);
            if (came.is_some() && came != one.found.next_change) || (is_first && was_due && came.is_none()) {
                return Err(format!("{} changes {came:?}, not {:?}", one.name, one.found.next_change));
            }
        }
        for one in &explained {
            let other = if silence.is_in(one.name) { Change::Entered } else { Change::Exited };
            if changed.iter().any(|(name, _)| *name == one.name) || silence.is_in(one.name) != one.found.member {
                changed.insert((one.name, other));
            }
        }
        for one in &mut explained {
            let is_open = |dated: &Dated<'_>| {
                let mut ways = dated.clause.remedy.cohorts.iter();
                now < dated.turns_at()
                    && !ways.any(|(cohort, change)| changed.contains(&(&*rules.cohort(*cohort).name, *change)))
            };
            one.clauses.retain(is_open);
            let other = one.clauses.iter().find(|dated| dated.holds(silence, now) != dated.clause.part.holds);
            if let Some(dated) = other {
                return Err(dated.wrong("has turned by something else", now));
            }
        }
    }
    Ok(())
}
