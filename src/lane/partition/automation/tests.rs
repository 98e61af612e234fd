use proptest::prelude::*;

use super::{AutomationInputs, Round};
use crate::engine::{Effect, RiskEffect};
use crate::event::{Change, ChangeReason, Instant, Span};
use crate::lane::output::changes::Automation::{self, Allowed, Withheld};
use crate::lane::partition::surge::{ALWAYS, Entries, Limit};
use crate::rules::{CohortIx, RuleSet, load};
use crate::store::{CohortHour, DecisionPoint, Recorded, Surge, Trigger};

const NOON: Instant = Instant(1_767_614_400_000);
/// `time.max_lateness`.
const LATE: Span = Span(2 * Span::HOUR.0);
const MAX_DELAY: Span = Span(24 * Span::HOUR.0);

fn rules(on_create: &str) -> RuleSet {
    let text = format!("[cohorts.c]\nwho = 'did buy ever'\non_create = '{on_create}'");
    load("r.toml", &text).unwrap()
}

fn change(change: Change, reason: ChangeReason, at: Instant) -> Effect {
    Effect {
        cohort: CohortIx(0),
        change,
        at,
        reason,
        cause: None,
        sequence: 1,
        entered_at: NOON,
        times_entered: 1,
        next_change_at: None,
        properties: Vec::new(),
        risk: None,
        why: Vec::new(),
    }
}

fn risk_change(reason: ChangeReason) -> RiskEffect {
    RiskEffect {
        at: NOON,
        reason,
        cause: None,
        sequence: 1,
        level: 1,
        previous: 0,
        probability: 0.5,
        expected: 1.0,
        alive: None,
        value: None,
        next_level_at: None,
        version: 1,
        provisional: false,
        factors: Vec::new(),
    }
}

const ROUND: Round = Round { position: 7, next_offset: 8, trigger: Trigger::Record };

/// Of a partition that has caught up, where a change at noon is decided so much later.
fn after(delay: Span) -> AutomationInputs {
    let mut inputs = AutomationInputs::default();
    inputs.mark_caught_up(DecisionPoint::FIRST);
    inputs.note_clock(ROUND, std::iter::once(NOON), NOON + delay - MAX_DELAY);
    inputs
}

fn of_cohort(inputs: &AutomationInputs, reason: ChangeReason, on_create: &str) -> Automation {
    inputs.for_change(&change(Change::Entered, reason, NOON), rules(on_create).cohort(CohortIx(0)), ROUND)
}

#[test]
fn automation_acts_on_what_the_customer_did_or_left_undone() {
    let inputs = after(Span(0));
    for reason in ChangeReason::ALL {
        let expected = match reason {
            ChangeReason::Event | ChangeReason::Time | ChangeReason::LateEvent | ChangeReason::Excluded => Allowed,
            ChangeReason::Threshold | ChangeReason::ModelChanged | ChangeReason::DefinitionChanged => Withheld,
        };
        assert_eq!(of_cohort(&inputs, *reason, "silent"), expected, "{reason}");
    }
}

#[test]
fn on_create_emit_lets_automation_act_on_an_edit_and_on_nothing_else() {
    let inputs = after(Span(0));
    assert_eq!(of_cohort(&inputs, ChangeReason::DefinitionChanged, "emit"), Allowed);
    for reason in [ChangeReason::Threshold, ChangeReason::ModelChanged] {
        assert_eq!(of_cohort(&inputs, reason, "emit"), Withheld, "{reason}");
    }
}

#[test]
fn a_change_of_risk_is_withheld_where_the_model_or_the_rules_caused_it() {
    let inputs = after(Span(0));
    for reason in ChangeReason::ALL {
        let expected = match reason {
            ChangeReason::ModelChanged | ChangeReason::DefinitionChanged => Withheld,
            _ => Allowed,
        };
        assert_eq!(inputs.for_risk_change(&risk_change(*reason), ROUND), expected, "{reason}");
    }
}

#[test]
fn a_change_decided_later_than_max_delay_is_withheld() {
    for (delay, expected) in [(MAX_DELAY, Allowed), (MAX_DELAY + Span(1), Withheld)] {
        let inputs = after(delay);
        assert_eq!(of_cohort(&inputs, ChangeReason::Event, "silent"), expected);
        assert_eq!(of_cohort(&inputs, ChangeReason::DefinitionChanged, "emit"), expected);
        assert_eq!(inputs.for_risk_change(&risk_change(ChangeReason::Time), ROUND), expected);
    }
}

#[test]
fn nothing_is_for_automation_before_the_partition_has_caught_up() {
    let mut inputs = AutomationInputs::default();
    for expected in [Withheld, Allowed] {
        assert_eq!(of_cohort(&inputs, ChangeReason::Event, "emit"), expected);
        assert_eq!(of_cohort(&inputs, ChangeReason::DefinitionChanged, "emit"), expected);
        assert_eq!(inputs.for_risk_change(&risk_change(ChangeReason::Event), ROUND), expected);
        inputs.mark_caught_up(ROUND.at(NOON));
    }
    let earlier = Round { trigger: Trigger::Clock, next_offset: 7, ..ROUND };
    assert_eq!(inputs.for_risk_change(&risk_change(ChangeReason::Event), earlier), Withheld);
}

#[test]
fn a_surge_holds_up_entries_of_its_hour_and_nothing_else() {
    let mut inputs = after(Span(0));
    let minute = |minute: i64| NOON + Span(minute * Span::MINUTE.0);
    inputs.note_entries(0, ROUND.at(minute(5)), Surge::Begun);
    let is_in = |kind, at| inputs.is_in_surge(&change(kind, ChangeReason::Event, at), ROUND);
    assert!(!is_in(Change::Entered, minute(4)), "before it");
    assert!(is_in(Change::Entered, minute(5)) && is_in(Change::Entered, minute(59)));
    assert!(!is_in(Change::Entered, minute(60)), "the next hour");
    assert!(!is_in(Change::Exited, minute(5)));
    inputs.forget_surges();
    assert!(!inputs.is_in_surge(&change(Change::Entered, ChangeReason::Event, minute(5)), ROUND));
    assert_eq!(inputs.prune(0, NOON, Span(0)).len(), 1, "what was written is deleted");
}

#[test]
fn an_edit_forgets_what_is_counted_together_with_what_is_recorded() {
    let mut inputs = after(Span(0));
    let enter = |inputs: &mut AutomationInputs, entries| {
        let limit = Limit { percent: 20, customers: 0 };
        inputs.count_entries(CohortIx(0), ROUND.at(NOON), entries, Some(limit))
    };
    let is_in =
        |inputs: &AutomationInputs| inputs.is_in_surge(&change(Change::Entered, ChangeReason::Event, NOON), ROUND);
    assert_eq!(enter(&mut inputs, ALWAYS), Entries::Normal);
    assert_eq!(enter(&mut inputs, 1), Entries::InSurge { first: true });
    assert!(is_in(&inputs));
    let again = AutomationInputs::restored(&[], true, &inputs.counts());
    assert_eq!(again.counts(), inputs.counts(), "a restart counts on");
    inputs.forget_surges();
    assert!(!is_in(&inputs));
    assert_eq!(inputs.counts(), []);
    assert_eq!(enter(&mut inputs, ALWAYS), Entries::Normal, "the numbers of the cohorts are others");
}

/// One step of a partition's life.
#[derive(Debug, Clone)]
enum Step {
    /// A record is read, or stream time moves by the wall clock: changes of cohort 0 at these instants, in minutes after
    /// the first that is possible, entries or exits.
    Decide(Trigger, Vec<(u16, Change)>),
    /// The clock is moved by so many minutes.
    Clock(i16),
    CatchUp,
    Surge(u16, Surge),
    /// A batch ends, from the offset so many records before on the input would be read again.
    Write(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![Just(Change::Entered), Just(Change::Exited)];
    let trigger = prop_oneof![Just(Trigger::Record), Just(Trigger::Clock)];
    let surge = prop_oneof![Just(Surge::Begun), Just(Surge::Over)];
    let step = prop_oneof![
        6 => (trigger, prop::collection::vec((0..300_u16, kind), 1..5)).prop_map(|(by, all)| Step::Decide(by, all)),
        2 => (-2_000..4_000_i16).prop_map(Step::Clock),
        1 => Just(Step::CatchUp),
        2 => (0..300_u16, surge).prop_map(|(minute, surge)| Step::Surge(minute, surge)),
        3 => (0..8_u8).prop_map(Step::Write),
    ];
    prop::collection::vec(step, 1..60)
}

/// What was written, as a changelog keeps it.
#[derive(Default)]
struct Written {
    recorded: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    caught_up: bool,
    replay_from: i64,
}

impl Written {
    fn read(&self) -> AutomationInputs {
        let recorded: Vec<(i64, Recorded)> =
            self.recorded.iter().map(|(key, value)| Recorded::read(key, value).unwrap()).collect();
        AutomationInputs::restored(&recorded, self.caught_up, &[])
    }
}

/// The answer by the wall clock, the surge counted and the end of the input, none of which is recorded.
struct Judged {
    round: Round,
    effect: Effect,
    answer: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_restart_answers_as_the_first_run_did_and_the_first_run_by_its_clock(steps in steps()) {
        let rules = rules("silent");
        let cohort = rules.cohort(CohortIx(0));
        let (mut inputs, mut written, mut judged) = (AutomationInputs::default(), Written::default(), Vec::new());
        let (mut next_offset, mut now, mut stream_time) = (0_i64, NOON, NOON);
        // By offset, when it became the next.
        let mut stream_times = vec![NOON];
        let mut surges = std::collections::BTreeMap::<CohortHour, Surge>::new();
        let mut caught_up = false;
        for step in steps {
            match step {
                Step::Clock(minutes) => now = now + Span(i64::from(minutes) * Span::MINUTE.0),
                Step::CatchUp => {
                    caught_up = true;
                    inputs.mark_caught_up(Round::new(next_offset, next_offset).at(stream_time));
                }
                Step::Surge(minute, surge) => {
                    let at = stream_time + Span(i64::from(minute) * Span::MINUTE.0);
                    surges.insert(super::cohort_hour(0, at), surge);
                }
                Step::Decide(trigger, changes) => {
                    if trigger == Trigger::Record {
                        next_offset += 1;
                        stream_times.push(stream_time);
                    }
                    let round = Round { position: next_offset, next_offset, trigger };
                    // Deadlines come in the order of their instants, none before stream time.
                    let from = if trigger == Trigger::Clock { stream_time } else { stream_time - LATE };
                    let mut effects: Vec<Effect> = changes
                        .iter()
                        .map(|(minute, kind)| {
                            change(*kind, ChangeReason::Event, from + Span(i64::from(*minute) * Span::MINUTE.0))
                        })
                        .collect();
                    effects.sort_by_key(|effect| effect.at);
                    let before = now - MAX_DELAY;
                    inputs.note_clock(round, effects.iter().map(|effect| effect.at), before);
                    for effect in effects.iter().filter(|effect| effect.change == Change::Entered) {
                        let surge = surges.get(&super::cohort_hour(0, effect.at)).copied().unwrap_or(Surge::Over);
                        inputs.note_entries(0, round.at(effect.at), surge);
                    }
                    if trigger == Trigger::Clock {
                        stream_time = effects.last().map_or(stream_time, |effect| effect.at.next());
                    }
                    for effect in effects {
                        let in_surge = effect.change == Change::Entered
                            && surges.get(&super::cohort_hour(0, effect.at)) == Some(&Surge::Begun);
                        let answer = caught_up && effect.at >= before && !in_surge;
                        judged.push(Judged { round, effect, answer });
                    }
                }
                Step::Write(back) => {
                    let replay_from = (next_offset - i64::from(back)).max(written.replay_from);
                    for (position, recorded) in inputs.take_unwritten() {
                        written.recorded.insert(recorded.key(position), recorded.value());
                    }
                    for key in inputs.prune(replay_from, stream_times[usize::try_from(replay_from).unwrap()], LATE) {
                        written.recorded.remove(&key);
                    }
                    written.caught_up = inputs.has_caught_up();
                    written.replay_from = replay_from;
                    let again = written.read();
                    let may_act = |inputs: &AutomationInputs, it: &Judged| {
                        let of_change = inputs.for_change(&it.effect, cohort, it.round);
                        of_change == Allowed && !inputs.is_in_surge(&it.effect, it.round)
                    };
                    for it in &judged {
                        prop_assert!(it.round.next_offset < replay_from || may_act(&inputs, it) == it.answer, "first run");
                        prop_assert!(it.round.next_offset < replay_from || may_act(&again, it) == it.answer, "restart");
                    }
                }
            }
        }
    }
}
