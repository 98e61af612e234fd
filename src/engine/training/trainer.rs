//! The parameters of the model of churn from the samples of all partitions.
//!
//! What is learnt is a function of the samples, whatever the order in which they come and whatever was learnt before: who
//! reads the same samples learns the same, to the last bit. So every fit starts from nothing, and looks back over so many
//! weeks and no more. Nothing of a week rests on a later one.

use std::collections::{BTreeMap, BTreeSet};

use super::fit::{Fit, Watched};
use super::sample::{Sample, SampleRow, WEEK};
use crate::calendar::Calendar;
use crate::churn::{Evidence, Outcome, Recalibration, SNAPSHOTS_MAX, quality};
use crate::engine::model::Parameters;
use crate::event::Span;
use crate::rules::{Churn, ChurnModel};

/// A partition so many weeks away from most others is not waited for, and not learnt from: it stands still, runs ahead
/// through a long past, or one event has moved its time far into the future.
const APART_MAX: i64 = 3;
/// Weeks, the newest included, in which parameters are looked for that are known, where the newest are provisional.
const LOOKED_BACK_ON: i64 = 6;
/// The outcomes that a correction is learnt from lie within so many weeks, and those of a fit of use.
const CORRECTED_WITHIN: i64 = 10;
const WATCHED_WITHIN: i64 = 6;
/// Of these the newest weeks in which anybody was looked at, at most so many for a fit of use.
const WATCHED_MAX: usize = 4;
/// A customer may be looked at so much earlier in a week than in weeks before: that is no reason to wait another week.
const EARLIER_MAX: Span = Span::DAY;
/// Weeks of samples that are kept at most: of a horizon so long that it has more, nothing ever matures.
pub const SAMPLES_MAX: i64 = 128;

/// Samples by week and partition, and what was made of them.
#[derive(Debug, Clone)]
pub struct Learner {
    /// How long customers are watched: the horizon in whole weeks, since samples are taken once a week.
    watch_weeks: i64,
    /// Weeks of each partition that anything is learnt from.
    kept: i64,
    samples: BTreeMap<u32, BTreeMap<i64, Sample>>,
    /// Those that are learnt from, when the fits were made.
    in_step: BTreeSet<u32>,
    /// Of each week, as far as computed.
    fits: BTreeMap<i64, Option<Fit>>,
}

/// What was learnt in one week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learnt {
    pub week: i64,
    pub fit: Fit,
    pub recalibration: Option<Recalibration>,
    /// All who have come, and of how many of them it was learnt.
    pub customers: u64,
    pub sampled: u64,
    /// Of the newest week of which it is known what came; `None`: of none yet.
    pub quality: Option<Quality>,
}

/// How good the probabilities of one week were, before any correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    pub week: i64,
    pub customers: u64,
    /// Of whom nothing came.
    pub none: u64,
    /// `None` where all were alike.
    pub auc: Option<f64>,
    pub brier: f64,
    pub ece: f64,
}

impl Learnt {
    /// As an input to decisions.
    #[must_use]
    pub fn parameters(&self, version: u32) -> Parameters {
        self.fit.parameters(version, self.recalibration)
    }
}

/// A row, and what became of the customer while watched.
struct Matured<'a> {
    row: &'a SampleRow,
    none: bool,
}

impl Learner {
    #[must_use]
    pub fn new(churn: &Churn) -> Self {
        let watch_weeks = (churn.horizon.0 + WEEK.0 - 1).div_euclid(WEEK.0);
        let used = match churn.model {
            ChurnModel::Purchases => 0,
            // What a fit of then was learnt from.
            ChurnModel::Usage => watch_weeks + WATCHED_WITHIN,
        };
        let kept = watch_weeks + CORRECTED_WITHIN + LOOKED_BACK_ON + used + 3 * APART_MAX;
        let (samples, in_step, fits) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { watch_weeks, kept: kept.min(SAMPLES_MAX), samples, in_step, fits }
    }

    /// For rules that take the same samples: with all that was taken in, and nothing of what was made of it. `None`: they look
    /// further back than what is kept.
    #[must_use]
    pub fn under(self, churn: &Churn) -> Option<Self> {
        let anew = Self::new(churn);
        (anew.kept <= self.kept).then_some(Self { samples: self.samples, ..anew })
    }

    /// Takes a partition's sample in, in place of one that it took in the same week.
    pub fn add(&mut self, partition: u32, sample: Sample) {
        let week = sample.week;
        let samples = self.samples.entry(partition).or_default();
        samples.insert(week, sample);
        let newest = samples.last_key_value().map_or(week, |(newest, _)| *newest);
        *samples = samples.split_off(&(newest - self.kept + 1));
        // Whatever looks at it is made anew.
        self.fits.split_off(&week);
    }

    /// The partitions that are in step with most others, by the newest weeks of all.
    fn in_step(&self) -> BTreeMap<u32, i64> {
        let newest = |(partition, samples): (&u32, &BTreeMap<i64, Sample>)| {
            samples.last_key_value().map(|(newest, _)| (*partition, *newest))
        };
        let mut newest: BTreeMap<u32, i64> = self.samples.iter().filter_map(newest).collect();
        let mut weeks: Vec<i64> = newest.values().copied().collect();
        weeks.sort_unstable();
        // Of two it is the earlier one: of a time too far in the future nothing is learnt.
        let middle = weeks.get(weeks.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        newest.retain(|_, week| middle.abs_diff(*week) <= APART_MAX.unsigned_abs());
        newest
    }

    /// What is known by the newest week for which every partition has told, of those that ever did and are in step. `None`:
    /// nothing, or too little for any parameters.
    #[must_use]
    pub fn learn(&mut self, churn: &Churn, calendar: &Calendar) -> Option<Learnt> {
        let newest = self.in_step();
        let week = *newest.values().min()?;
        let in_step: BTreeSet<u32> = newest.into_keys().collect();
        if self.in_step != in_step {
            self.fits.clear();
            self.in_step = in_step;
        }
        self.fits = self.fits.split_off(&(week - self.kept));
        let fit = self.best(week, churn, calendar)?;
        let outcomes = self.outcomes(week, churn, calendar);
        let quality = outcomes.last_key_value().and_then(|(week, outcomes)| Quality::of(*week, outcomes));
        let outcomes: Vec<Vec<Outcome>> = outcomes.into_values().collect();
        // Little is known while parameters are provisional; and what is learnt of a week says little of a day.
        let is_sure = !fit.is_provisional() && churn.horizon >= WEEK;
        let recalibration = is_sure.then(|| Recalibration::learnt(&outcomes)).flatten();
        let customers = self.latest(week).map(|sample| sample.customers).sum();
        let sampled = self.latest(week).map(|sample| sample.rows.len() as u64).sum();
        Some(Learnt { week, fit, recalibration, customers, sampled, quality })
    }

    /// The samples that are learnt from, by partition.
    fn by_partition(&self) -> impl Iterator<Item = &BTreeMap<i64, Sample>> {
        self.in_step.iter().filter_map(|partition| self.samples.get(partition))
    }

    /// The sample of each partition in a week; of one that has none, the latest of the few weeks before.
    fn latest(&self, week: i64) -> impl Iterator<Item = &Sample> {
        self.by_partition()
            .filter_map(move |samples| samples.range(week - APART_MAX..=week).next_back())
            .map(|(_, s)| s)
    }

    /// The best that is known in a week: what is known is not given up for what is provisional.
    fn best(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> Option<Fit> {
        let mut best = self.fit(week, churn, calendar);
        for earlier in (week - LOOKED_BACK_ON + 1..week).rev() {
            if best.is_some_and(|best| best.is_known(churn)) {
                break;
            }
            if !self.by_partition().any(|samples| samples.contains_key(&earlier)) {
                continue;
            }
            best = match (self.fit(earlier, churn, calendar), best) {
                (Some(old), Some(new)) => Some(old.or_better(new)),
                (old, new) => new.or(old),
            };
        }
        best
    }

    fn fit(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> Option<Fit> {
        if let Some(fit) = self.fits.get(&week) {
            return *fit;
        }
        let rows = self.latest(week).flat_map(|sample| &sample.rows);
        let now: Vec<_> = rows.map(|row| row.sighting(calendar)).collect();
        let watched = match churn.model {
            ChurnModel::Purchases => BTreeMap::new(),
            ChurnModel::Usage => self.matured(week, calendar, WATCHED_WITHIN, WATCHED_MAX),
        };
        let watched = watched.into_values().flatten();
        let watched: Vec<Watched> =
            watched.map(|Matured { row, none }| Watched { sighting: row.sighting(calendar), none }).collect();
        let fit = Fit::new(churn, &now, &watched, self.watch(), None).ok();
        self.fits.insert(week, fit);
        fit
    }

    fn watch(&self) -> Span {
        Span(self.watch_weeks * WEEK.0)
    }

    /// What became of those of whom something was said, by the week in which it was said, under the parameters of then.
    fn outcomes(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> BTreeMap<i64, Vec<Outcome>> {
        let weeks: Vec<i64> = self.matured(week, calendar, CORRECTED_WITHIN, SNAPSHOTS_MAX).into_keys().collect();
        let models: Vec<_> =
            weeks.into_iter().map(|week| self.best(week, churn, calendar).map(|fit| fit.model())).collect();
        let horizon = self.watch().0 as f64 / Span::DAY.0 as f64;
        let said = self.matured(week, calendar, CORRECTED_WITHIN, SNAPSHOTS_MAX);
        let outcomes = said.into_iter().zip(models).filter_map(|((week, rows), model)| {
            let model = model?;
            let outcome = |Matured { row, none }: Matured<'_>| {
                let customer = row.comings.under(&model)?;
                let evidence = Evidence::of(&customer, row.sighting(calendar).days, horizon);
                Some(Outcome { evidence, none })
            };
            Some((week, rows.into_iter().filter_map(outcome).collect::<Vec<_>>()))
        });
        outcomes.filter(|(_, outcomes)| !outcomes.is_empty()).collect()
    }

    /// The latest weeks, at most so many `within` so many, in which somebody was looked at who by `week` has been watched to
    /// the end, each with its rows.
    fn matured(&self, week: i64, calendar: &Calendar, within: i64, most: usize) -> BTreeMap<i64, Vec<Matured<'_>>> {
        let ended = week - self.watch_weeks;
        let rows = |begun: i64| -> Vec<Matured<'_>> {
            self.by_partition().flat_map(|samples| self.matured_of(samples, begun, week, calendar)).collect()
        };
        let weeks = (ended - within + 1..=ended).rev().map(|begun| (begun, rows(begun)));
        weeks.filter(|(_, rows)| !rows.is_empty()).take(most).collect()
    }

    fn matured_of<'a>(
        &self,
        samples: &'a BTreeMap<i64, Sample>,
        begun: i64,
        week: i64,
        calendar: &Calendar,
    ) -> Vec<Matured<'a>> {
        let Some(sample) = samples.get(&begun) else { return Vec::new() };
        // Whoever was looked at late in their week is looked up in the sample after it.
        let later: Vec<&Sample> =
            samples.range(begun + self.watch_weeks..=week).map(|(_, sample)| sample).take(2).collect();
        let watch = self.watch();
        let matured = |row: &'a SampleRow| {
            let over = row.at + watch - EARLIER_MAX;
            let later = later.iter().filter_map(|sample| sample.find(row.hash)).find(|later| later.at >= over)?;
            Some(Matured { row, none: row.nothing_came(later, watch, calendar) })
        };
        sample.rows.iter().filter_map(matured).collect()
    }
}

impl Quality {
    fn of(week: i64, outcomes: &[Outcome]) -> Option<Self> {
        let said = |outcome: &Outcome| (Recalibration::NONE.p_none(&outcome.evidence), outcome.none);
        let said: Vec<(f64, bool)> = outcomes.iter().map(said).collect();
        Some(Self {
            week,
            customers: said.len() as u64,
            none: said.iter().filter(|(_, none)| *none).count() as u64,
            auc: quality::auc(&said),
            brier: quality::brier(&said)?,
            ece: quality::ece(&said)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Learner, Learnt};
    use crate::churn::tests::cdnow::{self, Bought};
    use crate::churn::{Purchases, days_since, quality};
    use crate::engine::Comings;
    use crate::engine::training::sample::{Sample, SampleRow, week_begins};
    use crate::event::stored_hash::tie_hash;
    use crate::event::{Instant, Span};
    use crate::rules::{RuleSet, load};

    const PARTITIONS: u32 = 4;
    /// The day 0 of CDNOW's, 31 December 1996, and the Monday before, by its week.
    const DAY_ZERO: i32 = 9_861;
    const FIRST: i64 = 1_408;
    const HORIZON_DAYS: i32 = 91;

    fn rules(horizon: &str) -> RuleSet {
        load("r.toml", &format!("[churn]\non = 'buy'\namount = 'buy.amount'\nhorizon = '{horizon}'")).unwrap()
    }

    /// What a partition sees of its customers a little after a week has begun: it takes its time.
    fn sample(customers: &[Bought], partition: u32, week: i64) -> Sample {
        let mut rows = Vec::new();
        for (bought, number) in customers.iter().zip(0_u32..).filter(|(_, number)| number % PARTITIONS == partition) {
            let at = Instant(week_begins(week).0 + i64::from(partition) * 60_000 + i64::from(number * 37 % 997));
            let today = i32::try_from(at.0.div_euclid(Span::DAY.0)).unwrap();
            let past = bought.iter().map(|(day, amount)| (DAY_ZERO + day, *amount));
            if let Some(purchases) = Purchases::of(past.take_while(|(day, _)| *day < today)) {
                let comings = Comings::Bought(purchases);
                rows.push(SampleRow { hash: tie_hash(&number.to_string()), at, comings });
            }
        }
        rows.sort_unstable_by_key(|row| row.hash);
        Sample { week, customers: rows.len() as u64, rows }
    }

    fn learn(learner: &mut Learner, rules: &RuleSet) -> Option<Learnt> {
        learner.learn(rules.churn.as_ref().unwrap(), &rules.calendar())
    }

    fn learner(rules: &RuleSet) -> Learner {
        Learner::new(rules.churn.as_ref().unwrap())
    }

    /// AUC, Brier score and ECE of what is said of everyone in a week, by what came of them.
    fn judged(learnt: &Learnt, customers: &[Bought], week: i64, corrected: bool) -> [f64; 3] {
        let now = week_begins(week);
        let today = i32::try_from(now.0.div_euclid(Span::DAY.0)).unwrap();
        let parameters = learnt.parameters(1);
        let levels = crate::churn::Levels {
            horizon_days: f64::from(HORIZON_DAYS),
            thresholds: &[],
            min_silence_days: 0.0,
            recalibration: parameters.recalibration.as_ref().filter(|_| corrected),
        };
        let scored = customers.iter().filter_map(|bought| {
            let days = || bought.iter().map(|(day, amount)| (DAY_ZERO + day, *amount));
            let past = Purchases::of(days().take_while(|(day, _)| *day < today))?;
            let customer = Comings::Bought(past).under(&parameters.model)?;
            let at = days_since(i64::from(past.first_day) * Span::DAY.0, now.0);
            let none = !days().any(|(day, _)| (today..today + HORIZON_DAYS).contains(&day));
            Some((levels.risk(&customer, at), none))
        });
        let scored: Vec<(f64, bool)> = scored.collect();
        [quality::auc(&scored).unwrap(), quality::brier(&scored).unwrap(), quality::ece(&scored).unwrap()]
    }

    #[test]
    fn learnt_each_week_from_samples_of_the_past_the_next_thirteen_weeks_are_foretold() {
        let (customers, rules) = (cdnow::customers(), rules("91 days"));
        let mut learner = learner(&rules);
        let (mut raw, mut corrected, mut weeks, mut last) = ([0.0; 3], [0.0; 3], 0.0, None);
        for week in FIRST..FIRST + 65 {
            for partition in 0..PARTITIONS {
                learner.add(partition, sample(&customers, partition, week));
            }
            let Some(learnt) = learn(&mut learner, &rules) else { continue };
            assert_eq!(learnt.week, week);
            assert!(learnt.recalibration.is_none() || !learnt.fit.is_provisional());
            // From half a year on parameters are known, and so may corrections be.
            if !learnt.fit.is_provisional() {
                let add = |sums: [f64; 3], of: [f64; 3]| std::array::from_fn(|i| sums[i] + of[i]);
                raw = add(raw, judged(&learnt, &customers, week, false));
                corrected = add(corrected, judged(&learnt, &customers, week, true));
                weeks += 1.0;
            }
            last = Some(learnt);
        }
        let [raw, corrected] = [raw, corrected].map(|sums| sums.map(|sum| sum / weeks));
        println!("AUC, Brier, ECE over {weeks} weeks: raw {raw:.4?}, corrected {corrected:.4?}");
        println!("{last:?}");
        assert!(weeks >= 38.0 && raw[0] > 0.78 && raw[1] < 0.112, "{weeks} {raw:?}");
        assert!(
            corrected[0] > raw[0] + 0.008 && corrected[1] < raw[1] && corrected[2] < 0.035,
            "{raw:?} {corrected:?}"
        );
        let quality = last.unwrap().quality.unwrap();
        assert_eq!((quality.week, quality.customers), (FIRST + 64 - 13, 2_357));
        assert!(quality.none > 1_800 && quality.auc.unwrap() > 0.75 && quality.brier < 0.12 && quality.ece < 0.05);
    }

    #[test]
    fn the_order_of_samples_and_what_was_learnt_before_change_nothing() {
        let customers = cdnow::customers().split_off(1_700);
        let rules = rules("60 days");
        let weeks = FIRST + 10..FIRST + 60;
        let all: Vec<(u32, Sample)> = weeks
            .flat_map(|week| (0..PARTITIONS).map(move |of| (of, week)))
            .map(|(of, week)| (of, sample(&customers, of, week)))
            .collect();
        let learnt = |samples: &mut dyn Iterator<Item = &(u32, Sample)>, on_the_way: bool| {
            let mut learner = learner(&rules);
            for (partition, sample) in samples {
                learner.add(*partition, sample.clone());
                if on_the_way {
                    learn(&mut learner, &rules);
                }
            }
            learn(&mut learner, &rules).unwrap()
        };
        let at_once = learnt(&mut all.iter(), false);
        assert!(at_once.recalibration.is_some() && at_once.quality.is_some());
        assert_eq!(learnt(&mut all.iter(), true), at_once);
        assert_eq!(learnt(&mut all.iter().rev(), false), at_once);
        let by_partition = (0..PARTITIONS).flat_map(|of| all.iter().filter(move |(partition, _)| *partition == of));
        assert_eq!(learnt(&mut by_partition.chain(all.iter().take(9)), false), at_once);
        // Who is asked later does not know the first weeks any more.
        let late = all.iter().filter(|(_, sample)| sample.week > FIRST + 59 - learner(&rules).kept);
        assert_eq!(learnt(&mut late.into_iter(), false), at_once);
    }

    #[test]
    fn all_partitions_are_waited_for_but_not_one_that_stands_still_or_is_in_another_time() {
        let (customers, rules) = (cdnow::customers().split_off(2_000), rules("91 days"));
        let mut learner = learner(&rules);
        let mut week_with = |partition: u32, week: i64| {
            learner.add(partition, sample(&customers, partition, week));
            learn(&mut learner, &rules).map(|learnt| (learnt.week - FIRST, learnt.sampled))
        };
        let sampled = |week, of| sample(&customers, of, FIRST + week).rows.len() as u64;
        let all = |week| [0, 1, 2, 3].map(|of| sampled(week, of)).into_iter();
        for partition in 0..PARTITIONS {
            week_with(partition, FIRST + 20);
        }
        // Their parts of the newest week for which all have told; the first stands still at the twentieth.
        assert_eq!(week_with(1, FIRST + 21), Some((20, all(20).sum())));
        assert_eq!(week_with(2, FIRST + 21), Some((20, all(20).sum())));
        for week in 22..=24 {
            for partition in 1..PARTITIONS {
                week_with(partition, FIRST + week);
            }
        }
        assert_eq!(week_with(3, FIRST + 24), Some((24, all(24).skip(1).sum())));
        // An event has moved the time of one by many years.
        let mut poisoned = sample(&customers, 1, FIRST + 24);
        poisoned.week += 400_000;
        learner.add(1, poisoned);
        let learnt = learn(&mut learner, &rules).unwrap();
        assert_eq!((learnt.week - FIRST, learnt.sampled), (24, all(24).skip(2).sum()));
    }

    #[test]
    fn what_came_of_a_customer_is_looked_up_when_the_horizon_in_whole_weeks_is_over() {
        let rules = rules("10 days");
        let day = |week: i64, days: i64| i32::try_from(week_begins(week).0 / Span::DAY.0 + days).unwrap();
        // Buys on these days after the week begins; looked at this long after the beginnings of the week and of the second
        // one after it, and is nothing seen to come?
        let none = |days: &[i64], began: Span, later: Span| {
            let seen_on = |week: i64, at: Span, until: i64| {
                let past =
                    days.iter().map(|of| (day(FIRST, *of), 1)).take_while(|(bought, _)| *bought < day(FIRST, until));
                let comings = Comings::Bought(Purchases::of([(day(FIRST, -30), 1)].into_iter().chain(past)).unwrap());
                let row = SampleRow { hash: 7, at: week_begins(week) + at, comings };
                Sample { week, customers: 1, rows: vec![row] }
            };
            let mut learner = learner(&rules);
            learner.add(0, seen_on(FIRST, began, 0));
            learner.add(0, seen_on(FIRST + 2, later, 14));
            learner.add(0, seen_on(FIRST + 3, later, 21));
            learner.in_step = [0].into();
            let matured = learner.matured(FIRST + 3, &rules.calendar(), 10, 8);
            matured.get(&FIRST).map(|rows| rows.iter().map(|row| row.none).collect::<Vec<_>>())
        };
        let (early, hour) = (Span(0), Span::HOUR);
        assert_eq!(none(&[], early, early), Some(vec![true]));
        assert_eq!(none(&[13], early, early), Some(vec![false]));
        assert_eq!(none(&[15], early, early), Some(vec![true]));
        // A little earlier than two weeks after is late enough; three days are not, and the third week tells.
        assert_eq!(none(&[15], hour, early), Some(vec![true]));
        assert_eq!(none(&[15, 18], Span(3 * Span::DAY.0), early), Some(vec![false]));
    }
}
