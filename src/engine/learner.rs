//! The parameters of the model of churn from the samples of all partitions.
//!
//! What is learnt is a function of the samples, whatever the order in which they come: who reads the same samples learns the
//! same. Nothing of a week rests on a later one.

use std::collections::BTreeMap;

use super::fitting::{Fit, Watched};
use super::sample::{Sample, SampleRow, week_begins};
use super::score::{Model, Parameters};
use crate::churn::{Evidence, Outcome, Recalibration, SNAPSHOTS_MAX};
use crate::event::{Instant, Span};
use crate::rules::ast::Unit;
use crate::rules::{Calendar, Churn};

/// Matured weeks that a fit of use looks at.
const WATCHED_MAX: usize = 4;
/// Weeks of samples that are kept: of a horizon so long that it has more, nothing ever matures.
pub const SAMPLES_MAX: i64 = 128;

/// Samples by week and partition, and what was made of them.
#[derive(Debug, Clone, Default)]
pub struct Learner {
    samples: BTreeMap<i64, BTreeMap<u32, Sample>>,
    /// Of each week, as far as computed.
    fits: BTreeMap<i64, Option<Fit>>,
}

/// What was learnt in one week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learnt {
    pub week: i64,
    pub fit: Fit,
    pub recalibration: Option<Recalibration>,
    /// Customers that the fit looked at.
    pub customers: u64,
}

impl Learnt {
    /// As an input to decisions.
    #[must_use]
    pub fn parameters(&self, version: u32) -> Parameters {
        self.fit.parameters(version, self.recalibration)
    }
}

/// A row, and what became of the customer within the horizon.
struct Matured<'a> {
    row: &'a SampleRow,
    none: bool,
}

impl Learner {
    /// Takes a partition's sample in, in place of one that it took in the same week.
    pub fn add(&mut self, partition: u32, sample: Sample) {
        let week = sample.week;
        self.samples.entry(week).or_default().insert(partition, sample);
        // Whatever looks at it is made anew.
        self.fits.split_off(&week);
        let newest = self.samples.last_key_value().map_or(0, |(newest, _)| *newest);
        self.samples = self.samples.split_off(&(newest - SAMPLES_MAX + 1));
        self.fits = self.fits.split_off(&(newest - SAMPLES_MAX + 1));
    }

    /// The newest week for which every partition has told, of those that ever did.
    #[must_use]
    pub fn week(&self) -> Option<i64> {
        let mut newest: BTreeMap<u32, i64> = BTreeMap::new();
        for (week, samples) in &self.samples {
            newest.extend(samples.keys().map(|partition| (*partition, *week)));
        }
        newest.into_values().min()
    }

    /// What is known by then. `None`: nothing, or too little for any parameters.
    #[must_use]
    pub fn learn(&mut self, churn: &Churn, calendar: &Calendar) -> Option<Learnt> {
        let week = self.week()?;
        let fit = self.fit(week, churn, calendar)?;
        let recalibration = match fit.is_provisional() {
            true => None,
            false => Recalibration::learnt(&self.outcomes(week, churn, calendar)),
        };
        Some(Learnt { week, fit, recalibration, customers: self.rows(week).count() as u64 })
    }

    /// The rows of a week; of a partition that has none for it, the latest before.
    fn rows(&self, week: i64) -> impl Iterator<Item = &SampleRow> {
        let mut latest: BTreeMap<u32, &Sample> = BTreeMap::new();
        for samples in self.samples.range(..=week).map(|(_, samples)| samples) {
            latest.extend(samples.iter().map(|(partition, sample)| (*partition, sample)));
        }
        latest.into_values().flat_map(|sample| &sample.rows)
    }

    /// The best that is known in a week: what is known is not given up for what is provisional.
    fn fit(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> Option<Fit> {
        let weeks: Vec<i64> = self.samples.range(..=week).map(|(week, _)| *week).collect();
        let mut best = None;
        for week in weeks {
            best = match self.fits.get(&week) {
                Some(fit) => *fit,
                None => {
                    let fit = self.fit_from(best.as_ref(), week, churn, calendar);
                    let fit = match (best, fit) {
                        (Some(best), Some(new)) => Some(Fit::or_better(best, new)),
                        (best, new) => new.or(best),
                    };
                    self.fits.insert(week, fit);
                    fit
                }
            };
        }
        best
    }

    fn fit_from(&self, before: Option<&Fit>, week: i64, churn: &Churn, calendar: &Calendar) -> Option<Fit> {
        let now: Vec<_> = self.rows(week).map(|row| row.sighting(calendar)).collect();
        let watched = self.matured(week, churn.horizon, calendar, WATCHED_MAX);
        let watched = watched.into_values().flatten();
        let watched: Vec<Watched> =
            watched.map(|Matured { row, none }| Watched { sighting: row.sighting(calendar), none }).collect();
        Fit::new(churn, &now, &watched, before).ok()
    }

    /// What became of those of whom something was said, by the week in which it was said, under the parameters of then.
    fn outcomes(&mut self, week: i64, churn: &Churn, calendar: &Calendar) -> Vec<Vec<Outcome>> {
        let said = self.matured(week, churn.horizon, calendar, SNAPSHOTS_MAX);
        let weeks: Vec<i64> = said.keys().copied().collect();
        drop(said);
        let models: Vec<Option<Model>> =
            weeks.iter().map(|week| self.fit(*week, churn, calendar).map(|fit| fit.model())).collect();
        let horizon = churn.horizon.0 as f64 / Span::DAY.0 as f64;
        let said = self.matured(week, churn.horizon, calendar, SNAPSHOTS_MAX).into_values();
        let outcomes = said.zip(models).filter_map(|(rows, model)| {
            let model = model?;
            let outcome = |Matured { row, none }: Matured<'_>| {
                let customer = row.comings.under(&model)?;
                let evidence = Evidence::of(&customer, row.sighting(calendar).days, horizon);
                Some(Outcome { evidence, none })
            };
            Some(rows.into_iter().filter_map(outcome).collect::<Vec<_>>())
        });
        outcomes.filter(|outcomes| !outcomes.is_empty()).collect()
    }

    /// The latest weeks, at most so many, whose horizon had ended by a week, each with its rows.
    fn matured(&self, week: i64, horizon: Span, calendar: &Calendar, most: usize) -> BTreeMap<i64, Vec<Matured<'_>>> {
        let ended = |begun: &i64| week_begins(*begun) + horizon <= week_begins(week);
        let weeks = self.samples.range(..week).rev().filter(|(begun, _)| ended(begun)).take(most);
        let matured = weeks.map(|(begun, samples)| {
            let rows = samples.iter().flat_map(|(partition, sample)| {
                let later = self.later(*partition, *begun, week, horizon);
                sample.rows.iter().filter_map(move |row| {
                    let later = later.iter().find_map(|sample| {
                        let found = sample.rows.binary_search_by_key(&row.hash, |row| row.hash).ok()?;
                        Some(&sample.rows[found]).filter(|later| later.at >= row.at + horizon)
                    })?;
                    Some(Matured { row, none: nothing_came(row, later, horizon, calendar) })
                })
            });
            (*begun, rows.collect())
        });
        matured.collect()
    }

    /// A partition's samples in which the horizon of one may be over, the earliest first.
    fn later(&self, partition: u32, begun: i64, week: i64, horizon: Span) -> Vec<&Sample> {
        let weeks = self.samples.range(begun + 1..=week);
        let over = weeks.filter(|(later, _)| week_begins(**later + 1) >= week_begins(begun) + horizon);
        // The next ones, where a customer was looked at a little earlier in their week than before.
        over.filter_map(|(_, samples)| samples.get(&partition)).take(3).collect()
    }
}

/// Did the customer do nothing within the horizon, as it is known later?
fn nothing_came(row: &SampleRow, later: &SampleRow, horizon: Span, calendar: &Calendar) -> bool {
    let [from, until] = [row.at, row.at + horizon].map(|at: Instant| calendar.period(at, Unit::Day));
    let (seen, now) = (row.comings, later.comings);
    let last = i64::from(now.last_day());
    // A late event may have been of the time before; and what came after the horizon came after it.
    let is_later = last > i64::from(seen.last_day()) && last >= from;
    !is_later || (last > until && seen.and_on(now.last_day()).are_on_the_days_of(&now))
}
