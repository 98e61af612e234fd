//! Fits of MBG/NBD to the purchases of many customers.

use super::{Fitted, Likeliest, Observations, REPEATS_MIN, Refused, Start, WINDOW_MIN_DAYS, exps, likeliest, lns};
use crate::churn::mbg_nbd::{MbgNbd, Repeats};

/// One customer as observed until now, `age_days` after the first purchase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    pub seen: Repeats,
    pub age_days: f64,
}

/// A week: the unit in which alpha is of the order of 1, for the start and for the ridge.
const WEEK_DAYS: f64 = 7.0;

/// The parameters under which the observations are likeliest. Last week's are the best `start`.
pub fn mbg_nbd(customers: &[Observed], start: Option<MbgNbd>) -> Result<Fitted<MbgNbd>, Refused> {
    let window = customers.iter().map(|customer| customer.age_days).fold(0.0, f64::max);
    if customers.is_empty() || window <= 0.0 {
        return Err(Refused::NothingSeen);
    }
    let repeats: f64 = customers.iter().map(|customer| customer.seen.x).sum();
    let observations =
        if window < WINDOW_MIN_DAYS || repeats < REPEATS_MIN { Observations::TooFew } else { Observations::Enough };
    let rows = Rows::of(customers);
    // Alpha is searched for in weeks.
    let mut bounds = MbgNbd::BOUNDS;
    let (least, most) = bounds[1];
    bounds[1] = (least / WEEK_DAYS, most / WEEK_DAYS);
    let model = |logs: &[f64; 4]| {
        let [r, alpha, a, b] = exps(logs, &bounds);
        MbgNbd { r, alpha_days: (alpha * WEEK_DAYS).clamp(least, most), a, b }
    };
    let usual = Start { logs: [0.0; 4], step: 0.5 };
    let warm = start.filter(MbgNbd::is_sound);
    let warm = warm.map(|m| Start { logs: lns([m.r, m.alpha_days / WEEK_DAYS, m.a, m.b]), step: 0.1 });
    let starts: Vec<_> = warm.into_iter().chain([usual]).collect();
    let found = likeliest(observations, &starts, &bounds, |logs| rows.log_likelihood(&model(logs)));
    let Likeliest { logs, log_likelihood, provisional } = found?;
    Ok(Fitted { parameters: model(&logs), log_likelihood, rows: customers.len(), provisional })
}

/// The customers, identical ones counted together: half of a young shop's customers bought once, and the functions of a
/// count cost most.
struct Rows {
    /// Ascending by count and times, so that sums have one order.
    alike: Vec<(Observed, f64)>,
}

impl Rows {
    fn of(customers: &[Observed]) -> Self {
        let mut sorted = customers.to_vec();
        let key = |o: &Observed| [o.seen.x, o.seen.t_x, o.age_days];
        sorted.sort_by(|a, b| {
            let by_part = key(a).into_iter().zip(key(b)).map(|(a, b)| a.total_cmp(&b));
            by_part.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        let alike = sorted.chunk_by(|a, b| a == b).map(|alike| (alike[0], alike.len() as f64)).collect();
        Self { alike }
    }

    fn log_likelihood(&self, model: &MbgNbd) -> f64 {
        let of_count = |same: &[(Observed, f64)]| {
            let n: f64 = same.iter().map(|(_, weight)| weight).sum();
            let by_times = |(o, weight): &(Observed, f64)| weight * model.by_times(o.seen, o.age_days);
            n * model.by_count(same[0].0.seen.x) + same.iter().map(by_times).sum::<f64>()
        };
        self.alike.chunk_by(|a, b| a.0.seen.x == b.0.seen.x).map(of_count).sum()
    }
}
