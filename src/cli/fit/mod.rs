//! `fit`: churn parameters from event files, and the quality of the fit.
//!
//! `quality` compares an earlier fit with what followed, `report` writes it as text.

mod quality;
mod report;

use std::io::{self, Write};

use serde::Serialize;

use super::arguments::{Fit as Asked, ModelName};
use super::history::{ActivityScan, Files, SnapshotTimes, rules_of_churn};
use super::output::{self, Stopped};
use crate::app::parameters_file::{FgpSection, GammaGammaSection, MbgNbdSection, ParametersFile};
use crate::app::{Failure, rules_file};
use crate::churn::fit::Refused;
use crate::engine::{ActivityHistory, Fit, Model};
use crate::event::Instant;
use crate::rules::{ChurnModel, ChurnRule, Document, read};
use crate::settings::Loaded;
use quality::Holdout;
use report::Report;
pub(super) use report::in_words;

/// A fit on stdout: a public format, including keys and their order.
#[derive(Serialize)]
struct Object {
    model: &'static str,
    until: i64,
    #[serde(flatten)]
    parameters: ParametersFile,
    /// The sampled customers, and the number of all.
    customers: u64,
    of_customers: u64,
    /// Of those looked at, days with a purchase; of use they are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    purchases: Option<u64>,
    /// Without the first of each customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_purchases: Option<u64>,
    log_likelihood: f64,
    gamma_gamma_log_likelihood: Option<f64>,
    provisional: bool,
}

/// Reads the files and fits; parameters go to stdout, everything else to stderr.
///
/// # Errors
/// Nothing that says what coming back is; a file that cannot be read to its end; nothing to fit.
pub(super) fn run(settings: &Loaded, asked: &Asked) -> Result<(), Stopped> {
    let (name, document, churn) = definition(settings, asked)?;
    let rules = rules_of_churn(&name, &document, churn)?;
    let Some(churn) = &rules.churn else { return Ok(()) };
    let files = Files::of(settings, &asked.files, &asked.shape, asked.rules.as_deref())?;
    let scan = ActivityScan::read(settings, &rules, &files, asked.until)?;
    let (until, bad_lines) = (scan.until, scan.counts().bad_lines);
    let split = until - churn.horizon;
    let before = split - churn.horizon;
    let snapshot_times = SnapshotTimes::default().and_fit(&rules, until).and_fit(&rules, split);
    let looked = scan.run(&snapshot_times.and_watch(split, until).and_watch(before, split))?;
    let fit = looked.fit(until).map_err(refused)?;
    let Some(now) = looked.sample(until) else { return Err(refused(Refused::NothingSeen).into()) };
    let holdout = Holdout::of(&looked, &rules, before, split, until);
    let report = Report { rules: &rules, fit: &fit, until, now, holdout: holdout.as_ref(), bad_lines };
    let mut out = output::results();
    if asked.json {
        let bought = now.rows.iter().filter_map(|row| match row.activity {
            ActivityHistory::Purchases(purchases) => Some(u64::from(purchases.repeats)),
            ActivityHistory::Usage(_) => None,
        });
        let repeats = (churn.model == ChurnModel::Purchases).then(|| bought.sum::<u64>());
        let object = Object {
            model: churn.model.name(),
            until: until.0,
            parameters: file_of(&fit.model()),
            customers: now.rows.len() as u64,
            of_customers: now.customers,
            purchases: repeats.map(|repeats| repeats + now.rows.len() as u64),
            repeat_purchases: repeats,
            log_likelihood: fit.log_likelihood(),
            gamma_gamma_log_likelihood: match fit {
                Fit::Purchases { amounts, .. } => amounts.map(|fitted| fitted.log_likelihood),
                Fit::Usage(_) => None,
            },
            provisional: fit.is_provisional(),
        };
        serde_json::to_writer(&mut out, &object).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        let text = toml::to_string(&file_of(&fit.model())).expect("numbers in tables are TOML");
        writeln!(out, "# Fitted by cohortd to what {} customers did until {until}.\n", now.rows.len())?;
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    output::say(&report.lines().join("\n"));
    Ok(())
}

/// The churn definition, from the command line or the rules, for the requested model.
fn definition(settings: &Loaded, asked: &Asked) -> Result<(String, Document, ChurnRule), Failure> {
    let model = asked.model.map(|name| match name {
        ModelName::MbgNbd => ChurnModel::Purchases,
        ModelName::Fgp => ChurnModel::Usage,
    });
    let (name, document) = match &asked.on {
        Some(on) => {
            let name = "the command line".to_owned();
            let document = written(&name, on, asked.amount.as_deref())?;
            (name, document)
        }
        None => {
            let file = rules_file::load(settings, asked.rules.clone())?;
            (file.name, file.document)
        }
    };
    let Some(churn) = document.churn.clone() else {
        let text = format!("{name}: there is no [churn]; add it, or set with --on what counts as coming back");
        return Err(Failure::Configuration(text));
    };
    let model = model.unwrap_or(churn.model);
    Ok((name, document, churn.under(model)))
}

/// The rules equivalent to the command line.
fn written(name: &str, on: &str, amount: Option<&str>) -> Result<Document, Failure> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let amount = amount.map(|amount| format!("amount = {}\n", quoted(amount))).unwrap_or_default();
    let text = format!("[churn]\non = {}\n{amount}", quoted(on));
    read(name, &text).map_err(|errors| {
        Failure::Configuration(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    })
}

/// As a file that `--params` takes.
fn file_of(model: &Model) -> ParametersFile {
    match *model {
        Model::Purchases { transactions, amounts } => ParametersFile {
            mbg_nbd: Some(MbgNbdSection {
                r: transactions.r,
                alpha_days: transactions.alpha_days,
                a: transactions.a,
                b: transactions.b,
            }),
            gamma_gamma: amounts.map(|amounts| GammaGammaSection { p: amounts.p, q: amounts.q, v: amounts.v }),
            fgp: None,
        },
        Model::Usage(model) => ParametersFile {
            fgp: Some(FgpSection { r: model.r, alpha_days: model.alpha_days, tau_days: model.tau_days }),
            ..ParametersFile::default()
        },
    }
}

/// Why there are no parameters.
pub(super) fn refused(why: Refused) -> Failure {
    Failure::Running(match why {
        Refused::NothingSeen => {
            "there is nothing to fit: no customer has activity and some time after it; a usage model needs \
             customers known for a whole horizon"
                .to_owned()
        }
        Refused::NoMaximum => "the model does not fit these events: no parameters are likeliest".to_owned(),
    })
}

/// The day in UTC.
fn day(at: Instant) -> String {
    let text = at.to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
}
