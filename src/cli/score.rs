//! `score`: what the model of churn says of each customer in files of events.

use std::io::{self, Write};
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::arguments::Score;
use super::fit::{in_words, refused};
use super::history::{Comers, Looks, rules_of_churn};
use super::output::{self, Stopped};
use super::words::counted;
use crate::app::{Failure, parameters_file, rules_file};
use crate::churn::Customer;
use crate::engine::{CustomerPrediction, Parameters, Shard, level_name};
use crate::event::Instant;
use crate::rules::RuleSet;
use crate::settings::Loaded;

/// Days ahead for which the probability of nothing is said, and the number to expect.
const NONE_DAYS: [u32; 2] = [30, 90];
const EXPECTED_DAYS: [u32; 3] = [30, 90, 360];

/// One customer on stdout: what others depend on, keys and their order too.
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
    Bought { x: u64, t_x_days: f64 },
    Used { activity: f64, exposure_days: f64 },
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

/// Reads the files and scores; a line for each customer who came goes to stdout, all else to stderr.
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
    let comers = Comers::read(settings, &rules, &asked.files, asked.at)?;
    let at = comers.until;
    let (shard, parameters) = match given {
        Some(parameters) => {
            let mut seen = comers.look(&Looks::default())?;
            seen.shard.set_parameters(Some(Arc::new(parameters)), at);
            output::say(&format!("by the parameters given: {}", in_words(&parameters.model)));
            (seen.shard, parameters)
        }
        None if asked.refit => refitted(comers, &rules)?,
        None => as_run_would(comers)?,
    };
    let count = write(&shard, &parameters, at, asked.horizon)?;
    output::say(&format!("{} as of {at}", counted(count, "customer", "customers")));
    Ok(())
}

/// By parameters fitted at the instant to all that was known by then.
fn refitted(comers: Comers, rules: &RuleSet) -> Result<(Shard, Parameters), Stopped> {
    let at = comers.until;
    let mut seen = comers.look(&Looks::default().and_fit(rules, at))?;
    let fit = seen.fit(at).map_err(refused)?;
    let customers = seen.sample(at).map_or(0, |sample| sample.rows.len() as u64);
    let provisional = if fit.is_provisional() { ", provisionally" } else { "" };
    let text = counted(customers, "customer", "customers");
    output::say(&format!("fitted to {text} up to {at}{provisional}: {}", in_words(&fit.model())));
    let parameters = fit.parameters(1, None);
    seen.shard.set_parameters(Some(Arc::new(parameters)), at);
    Ok((seen.shard, parameters))
}

/// By the parameters that `run` would have in force at the instant.
fn as_run_would(comers: Comers) -> Result<(Shard, Parameters), Stopped> {
    let at = comers.until;
    let (shard, refitted) = comers.learn_on_mondays()?;
    let Some((learnt_at, parameters)) = refitted.last else {
        let text = format!(
            "`run` learns on Mondays, and had learnt nothing of these customers by {at}, so it would not say anything yet; \
             --refit fits to all that there is"
        );
        return Err(Failure::Running(text).into());
    };
    let provisional = if parameters.provisional { ", provisional" } else { "" };
    let corrected = if parameters.recalibration.is_some() { ", corrected by what came" } else { "" };
    output::say(&format!(
        "as `run` would say, by what was learnt on {learnt_at}{provisional}{corrected}: {}",
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
        let Some(prospect) = CustomerPrediction::of(shard.engine(), shard.state(slot), at) else { continue };
        let CustomerPrediction { customer, days, silence_correction, .. } = prospect;
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
            spend: prospect.spend,
            clv: prospect.value,
            level: level_name(rules, prospect.level),
            crossings: prospect.crossings.into_iter().map(crossing).collect(),
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
        Customer::Purchases(_, seen) => Seen::Bought { x: seen.x as u64, t_x_days: seen.t_x },
        Customer::Usage(model, seen) => Seen::Used {
            activity: model.active_days(*seen, days),
            exposure_days: model.exposure_days(days.max(seen.t_x)),
        },
    }
}
