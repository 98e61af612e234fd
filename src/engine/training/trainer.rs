//! Training of the churn model on the samples of all partitions.
//!
//! The result is a function of the samples, whatever the order in which they arrive and whatever was trained before, so
//! that processes that read the same samples get the same parameters, to the last bit. Therefore every fit starts from
//! scratch and looks back over a fixed number of weeks, and the result of a week never depends on a later one.

use std::collections::{BTreeMap, BTreeSet};

use super::fit::{Fit, LabeledSnapshot};
use super::sample::{Sample, SampleRow, WEEK};
use crate::calendar::Calendar;
use crate::churn::{Evidence, Outcome, Recalibration, SNAPSHOTS_MAX, quality};
use crate::engine::model::Parameters;
use crate::event::Span;
use crate::rules::{Churn, ChurnModel};

/// A partition more weeks away from the median partition is neither waited for nor used: it stands still, replays a
/// long past, or has had its stream time moved far into the future by one event.
const WEEKS_APART_MAX: i64 = 3;
/// Where the newest parameters are provisional, known ones are looked for in so many weeks, the newest included.
const FIT_LOOKBACK_WEEKS: i64 = 6;
/// Weeks within which the outcomes for a recalibration lie.
const RECALIBRATION_WEEKS: i64 = 10;
/// Weeks within which the labeled snapshots for a fit of usage lie, and at most how many of these weeks are used.
const USAGE_FIT_WEEKS: i64 = 6;
const USAGE_FIT_WEEKS_MAX: usize = 4;
/// How much earlier in its week a customer's later row may have been taken, without waiting for another week.
const EARLIER_MAX: Span = Span::DAY;
/// Weeks of samples that are kept at most; with a horizon of more weeks no outcome ever matures.
pub const SAMPLES_MAX: i64 = 128;

/// Samples by week and partition, and the fits computed from them.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// The horizon in whole weeks, since samples are taken once a week.
    watch_weeks: i64,
    /// Weeks of samples that are kept for each partition.
    kept: i64,
    samples: BTreeMap<u32, BTreeMap<i64, Sample>>,
    /// The partitions that the cached fits were computed from.
    in_step: BTreeSet<u32>,
    /// The fit of each week, as far as computed.
    fits: BTreeMap<i64, Option<Fit>>,
}

/// The result of training in one week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainedModel {
    pub week: i64,
    pub fit: Fit,
    pub recalibration: Option<Recalibration>,
    /// All customers who have been active, and how many of them were sampled.
    pub customers: u64,
    pub sampled: u64,
    /// The quality of the newest week whose outcomes are known; `None`: of none yet.
    pub quality: Option<Quality>,
}

/// How good the probabilities of one week were, before recalibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    pub week: i64,
    pub customers: u64,
    /// Customers who were inactive.
    pub none: u64,
    /// `None` where all had the same outcome.
    pub auc: Option<f64>,
    pub brier: f64,
    pub ece: f64,
}

impl TrainedModel {
    /// As an input to decisions.
    #[must_use]
    pub fn parameters(&self, version: u32) -> Parameters {
        self.fit.parameters(version, self.recalibration)
    }
}

/// A row, and its outcome: whether the customer was inactive during the horizon.
struct Matured<'a> {
    row: &'a SampleRow,
    none: bool,
}

impl Trainer {
    #[must_use]
    pub fn new(churn: &Churn) -> Self {
        let watch_weeks = (churn.horizon.0 + WEEK.0 - 1).div_euclid(WEEK.0);
        let used = match churn.model {
            ChurnModel::Purchases => 0,
            // A fit of that week needs the weeks before it.
            ChurnModel::Usage => watch_weeks + USAGE_FIT_WEEKS,
        };
        let kept = watch_weeks + RECALIBRATION_WEEKS + FIT_LOOKBACK_WEEKS + used + 3 * WEEKS_APART_MAX;
        let (samples, in_step, fits) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { watch_weeks, kept: kept.min(SAMPLES_MAX), samples, in_step, fits }
    }

    /// For other rules that take the same samples: keeps the samples and drops the fits. `None`: they look further back
    /// than what is kept.
    #[must_use]
    pub fn for_rules(self, churn: &Churn) -> Option<Self> {
        let fresh = Self::new(churn);
        (fresh.kept <= self.kept).then_some(Self { samples: self.samples, ..fresh })
    }

    /// Adds a partition's sample, in place of an earlier one of the same week.
    pub fn add(&mut self, partition: u32, sample: Sample) {
        let week = sample.week;
        let samples = self.samples.entry(partition).or_default();
        samples.insert(week, sample);
        let newest = samples.last_key_value().map_or(week, |(newest, _)| *newest);
        *samples = samples.split_off(&(newest - self.kept + 1));
        // Fits of this week and later ones are recomputed.
        self.fits.split_off(&week);
    }

    /// The partitions whose newest week is close to the median, each with its newest week.
    fn in_step(&self) -> BTreeMap<u32, i64> {
        let newest = |(partition, samples): (&u32, &BTreeMap<i64, Sample>)| {
            samples.last_key_value().map(|(newest, _)| (*partition, *newest))
        };
        let mut newest: BTreeMap<u32, i64> = self.samples.iter().filter_map(newest).collect();
        let mut weeks: Vec<i64> = newest.values().copied().collect();
        weeks.sort_unstable();
        // Of two the earlier one, so that a time too far in the future is not trained on.
        let middle = weeks.get(weeks.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        newest.retain(|_, week| middle.abs_diff(*week) <= WEEKS_APART_MAX.unsigned_abs());
        newest
    }

    /// Trains as of the newest week for which every partition in step has delivered its sample. `None`: there are no
    /// samples, or too few for any parameters.
    #[must_use]
    pub fn train(&mut self, churn: &Churn, calendar: &Calendar) -> Option<TrainedModel> {
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
        // Provisional parameters are not recalibrated, nor horizons under a week, whose outcomes weekly samples cannot
        // show.
        let is_sure = !fit.is_provisional() && churn.horizon >= WEEK;
        let recalibration = is_sure.then(|| Recalibration::fit(&outcomes)).flatten();
        let customers = self.latest(week).map(|sample| sample.customers).sum();
        let sampled = self.latest(week).map(|sample| sample.rows.len() as u64).sum();
        Some(TrainedModel { week, fit, recalibration, customers, sampled, quality })
    }

    /// The samples of the partitions in step.
    fn by_partition(&self) -> impl Iterator<Item = &BTreeMap<i64, Sample>> {
        self.in_step.iter().filter_map(|partition| self.samples.get(partition))
    }

    /// The sample of each partition in a week, or where it has none the latest of the few weeks before.
    fn latest(&self, week: i64) -> impl Iterator<Item = &Sample> {
        self.by_partition()
            .filter_map(move |samples| samples.range(week - WEEKS_APART_MAX..=week).next_back())
            .map(|(_, s)| s)
    }

    /// The best fit as of a week: known parameters of earlier weeks are preferred to provisional ones.
    fn best(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> Option<Fit> {
        let mut best = self.fit(week, churn, calendar);
        for earlier in (week - FIT_LOOKBACK_WEEKS + 1..week).rev() {
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
        let now: Vec<_> = rows.map(|row| row.snapshot(calendar)).collect();
        let labeled = match churn.model {
            ChurnModel::Purchases => BTreeMap::new(),
            ChurnModel::Usage => self.matured(week, calendar, USAGE_FIT_WEEKS, USAGE_FIT_WEEKS_MAX),
        };
        let labeled = labeled.into_values().flatten();
        let labeled: Vec<LabeledSnapshot> =
            labeled.map(|Matured { row, none }| LabeledSnapshot { snapshot: row.snapshot(calendar), none }).collect();
        let fit = Fit::new(churn, &now, &labeled, self.watch(), None).ok();
        self.fits.insert(week, fit);
        fit
    }

    fn watch(&self) -> Span {
        Span(self.watch_weeks * WEEK.0)
    }

    /// The outcomes of the predictions of each week, under the parameters of that week.
    fn outcomes(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> BTreeMap<i64, Vec<Outcome>> {
        let weeks: Vec<i64> = self.matured(week, calendar, RECALIBRATION_WEEKS, SNAPSHOTS_MAX).into_keys().collect();
        let models: Vec<_> =
            weeks.into_iter().map(|week| self.best(week, churn, calendar).map(|fit| fit.model())).collect();
        let horizon = self.watch().0 as f64 / Span::DAY.0 as f64;
        let predicted = self.matured(week, calendar, RECALIBRATION_WEEKS, SNAPSHOTS_MAX);
        let outcomes = predicted.into_iter().zip(models).filter_map(|((week, rows), model)| {
            let model = model?;
            let outcome = |Matured { row, none }: Matured<'_>| {
                let customer = row.activity.with_model(&model)?;
                let evidence = Evidence::of(&customer, row.snapshot(calendar).days, horizon);
                Some(Outcome { evidence, none })
            };
            Some((week, rows.into_iter().filter_map(outcome).collect::<Vec<_>>()))
        });
        outcomes.filter(|(_, outcomes)| !outcomes.is_empty()).collect()
    }

    /// The latest weeks whose horizon has ended by `week`, each with its rows: at most `most` of the last `within`.
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
        // A row taken late in its week is looked up in the sample after the one at the end of the horizon.
        let later: Vec<&Sample> =
            samples.range(begun + self.watch_weeks..=week).map(|(_, sample)| sample).take(2).collect();
        let watch = self.watch();
        let matured = |row: &'a SampleRow| {
            let over = row.at + watch - EARLIER_MAX;
            let later = later.iter().filter_map(|sample| sample.find(row.hash)).find(|later| later.at >= over)?;
            Some(Matured { row, none: row.was_inactive(later, watch, calendar) })
        };
        sample.rows.iter().filter_map(matured).collect()
    }
}

impl Quality {
    fn of(week: i64, outcomes: &[Outcome]) -> Option<Self> {
        let predicted = |outcome: &Outcome| (Recalibration::NONE.p_none(&outcome.evidence), outcome.none);
        let predicted: Vec<(f64, bool)> = outcomes.iter().map(predicted).collect();
        Some(Self {
            week,
            customers: predicted.len() as u64,
            none: predicted.iter().filter(|(_, none)| *none).count() as u64,
            auc: quality::auc(&predicted),
            brier: quality::brier(&predicted)?,
            ece: quality::ece(&predicted)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{TrainedModel, Trainer};
    use crate::churn::tests::cdnow::{self, PurchaseList};
    use crate::churn::{Purchases, Recalibration, days_since, quality};
    use crate::engine::ActivityHistory;
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
    fn sample(customers: &[PurchaseList], partition: u32, week: i64) -> Sample {
        let mut rows = Vec::new();
        for (bought, number) in customers.iter().zip(0_u32..).filter(|(_, number)| number % PARTITIONS == partition) {
            let at = Instant(week_begins(week).0 + i64::from(partition) * 60_000 + i64::from(number * 37 % 997));
            let today = i32::try_from(at.0.div_euclid(Span::DAY.0)).unwrap();
            let past = bought.iter().map(|(day, amount)| (DAY_ZERO + day, *amount));
            if let Some(purchases) = Purchases::of(past.take_while(|(day, _)| *day < today)) {
                let activity = ActivityHistory::Purchases(purchases);
                rows.push(SampleRow { hash: tie_hash(&number.to_string()), at, activity });
            }
        }
        rows.sort_unstable_by_key(|row| row.hash);
        Sample { week, customers: rows.len() as u64, rows }
    }

    fn train(trainer: &mut Trainer, rules: &RuleSet) -> Option<TrainedModel> {
        trainer.train(rules.churn.as_ref().unwrap(), &rules.calendar())
    }

    fn trainer(rules: &RuleSet) -> Trainer {
        Trainer::new(rules.churn.as_ref().unwrap())
    }

    /// AUC, Brier score and ECE of the predictions of a week, by the actual outcomes.
    fn measured_quality(
        trained: &TrainedModel,
        recalibration: Option<&Recalibration>,
        customers: &[PurchaseList],
        week: i64,
    ) -> [f64; 3] {
        let now = week_begins(week);
        let today = i32::try_from(now.0.div_euclid(Span::DAY.0)).unwrap();
        let parameters = trained.parameters(1);
        let levels = crate::churn::Levels {
            horizon_days: f64::from(HORIZON_DAYS),
            thresholds: &[],
            min_silence_days: 0.0,
            recalibration,
        };
        let scored = customers.iter().filter_map(|bought| {
            let days = || bought.iter().map(|(day, amount)| (DAY_ZERO + day, *amount));
            let past = Purchases::of(days().take_while(|(day, _)| *day < today))?;
            let customer = ActivityHistory::Purchases(past).with_model(&parameters.model)?;
            let at = days_since(i64::from(past.first_day) * Span::DAY.0, now.0);
            let none = !days().any(|(day, _)| (today..today + HORIZON_DAYS).contains(&day));
            Some((levels.risk(&customer, at), none))
        });
        let scored: Vec<(f64, bool)> = scored.collect();
        [quality::auc(&scored).unwrap(), quality::brier(&scored).unwrap(), quality::ece(&scored).unwrap()]
    }

    #[test]
    fn trained_each_week_on_samples_of_the_past_the_model_predicts_the_next_thirteen_weeks() {
        let (customers, rules) = (cdnow::customers(), rules("91 days"));
        let mut trainer = trainer(&rules);
        let (mut raw, mut corrected, mut weeks, mut last) = ([0.0; 3], [0.0; 3], 0.0, None);
        for week in FIRST..FIRST + 65 {
            for partition in 0..PARTITIONS {
                trainer.add(partition, sample(&customers, partition, week));
            }
            let Some(trained) = train(&mut trainer, &rules) else { continue };
            assert_eq!(trained.week, week);
            assert!(trained.recalibration.is_none() || !trained.fit.is_provisional());
            // From half a year on parameters are known, and so may corrections be.
            if !trained.fit.is_provisional() {
                let add = |sums: [f64; 3], of: [f64; 3]| std::array::from_fn(|i| sums[i] + of[i]);
                raw = add(raw, measured_quality(&trained, None, &customers, week));
                corrected =
                    add(corrected, measured_quality(&trained, trained.recalibration.as_ref(), &customers, week));
                weeks += 1.0;
            }
            last = Some(trained);
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
    fn the_order_of_samples_and_earlier_training_change_nothing() {
        let customers = cdnow::customers().split_off(1_700);
        let rules = rules("60 days");
        let weeks = FIRST + 10..FIRST + 60;
        let all: Vec<(u32, Sample)> = weeks
            .flat_map(|week| (0..PARTITIONS).map(move |of| (of, week)))
            .map(|(of, week)| (of, sample(&customers, of, week)))
            .collect();
        let trained = |samples: &mut dyn Iterator<Item = &(u32, Sample)>, on_the_way: bool| {
            let mut trainer = trainer(&rules);
            for (partition, sample) in samples {
                trainer.add(*partition, sample.clone());
                if on_the_way {
                    train(&mut trainer, &rules);
                }
            }
            train(&mut trainer, &rules).unwrap()
        };
        let at_once = trained(&mut all.iter(), false);
        assert!(at_once.recalibration.is_some() && at_once.quality.is_some());
        assert_eq!(trained(&mut all.iter(), true), at_once);
        assert_eq!(trained(&mut all.iter().rev(), false), at_once);
        let by_partition = (0..PARTITIONS).flat_map(|of| all.iter().filter(move |(partition, _)| *partition == of));
        assert_eq!(trained(&mut by_partition.chain(all.iter().take(9)), false), at_once);
        // Who is asked later does not know the first weeks any more.
        let late = all.iter().filter(|(_, sample)| sample.week > FIRST + 59 - trainer(&rules).kept);
        assert_eq!(trained(&mut late.into_iter(), false), at_once);
    }

    #[test]
    fn all_partitions_are_waited_for_but_not_one_that_stands_still_or_is_in_another_time() {
        let (customers, rules) = (cdnow::customers().split_off(2_000), rules("91 days"));
        let mut trainer = trainer(&rules);
        let mut week_with = |partition: u32, week: i64| {
            trainer.add(partition, sample(&customers, partition, week));
            train(&mut trainer, &rules).map(|trained| (trained.week - FIRST, trained.sampled))
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
        trainer.add(1, poisoned);
        let trained = train(&mut trainer, &rules).unwrap();
        assert_eq!((trained.week - FIRST, trained.sampled), (24, all(24).skip(2).sum()));
    }

    #[test]
    fn what_came_of_a_customer_is_looked_up_when_the_horizon_in_whole_weeks_is_over() {
        let rules = rules("10 days");
        let day = |week: i64, days: i64| i32::try_from(week_begins(week).0 / Span::DAY.0 + days).unwrap();
        // Buys on these days after the week begins; looked at this long after the beginnings of the week and of the
        // second one after it, and is nothing seen to come?
        let none = |days: &[i64], began: Span, later: Span| {
            let seen_on = |week: i64, at: Span, until: i64| {
                let past =
                    days.iter().map(|of| (day(FIRST, *of), 1)).take_while(|(bought, _)| *bought < day(FIRST, until));
                let activity =
                    ActivityHistory::Purchases(Purchases::of([(day(FIRST, -30), 1)].into_iter().chain(past)).unwrap());
                let row = SampleRow { hash: 7, at: week_begins(week) + at, activity };
                Sample { week, customers: 1, rows: vec![row] }
            };
            let mut trainer = trainer(&rules);
            trainer.add(0, seen_on(FIRST, began, 0));
            trainer.add(0, seen_on(FIRST + 2, later, 14));
            trainer.add(0, seen_on(FIRST + 3, later, 21));
            trainer.in_step = [0].into();
            let matured = trainer.matured(FIRST + 3, &rules.calendar(), 10, 8);
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
