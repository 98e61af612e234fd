//! Random `[churn]`: what coming back is, levels, signals, conditions on the scores, and parameters of the models.

use cohortd::churn::{Fgp, GammaGamma, MbgNbd, Memories, Recalibration};
use cohortd::engine::{Model, Parameters};
use cohortd::event::{ChangeReason, Instant, Span};

use super::draft::Expr;
use super::random::Random;
use super::report::record_hash;
use super::rules::{EVENTS, World, factor, filters};
use crate::naive::{Case, ParametersApplied, Rated, judge};

/// `[churn]` before it is written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Churn {
    pub(crate) usage: bool,
    pub(crate) on: String,
    pub(crate) amount: Option<String>,
    /// Left out: the model's own.
    pub(crate) horizon: Option<&'static str>,
    pub(crate) min_silence: Option<&'static str>,
    pub(crate) levels: Vec<(&'static str, &'static str)>,
    pub(crate) signals: Vec<Signal>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signal {
    pub(crate) when: Expr,
    pub(crate) points: i64,
}

const LEVELS: [&str; 5] = ["warm", "medium", "high", "lost", "gone"];
const THRESHOLDS: [&str; 10] = ["0.01", "0.3", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99", "0.999999"];
const POINTS: [i64; 9] = [8, 8, 5, 20, -10, -3, 50, 100, -100];

impl Churn {
    pub(super) fn new(random: &mut Random) -> Self {
        let usage = random.percent(35);
        let main = random.word(&[EVENTS[0], EVENTS[1], EVENTS[1]]);
        let events = match random.below(10) {
            0 => "anything".into(),
            1..=3 => format!("any of ({main}, {})", EVENTS[2]),
            _ => main.to_owned(),
        };
        let amount = (!usage && random.percent(75)).then(|| format!("{main}.amount"));
        let mut levels = Vec::new();
        for threshold in THRESHOLDS {
            if levels.len() < LEVELS.len() && random.percent(35) {
                levels.push((LEVELS[levels.len()], threshold));
            }
        }
        let horizons = ["1 day", "36 hours", "3 days", "7 days", "14 days", "30 days", "90 days", "3650 days"];
        let silences = ["0.001 seconds", "5 hours", "1 day", "2 days", "3 days", "10 days", "400 days"];
        Self {
            usage,
            on: format!("{events}{}", filters(random)),
            amount,
            horizon: random.percent(85).then(|| random.word(&horizons)),
            min_silence: random.percent(80).then(|| random.word(&silences)),
            levels,
            signals: Vec::new(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("[churn]\non = '''{}'''\n", self.on);
        if self.usage {
            text.push_str("model = \"usage\"\n");
        }
        let lengths = [("horizon", self.horizon), ("min_silence", self.min_silence)];
        for (key, value) in lengths.into_iter().chain([("amount", self.amount.as_deref())]) {
            if let Some(value) = value {
                text.push_str(&format!("{key} = \"{value}\"\n"));
            }
        }
        if !self.levels.is_empty() {
            let levels: Vec<String> = self.levels.iter().map(|(name, from)| format!("{name} = {from}")).collect();
            text.push_str(&format!("levels = {{ {} }}\n", levels.join(", ")));
        }
        for Signal { when, points } in &self.signals {
            let when = when.text();
            text.push_str(&format!("[[churn.signals]]\nwhen = '''{when}'''\npoints = {points}\nbecause = \"so\"\n"));
        }
        text
    }

    /// The names that `churn_level` may be compared with.
    fn level_names(&self) -> Vec<&'static str> {
        let own: Vec<&str> = self.levels.iter().map(|(name, _)| *name).collect();
        let named = if own.is_empty() { vec!["medium", "high", "lost"] } else { own };
        std::iter::once("low").chain(named).collect()
    }
}

impl World {
    /// Signals, of which those may look at a cohort that are not asked for by it.
    pub(super) fn add_signals(&self, churn: &mut Churn, others: &[&str], random: &mut Random) {
        for _ in 0..*random.pick(&[0, 1, 1, 2, 3]) {
            let others = if random.percent(50) { others } else { &[] };
            let when = match random.percent(70) {
                true => Expr::Leaf(self.plain_condition(others, random)),
                false => Expr::And(vec![
                    Expr::Leaf(self.plain_condition(others, random)),
                    Expr::Not(Box::new(Expr::Leaf(self.plain_condition(&[], random)))),
                ]),
            };
            // It cannot look at a score, not by another name either.
            let text = when.text();
            if self.named.iter().any(|named| named.stands_for_a_score() && text.contains(named.name)) {
                continue;
            }
            churn.signals.push(Signal { when, points: *random.pick(&POINTS) });
        }
    }

    /// A condition on a score. Whoever comes before the cohorts that signals look at cannot ask for the risk.
    pub(super) fn score_condition(&self, churn: &Churn, may_ask_for_risk: bool, random: &mut Random) -> String {
        let order = |random: &mut Random| random.word(&["<", "<=", ">", ">="]);
        match random.below(10) {
            0..=4 if may_ask_for_risk => {
                let numbers =
                    ["0", "100", "85", "85", "50", "60", "70", "80", "90", "95", "90.5", "30", "-1", "101", "8"];
                let number = |random: &mut Random| random.word(&numbers);
                let risk = self.score_name("churn_risk", random);
                match random.below(8) {
                    0 => format!("{risk} {}", random.pick(&["is known", "is missing"])),
                    1 => format!("{risk} between {} and {}", number(random), number(random)),
                    _ => format!("{risk} {} {}", order(random), number(random)),
                }
            }
            5 | 6 if !churn.usage => {
                let numbers = ["0.5", "0.9", "0.1", "0.75", "1", "0", "1.5", "0.999999", "-1"];
                match random.below(8) {
                    0 => format!("alive between {} and {}", random.word(&numbers), random.word(&numbers)),
                    1 => "alive is missing".into(),
                    _ => format!("alive {} {}", order(random), random.word(&numbers)),
                }
            }
            7 if churn.amount.is_some() => {
                let value = match random.below(4) {
                    0 => "value_at_risk",
                    1 => "clv_if_active",
                    _ => self.score_name("clv", random),
                };
                match random.below(4) {
                    0 => format!("{value} {} {} x {}", order(random), factor(random), self.sum(random)),
                    1 => format!("{value} is known"),
                    _ => format!("{value} {} {}", order(random), random.word(&["0", "1", "5", "20", "100", "1000"])),
                }
            }
            _ => {
                let level = self.score_name("churn_level", random);
                match random.below(10) {
                    0 => format!("{level} is missing"),
                    1..=3 => format!("{level} != {}", random.pick(&churn.level_names())),
                    _ => format!("{level} = {}", random.pick(&churn.level_names())),
                }
            }
        }
    }

    /// Parameters that are applied at some positions, the first mostly before everything.
    pub(super) fn parameter_updates(
        &self,
        churn: &Churn,
        events: usize,
        random: &mut Random,
    ) -> Vec<ParametersApplied> {
        let mut positions: Vec<usize> = (0..*random.pick(&[1, 1, 2, 2, 3])).map(|_| random.below(events + 1)).collect();
        if random.percent(70) {
            positions[0] = 0;
        }
        positions.sort_unstable();
        let parameters_applied = |(position, version)| {
            let stream_time = Instant(*random.pick(&[i64::MIN, i64::MAX]));
            ParametersApplied { position, stream_time, parameters: parameters(churn.usage, version, random) }
        };
        positions.into_iter().zip(1..).map(parameters_applied).collect()
    }
}

fn parameters(usage: bool, version: u32, random: &mut Random) -> Parameters {
    let extreme = random.percent(20);
    let mut one = |sensible: &[f64], bounds: &[f64]| *random.pick(if extreme { bounds } else { sensible });
    let model = if usage {
        Model::Usage(Fgp {
            r: one(&[0.02, 0.1, 0.3, 1.0], &[1e-3, 1e3]),
            alpha_days: one(&[1.0, 5.0, 10.0, 40.0], &[1e-3, 1e6]),
            tau_days: one(Memories::default().days(), Memories::default().days()),
        })
    } else {
        let transactions = MbgNbd {
            r: one(&[0.2, 0.5, 1.0, 2.0], &[1e-3, 1e3]),
            alpha_days: one(&[3.0, 10.0, 43.3, 100.0], &[1e-3, 1e6]),
            a: one(&[0.1, 0.5, 0.89, 2.0], &[1e-3, 1e4]),
            b: one(&[0.5, 1.61, 5.0], &[1e-3, 1e4]),
        };
        let amounts = [(6.25, 3.74, 15.44), (6.25, 3.74, 15.44), (1.0, 2.0, 5.0), (0.5, 1.001, 1e6)];
        let (p, q, v) = *random.pick(&amounts);
        Model::Purchases { transactions, amounts: random.percent(80).then_some(GammaGamma { p, q, v }) }
    };
    let recalibration = random.percent(15).then(|| {
        let weights = [[-0.5, 0.9, 0.1, -0.2, 0.3], [0.2, 1.2, 0.0, 0.0, -0.4], [0.0, 0.0, 0.5, 0.1, 0.0]];
        Recalibration { weights: *random.pick(&weights) }
    });
    Parameters { version, model, recalibration, provisional: random.percent(20) }
}

/// Adds an event at, or a millisecond beside, an instant at which a level is reached by time alone, read before that is
/// decided.
pub(super) fn meet(case: &mut Case, random: &mut Random) {
    let Ok(judged) = judge(case) else { return };
    let by_time: Vec<&Rated> = judged.risks.iter().filter(|rated| rated.reason == ChangeReason::Time).collect();
    if by_time.is_empty() {
        return;
    }
    let met = *random.pick(&by_time);
    let Some(like) = case.events.iter().find(|event| event.customer == met.customer).cloned() else { return };
    let mut event = like;
    event.id = Some(format!("m{}", case.events.len()));
    event.at = met.occurred_at + Span(random.between(-1, 1));
    event.name = (*random.pick(&EVENTS)).into();
    event.record_hash = record_hash(&event);
    let place = met.position;
    case.events.insert(place, event);
    let moved = |position: &mut usize| *position += usize::from(*position > place);
    case.advances.iter_mut().for_each(|advance| moved(&mut advance.position));
    case.thresholds.iter_mut().for_each(|thresholds_applied| moved(&mut thresholds_applied.position));
    case.parameters.iter_mut().for_each(|parameters_applied| moved(&mut parameters_applied.position));
}
