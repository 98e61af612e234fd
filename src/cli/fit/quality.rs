//! Compares an earlier fit with what followed.

use crate::churn::quality::{self, Bin};
use crate::cli::history::Scanned;
use crate::engine::{LabeledSnapshot, level_name};
use crate::event::{Instant, Span};
use crate::rules::RuleSet;

/// The minimum number of customers to calibrate silence.
const CALIBRATED_MIN: usize = 100;
/// Customers with similar silence are grouped into this many parts of equal size.
const PARTS: usize = 10;

/// The predictions of a fit one horizon before the end, and the outcomes.
pub(super) struct Holdout {
    pub(super) split: Instant,
    pub(super) customers: usize,
    pub(super) provisional: bool,
    pub(super) bins: [Bin; 10],
    pub(super) auc: Option<f64>,
    pub(super) silence_auc: Option<f64>,
    pub(super) brier: f64,
    /// From the outcomes of silence one horizon earlier; `None` if unknown.
    pub(super) silence_brier: Option<f64>,
    /// For the overall share, which was not known then.
    pub(super) same_for_all_brier: f64,
    /// The levels above the lowest with customers: name, count, and the share without activity.
    pub(super) levels: Vec<(String, usize, f64)>,
}

impl Holdout {
    /// None where the history is too short.
    pub(super) fn of(
        looked: &Scanned,
        rules: &RuleSet,
        before: Instant,
        split: Instant,
        until: Instant,
    ) -> Option<Self> {
        let churn = rules.churn.as_ref()?;
        let fit = looked.fit(split).ok()?;
        let (model, horizon) = (fit.model(), days(churn.horizon));
        let watched = looked.watched(split, until);
        let mut scored = Vec::new();
        let mut levels = vec![(0_usize, 0_usize); churn.thresholds.len() + 1];
        for LabeledSnapshot { snapshot, none } in watched {
            let customer = snapshot.activity.with_model(&model)?;
            let p_none = customer.p_none(snapshot.days, horizon);
            scored.push((p_none, *none));
            let is_long = customer.silence(snapshot.days) >= days(churn.min_silence);
            let level = churn.thresholds.iter().take_while(|threshold| is_long && p_none >= **threshold).count();
            levels[level].0 += 1;
            levels[level].1 += usize::from(*none);
        }
        let silent: Vec<(f64, bool)> = watched.iter().map(silence).collect();
        let earlier: Vec<(f64, bool)> = looked.watched(before, split).iter().map(silence).collect();
        let by_silence = SilenceModel::of(earlier).map(|model| {
            let predictions: Vec<(f64, bool)> =
                silent.iter().map(|(days, none)| (model.p_none(*days), *none)).collect();
            quality::brier(&predictions)
        });
        let share = scored.iter().filter(|(_, none)| *none).count() as f64 / scored.len() as f64;
        let named = |(level, (n, none)): (usize, (usize, usize))| {
            (level_name(rules, level).to_owned(), n, none as f64 / n as f64)
        };
        Some(Self {
            split,
            customers: scored.len(),
            provisional: fit.is_provisional(),
            bins: quality::calibration(&scored),
            auc: quality::auc(&scored),
            silence_auc: quality::auc(&silent),
            brier: quality::brier(&scored)?,
            silence_brier: by_silence.flatten(),
            same_for_all_brier: share * (1.0 - share),
            levels: levels.into_iter().enumerate().skip(1).filter(|(_, (n, _))| *n > 0).map(named).collect(),
        })
    }
}

/// Days of silence, and whether it went on for the horizon.
fn silence(watched: &LabeledSnapshot) -> (f64, bool) {
    let activity = watched.snapshot.activity;
    let last = f64::from(activity.last_day()) - f64::from(activity.first_day());
    ((watched.snapshot.days - last).max(0.0), watched.none)
}

/// The prediction from silence alone, calibrated on earlier outcomes.
struct SilenceModel {
    /// Ascending: up to so many days, and the share of those who went on.
    parts: Vec<(f64, f64)>,
}

impl SilenceModel {
    fn of(mut seen: Vec<(f64, bool)>) -> Option<Self> {
        if seen.len() < CALIBRATED_MIN {
            return None;
        }
        seen.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let part = |part: &[(f64, bool)]| {
            let none = part.iter().filter(|(_, none)| *none).count();
            (part[part.len() - 1].0, none as f64 / part.len() as f64)
        };
        Some(Self { parts: seen.chunks(seen.len().div_ceil(PARTS)).map(part).collect() })
    }

    fn p_none(&self, days: f64) -> f64 {
        let place = self.parts.partition_point(|(most, _)| *most < days).min(self.parts.len() - 1);
        self.parts[place].1
    }
}

/// A length of time as the models count it.
fn days(span: Span) -> f64 {
    span.0 as f64 / Span::DAY.0 as f64
}
