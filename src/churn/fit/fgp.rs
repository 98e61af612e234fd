//! Fits of FGP to the outcomes of snapshots.

use super::{Fitted, Likeliest, Observations, REPEATS_MIN, Refused, Start, WINDOW_MIN_DAYS, exps, likeliest, lns};
use crate::churn::fgp::Fgp;
use crate::churn::special::{expm1, ln, ln_1p};
use crate::churn::usage::{Memories, Usage};

/// One customer at the time of a snapshot at least the horizon ago, and the outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabeledUsage {
    pub usage: Usage,
    /// The snapshot's time, in days since the customer's first active day.
    pub at: f64,
    /// No active day within the horizon.
    pub none: bool,
}

/// The parameters under which the outcomes of the last snapshots (four are enough) are likeliest, tau being one of the
/// memories.
pub fn fgp(
    watched: &[LabeledUsage],
    horizon_days: f64,
    memories: &Memories,
    start: Option<Fgp>,
) -> Result<Fitted<Fgp>, Refused> {
    if watched.is_empty() {
        return Err(Refused::NothingSeen);
    }
    let window = watched.iter().map(|row| row.at).fold(0.0, f64::max) + horizon_days;
    let came_back = watched.iter().filter(|row| !row.none).count();
    // Outcomes of one kind only are explained as well by any of many parameters.
    let observations = if window < WINDOW_MIN_DAYS || (came_back as f64) < REPEATS_MIN || came_back == watched.len() {
        Observations::TooFew
    } else {
        Observations::Enough
    };
    let usual = Start { logs: lns([0.1, 7.0]), step: 0.5 };
    let warm = start.filter(Fgp::is_sound).map(|m| Start { logs: lns([m.r, m.alpha_days]), step: 0.25 });
    let starts: Vec<_> = warm.into_iter().chain([usual]).collect();
    let mut best: Option<Fitted<Fgp>> = None;
    for tau_days in *memories.days() {
        let model = |logs: &[f64; 2]| {
            let [r, alpha_days] = exps(logs, &Fgp::BOUNDS);
            Fgp { r, alpha_days, tau_days }
        };
        let Some(rows) = Rows::of(watched, memories, &model(&usual.logs)) else { continue };
        let by_logs = |logs: &[f64; 2]| rows.log_likelihood(horizon_days, &model(logs));
        let Ok(found) = likeliest(observations, &starts, &Fgp::BOUNDS, by_logs) else { continue };
        let Likeliest { logs, log_likelihood, provisional } = found;
        let is_better = best.is_none_or(|best| {
            // Known parameters are preferred to provisional ones.
            (provisional, -log_likelihood) < (best.provisional, -best.log_likelihood)
        });
        if is_better {
            best = Some(Fitted { parameters: model(&logs), log_likelihood, rows: watched.len(), provisional });
        }
    }
    best.ok_or(Refused::NoMaximum)
}

/// The customers under one memory, grouped by exposure: the logarithm depends only on the exposure, and most customers
/// were inactive.
struct Rows {
    /// Ascending by exposure.
    alike: Vec<Alike>,
}

/// Those of one exposure.
struct Alike {
    exposure: f64,
    /// The number of inactive customers, and the sum of their active days before.
    none: (f64, f64),
    /// The active days before of each customer who came back, ascending.
    some: Vec<f64>,
}

impl Rows {
    /// Groups the customers, which does not depend on r and alpha; `None` where the memory is not kept.
    fn of(watched: &[LabeledUsage], memories: &Memories, model: &Fgp) -> Option<Self> {
        let seen = |row: &LabeledUsage| {
            let seen = row.usage.activity(model, memories)?;
            Some((model.exposure_days(row.at.max(seen.t_x)), row.none, model.active_days(seen, row.at)))
        };
        let mut rows = watched.iter().map(seen).collect::<Option<Vec<(f64, bool, f64)>>>()?;
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.total_cmp(&b.2)));
        let alike = |rows: &[(f64, bool, f64)]| {
            let (some, none) = rows.split_at(rows.partition_point(|(_, none, _)| !none));
            let none = (none.len() as f64, none.iter().map(|(.., active)| active).sum());
            Alike { exposure: rows[0].0, none, some: some.iter().map(|(.., active)| *active).collect() }
        };
        Some(Self { alike: rows.chunk_by(|a, b| a.0 == b.0).map(alike).collect() })
    }

    fn log_likelihood(&self, horizon_days: f64, model: &Fgp) -> f64 {
        let of = |Alike { exposure, none: (none, active), some }: &Alike| {
            let log = ln_1p(horizon_days / (model.alpha_days + exposure));
            let came = |active: &f64| ln((-expm1(-(model.r + active) * log)).max(f64::MIN_POSITIVE));
            some.iter().map(came).sum::<f64>() - (model.r * none + active) * log
        };
        self.alike.iter().map(of).sum()
    }
}
