//! FGP from what became of customers.

use super::{Fitted, REPEATS_MIN, Refused, WINDOW_MIN_DAYS, exps, lns, on_a_bound, ridge, within};
use crate::churn::fgp::Fgp;
use crate::churn::minimum::minimise;
use crate::churn::special::{expm1, ln};
use crate::churn::usage::{Memories, Usage};

/// One customer at the time of a snapshot that lies at least the horizon back, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    pub usage: Usage,
    /// The snapshot's time, in days since the customer's first active day.
    pub at: f64,
    /// No active day within the horizon.
    pub none: bool,
}

/// The parameters under which the outcomes of the last snapshots (four are enough) are likeliest, tau being one of the
/// memories.
pub fn fgp(
    watched: &[Watched],
    horizon_days: f64,
    memories: &Memories,
    start: Option<Fgp>,
) -> Result<Fitted<Fgp>, Refused> {
    if watched.is_empty() {
        return Err(Refused::NothingSeen);
    }
    let window = watched.iter().map(|row| row.at).fold(0.0, f64::max) + horizon_days;
    let came_back = watched.iter().filter(|row| !row.none).count() as f64;
    let provisional = window < WINDOW_MIN_DAYS || came_back < REPEATS_MIN;
    let penalty = |logs: &[f64; 2]| if provisional { ridge(logs) } else { 0.0 };
    let mut best: Option<(f64, Fitted<Fgp>)> = None;
    let warm = start.filter(Fgp::is_sound).map(|m| lns([m.r, m.alpha_days]));
    for tau_days in *memories.days() {
        let model = |logs: &[f64; 2]| {
            let [r, alpha_days] = exps(logs);
            Fgp { r, alpha_days, tau_days }
        };
        let unlikeliness = |logs: &[f64; 2]| match within(logs, &Fgp::BOUNDS) {
            true => penalty(logs) - log_likelihood(watched, horizon_days, memories, &model(logs)),
            false => f64::INFINITY,
        };
        let (start, step) = warm.map_or_else(|| (lns([0.1, 7.0]), 0.5), |logs| (logs, 0.25));
        let found = minimise(start, step, unlikeliness);
        if !found.value.is_finite() || on_a_bound(&found.place, &Fgp::BOUNDS) {
            continue;
        }
        if best.is_none_or(|(least, _)| found.value < least) {
            let log_likelihood = penalty(&found.place) - found.value;
            let parameters = model(&found.place);
            best = Some((found.value, Fitted { parameters, log_likelihood, rows: watched.len(), provisional }));
        }
    }
    best.map(|(_, fitted)| fitted).ok_or(Refused::OnABound)
}

fn log_likelihood(watched: &[Watched], horizon_days: f64, memories: &Memories, model: &Fgp) -> f64 {
    let of = |row: &Watched| {
        let Some(seen) = row.usage.activity(model, memories) else { return f64::NAN };
        let log_none = model.log_none(seen, row.at, horizon_days);
        if row.none { log_none } else { ln((-expm1(log_none)).max(f64::MIN_POSITIVE)) }
    };
    watched.iter().map(of).sum()
}
