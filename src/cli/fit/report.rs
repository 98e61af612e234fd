//! A fit in words, for people.

use super::day;
use super::quality::Holdout;
use crate::churn::fit::{REPEATS_MIN, WINDOW_MIN_DAYS};
use crate::churn::quality::Bin;
use crate::cli::format::{counted, grouped, length};
use crate::engine::{ActivityHistory, Fit, Model, Sample};
use crate::event::Instant;
use crate::rules::{Churn, ChurnModel, RuleSet};

/// Columns of a probability of 1.
const COLUMNS: usize = 40;

/// All that there is to say.
pub(super) struct Report<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) fit: &'a Fit,
    pub(super) until: Instant,
    /// Those it was fitted to.
    pub(super) now: &'a Sample,
    pub(super) holdout: Option<&'a Holdout>,
    pub(super) bad_lines: u64,
}

impl Report<'_> {
    pub(super) fn lines(&self) -> Vec<String> {
        let Some(churn) = &self.rules.churn else { return Vec::new() };
        let mut lines = vec![String::new(), self.seen(churn), in_words(&self.fit.model())];
        lines.push(self.likelihood(churn));
        lines.extend(self.provisional(churn).map(|why| format!("Provisional: {why}.")));
        if self.bad_lines > 0 {
            lines.push(counted(
                self.bad_lines,
                "line or record could not be read",
                "lines or records could not be read",
            ));
        }
        lines.push(String::new());
        match self.holdout {
            Some(holdout) => lines.extend(against(holdout, churn)),
            None => lines.push(format!(
                "The quality cannot be measured: that takes {} of history before the last {}.",
                length(churn.horizon),
                length(churn.horizon)
            )),
        }
        lines
    }

    fn seen(&self, churn: &Churn) -> String {
        let of = match self.now.customers {
            all if all > self.now.rows.len() as u64 => format!(" of {}", grouped(all)),
            _ => String::new(),
        };
        let came = match churn.model {
            ChurnModel::Purchases => {
                let repeats = self.repeats();
                let all = repeats + self.now.rows.len() as u64;
                format!(
                    "{}, {} after the first",
                    counted(all, "day of purchases", "days of purchases"),
                    grouped(repeats)
                )
            }
            ChurnModel::Usage => format!("what came of them in {}", length(churn.horizon)),
        };
        let until = day(self.until);
        format!("{}{of} until {until}, {came}", counted(self.now.rows.len() as u64, "customer", "customers"))
    }

    fn repeats(&self) -> u64 {
        let repeats = |activity: &ActivityHistory| match activity {
            ActivityHistory::Purchases(purchases) => u64::from(purchases.repeats),
            ActivityHistory::Usage(_) => 0,
        };
        self.now.rows.iter().map(|row| repeats(&row.activity)).sum()
    }

    fn likelihood(&self, churn: &Churn) -> String {
        let own = format!("log-likelihood {:.3}, times in days", self.fit.log_likelihood());
        match self.fit {
            Fit::Purchases { amounts: Some(amounts), .. } => {
                let customers = counted(amounts.rows as u64, "customer", "customers");
                format!("{own}; of amounts {:.3}, {customers}", amounts.log_likelihood)
            }
            Fit::Purchases { amounts: None, .. } if churn.has_amounts => {
                format!("{own}; amounts could not be fitted, so there are no customer values")
            }
            _ => own,
        }
    }

    /// Why the parameters are not to be relied on.
    fn provisional(&self, churn: &Churn) -> Option<String> {
        if !self.fit.is_provisional() {
            return None;
        }
        let calendar = self.rules.calendar();
        let window = self.now.rows.iter().map(|row| row.snapshot(&calendar).age_days).fold(0.0, f64::max);
        let mut why = Vec::new();
        if window < WINDOW_MIN_DAYS {
            why.push(format!("customers were known for {window:.0} days at most, and it takes {WINDOW_MIN_DAYS:.0}"));
        }
        let repeats = self.repeats();
        if churn.model == ChurnModel::Purchases && (repeats as f64) < REPEATS_MIN {
            let seen = counted(repeats, "purchase", "purchases");
            why.push(format!("there are {seen} after the first, and it takes {REPEATS_MIN:.0}"));
        }
        if why.is_empty() {
            why.push("the data does not determine some of the parameters, which were kept near 1".to_owned());
        }
        Some(why.join("; "))
    }
}

/// A model in one line.
pub(in crate::cli) fn in_words(model: &Model) -> String {
    match model {
        Model::Purchases { transactions, amounts } => {
            let amounts = amounts.map(|amounts| {
                let mean = amounts.population_mean();
                let (p, q, v) = (figures(amounts.p), figures(amounts.q), figures(amounts.v));
                format!("; gamma_gamma p {p}, q {q}, v {v}: {mean:.2} a purchase")
            });
            let (r, alpha) = (figures(transactions.r), figures(transactions.alpha_days));
            let (a, b) = (figures(transactions.a), figures(transactions.b));
            format!("mbg_nbd r {r}, alpha {alpha} days, a {a}, b {b}{}", amounts.unwrap_or_default())
        }
        Model::Usage(model) => {
            let (r, alpha) = (figures(model.r), figures(model.alpha_days));
            format!("fgp r {r}, alpha {alpha} days, tau {} days", model.tau_days)
        }
    }
}

/// Five digits, whatever the size.
fn figures(number: f64) -> String {
    const DIGITS: i32 = 5;
    let before = number.abs().max(f64::MIN_POSITIVE).log10().floor() as i32 + 1;
    let places = usize::try_from(DIGITS - before).unwrap_or(0);
    format!("{number:.places$}")
}

/// Predictions against outcomes.
fn against(holdout: &Holdout, churn: &Churn) -> Vec<String> {
    let horizon = length(churn.horizon);
    let provisional = if holdout.provisional { ", provisionally," } else { "" };
    let mut lines = vec![
        format!(
            "Fitted{provisional} to what was known on {}, {horizon} before: nothing from {} in {horizon}",
            day(holdout.split),
            counted(holdout.customers as u64, "customer", "customers"),
        ),
        format!("{:>9}  {:>9}  {:>9}  {}", "customers", "predicted", "observed", "█ observed, │ predicted"),
    ];
    lines.extend(holdout.bins.iter().filter(|bin| bin.n > 0).map(row));
    lines.push(String::new());
    let or_none = |number: Option<f64>, places: usize| match number {
        Some(number) => format!("{number:.places$}"),
        None => "none".to_owned(),
    };
    lines.push(format!(
        "AUC    {} (how often the inactive one of two customers is recognized; by days of silence alone: {})",
        or_none(holdout.auc, 3),
        or_none(holdout.silence_auc, 3)
    ));
    let silence = match holdout.silence_brier {
        Some(brier) => format!("days of silence alone: {brier:.4}; "),
        None => String::new(),
    };
    lines.push(format!(
        "Brier  {:.4} (lower is better; {silence}one probability for all: {:.4})",
        holdout.brier, holdout.same_for_all_brier
    ));
    lines.extend(holdout.levels.iter().map(|(name, n, none)| {
        format!("{name}: {}, of whom {:.0} % did nothing", counted(*n as u64, "customer", "customers"), 100.0 * none)
    }));
    lines
}

fn row(bin: &Bin) -> String {
    let column = |share: f64| (share * COLUMNS as f64).round() as usize;
    let (predicted, observed) = (column(bin.predicted), column(bin.observed));
    let cell = |place: usize| match place {
        place if place == predicted => '│',
        place if place < observed => '█',
        _ => ' ',
    };
    let bar: String = (0..=COLUMNS).map(cell).collect();
    let (n, bar) = (grouped(bin.n as u64), bar.trim_end());
    format!("{n:>9}  {:>7.0} %  {:>7.0} %  {bar}", 100.0 * bin.predicted, 100.0 * bin.observed)
}
