//! FGP from what became of customers.

use super::{Fitted, Likeliest, REPEATS_MIN, Refused, Start, WINDOW_MIN_DAYS, exps, likeliest, lns};
use crate::churn::fgp::Fgp;
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
    let came_back = watched.iter().filter(|row| !row.none).count();
    // Outcomes of one kind only are explained as well by any of many parameters.
    let provisional = window < WINDOW_MIN_DAYS || (came_back as f64) < REPEATS_MIN || came_back == watched.len();
    let usual = Start { logs: lns([0.1, 7.0]), step: 0.5 };
    let warm = start.filter(Fgp::is_sound).map(|m| Start { logs: lns([m.r, m.alpha_days]), step: 0.25 });
    let starts: Vec<_> = warm.into_iter().chain([usual]).collect();
    let mut best: Option<Fitted<Fgp>> = None;
    for tau_days in *memories.days() {
        let model = |logs: &[f64; 2]| {
            let [r, alpha_days] = exps(logs, &Fgp::BOUNDS);
            Fgp { r, alpha_days, tau_days }
        };
        let by_logs = |logs: &[f64; 2]| log_likelihood(watched, horizon_days, memories, &model(logs));
        let Ok(found) = likeliest(provisional, &starts, &Fgp::BOUNDS, by_logs) else { continue };
        let Likeliest { logs, log_likelihood, provisional } = found;
        let is_better = best.is_none_or(|best| {
            // What is known comes before what is not.
            (provisional, -log_likelihood) < (best.provisional, -best.log_likelihood)
        });
        if is_better {
            best = Some(Fitted { parameters: model(&logs), log_likelihood, rows: watched.len(), provisional });
        }
    }
    best.ok_or(Refused::NoMaximum)
}

fn log_likelihood(watched: &[Watched], horizon_days: f64, memories: &Memories, model: &Fgp) -> f64 {
    let of = |row: &Watched| {
        let Some(seen) = row.usage.activity(model, memories) else { return f64::NAN };
        let log_none = model.log_none(seen, row.at, horizon_days);
        if row.none { log_none } else { ln((-expm1(log_none)).max(f64::MIN_POSITIVE)) }
    };
    watched.iter().map(of).sum()
}
