//! `score`: the churn model's predictions for each customer in event files.

use std::io::{self, Write};
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::arguments::Score;
use super::fit::{in_words, refused};
use super::format::counted;
use super::history::{ActivityScan, Files, SnapshotTimes, rules_of_churn};
use super::output::{self, Stopped};
use crate::app::{Failure, parameters_file, rules_file};
use crate::churn::Customer;
use crate::engine::{CustomerPrediction, Parameters, Shard, level_name};
use crate::event::Instant;
use crate::rules::RuleSet;
use crate::settings::Loaded;

/// Horizons in days of the probability of no activity, and of the expected number.
const NONE_DAYS: [u32; 2] = [30, 90];
const EXPECTED_DAYS: [u32; 3] = [30, 90, 360];

/// One customer on stdout: a public format, including keys and their order.
#[derive(Serialize)]
struct Line<'a> {
    customer_id: &'a str,
    at: i64,
    model: &'a str,
    #[serde(flatten)]
    seen: Seen,
    t_days: f64,
    alive: Option<f64>,
    p_none: ByDays,
    expected: ByDays,
    spend: Option<f64>,
    clv: Option<f64>,
    level: &'a str,
    crossings: Vec<Crossing<'a>>,
    provisional: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Seen {
    Purchases { x: u64, t_x_days: f64 },
    Usage { activity: f64, exposure_days: f64 },
}

#[derive(Serialize)]
struct Crossing<'a> {
    level: &'a str,
    at: i64,
}

/// Numbers by days ahead, ascending.
struct ByDays(Vec<(u32, f64)>);

impl ByDays {
    fn of(days: &[u32], more: Option<u32>, number: impl Fn(f64) -> f64) -> Self {
        let mut days: Vec<u32> = days.iter().copied().chain(more).collect();
        days.sort_unstable();
        days.dedup();
        Self(days.into_iter().map(|days| (days, number(f64::from(days)))).collect())
    }
}

impl Serialize for ByDays {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (days, number) in &self.0 {
            map.serialize_entry(&days.to_string(), number)?;
        }
        map.end()
    }
}

/// Reads the files and scores; a line for each active customer goes to stdout, everything else to stderr.
///
/// # Errors
/// Wrong rules or parameters; rules without `[churn]`; a file that cannot be read to its end; nothing to fit.
pub(super) fn run(settings: &Loaded, asked: &Score) -> Result<(), Stopped> {
    let file = rules_file::load(settings, asked.rules.clone())?;
    let Some(churn) = file.document.churn.clone() else {
        let text = format!("{}: there is no [churn]; add it, with on = \"purchase\", say", file.name);
        return Err(Failure::Configuration(text).into());
    };
    let rules = rules_of_churn(&file.name, &file.document, churn)?;
    let given = match asked.params.as_deref().zip(rules.churn.as_ref()) {
        Some((path, churn)) => Some(parameters_file::read(path)?.for_rules(churn, path)?),
        None => None,
    };
    let files = Files::of(settings, &asked.files, &asked.shape, asked.rules.as_deref())?;
    let scan = ActivityScan::read(settings, &rules, &files, asked.at)?;
    let at = scan.until;
    let (shard, parameters) = match given {
        Some(parameters) => {
            let mut seen = scan.run(&SnapshotTimes::default())?;
            seen.shard.set_parameters(Some(Arc::new(parameters)), at);
            output::say(&format!("with the given parameters: {}", in_words(&parameters.model)));
            (seen.shard, parameters)
        }
        None if asked.refit => refitted(scan, &rules)?,
        None => as_run_would(scan)?,
    };
    let count = write(&shard, &parameters, at, asked.horizon)?;
    output::say(&format!("{} as of {at}", counted(count, "customer", "customers")));
    Ok(())
}

/// With parameters fitted at the instant to everything known by then.
fn refitted(scan: ActivityScan, rules: &RuleSet) -> Result<(Shard, Parameters), Stopped> {
    let at = scan.until;
    let mut seen = scan.run(&SnapshotTimes::default().and_fit(rules, at))?;
    let fit = seen.fit(at).map_err(refused)?;
    let customers = seen.sample(at).map_or(0, |sample| sample.rows.len() as u64);
    let provisional = if fit.is_provisional() { ", provisionally" } else { "" };
    let text = counted(customers, "customer", "customers");
    output::say(&format!("fitted to {text} up to {at}{provisional}: {}", in_words(&fit.model())));
    let parameters = fit.parameters(1, None);
    seen.shard.set_parameters(Some(Arc::new(parameters)), at);
    Ok((seen.shard, parameters))
}

/// With the parameters that `run` would have in force at the instant.
fn as_run_would(scan: ActivityScan) -> Result<(Shard, Parameters), Stopped> {
    let at = scan.until;
    let (shard, refitted) = scan.train_on_mondays()?;
    let Some((trained_at, parameters)) = refitted.last else {
        let text = format!(
            "`run` trains on Mondays, and had no parameters for these customers by {at}, so it would not predict anything yet; \
             --refit fits to all that there is"
        );
        return Err(Failure::Running(text).into());
    };
    let provisional = if parameters.provisional { ", provisional" } else { "" };
    let corrected = if parameters.recalibration.is_some() { ", corrected by outcomes" } else { "" };
    output::say(&format!(
        "as `run` would predict, with the parameters of {trained_at}{provisional}{corrected}: {}",
        in_words(&parameters.model)
    ));
    Ok((shard, *parameters))
}

/// Writes all lines, by customer id; returns how many.
fn write(shard: &Shard, parameters: &Parameters, at: Instant, horizon: Option<u32>) -> Result<u64, Stopped> {
    let rules = shard.engine().rules();
    let model = rules.churn.as_ref().map_or("", |churn| churn.model.name());
    let mut customers: Vec<_> = shard.residents().map(|slot| (shard.customer(slot), slot)).collect();
    customers.sort_unstable();
    let mut out = output::results();
    let mut count = 0;
    for (customer_id, slot) in customers {
        let Some(prediction) = CustomerPrediction::of(shard.engine(), &shard.state(slot), at) else { continue };
        let CustomerPrediction { customer, days, silence_correction, .. } = prediction;
        let crossing = |(level, at): (usize, Instant)| Crossing { level: level_name(rules, level), at: at.0 };
        let line = Line {
            customer_id,
            at: at.0,
            model,
            seen: seen(&customer, days),
            t_days: days,
            alive: customer.alive(days),
            p_none: ByDays::of(&NONE_DAYS, horizon, |ahead| silence_correction.apply(customer.p_none(days, ahead))),
            expected: ByDays::of(&EXPECTED_DAYS, horizon, |ahead| customer.expected(days, ahead)),
            spend: prediction.spend,
            clv: prediction.value,
            level: level_name(rules, prediction.level),
            crossings: prediction.crossings.into_iter().map(crossing).collect(),
            provisional: parameters.provisional,
        };
        serde_json::to_writer(&mut out, &line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

fn seen(customer: &Customer, days: f64) -> Seen {
    match customer {
        Customer::Purchases(_, seen) => Seen::Purchases { x: seen.x as u64, t_x_days: seen.t_x },
        Customer::Usage(model, seen) => Seen::Usage {
            activity: model.active_days(*seen, days),
            exposure_days: model.exposure_days(days.max(seen.t_x)),
        },
    }
}
