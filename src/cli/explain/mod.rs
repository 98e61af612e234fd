//! `explain`: one customer's standing, from files of events.
//!
//! `text` writes it for people, `json` for programs; what there is to say is the engine's.

mod json;
mod text;

use std::io::Write;

use super::arguments::{Explain, Lang};
use super::history::{Held, Input, shard};
use super::output::{self, Stopped};
use super::progress::Progress;
use crate::app::{Failure, rules_file};
use crate::engine::{Explanation, Language, Shard, Words, explain};
use crate::event::{CustomerEvent, Instant, NameId, Span};
use crate::rules::{CohortIx, RuleSet};
use crate::settings::Loaded;

/// Reads the files and explains; all that was asked for goes to stdout.
///
/// # Errors
/// Wrong rules; a cohort or customer that there is not; a file that cannot be read to its end.
pub(super) fn run(settings: &Loaded, asked: &Explain) -> Result<(), Stopped> {
    let rules = rules_file::load(settings, asked.rules.clone())?.rules;
    let cohorts = cohorts(&rules, asked.cohort.as_deref())?;
    let mut input = Input::new(&asked.files, asked.at);
    let (mut held, mut last) = (Held::default(), Instant::MIN);
    let reading = Progress::of_reading(input.bytes());
    input.read_all(&rules.vocabulary, &reading, |event| {
        last = last.max(event.at);
        held.push(&if event.customer == asked.customer { *event } else { of_another(event.at) });
        Ok(())
    })?;
    let at = asked.at.unwrap_or(last);
    let mut following = Following {
        customer: &asked.customer,
        shard: shard(&settings.settings, &rules),
        arrives_within: settings.settings.time.arrives_within,
        position: 0,
    };
    let progress = Progress::of_deciding(held.len());
    held.for_each_by_time(&progress, |event| {
        following.take(event);
        Ok(())
    })?;
    progress.finish();
    let explanations = following.explain(&cohorts, at).ok_or_else(|| {
        let until = asked.at.map(|at| format!(" up to {at}")).unwrap_or_default();
        Failure::Running(format!("the files hold no event of this customer{until}"))
    })?;
    let mut out = output::results();
    if asked.json {
        json::write(&rules, &asked.customer, at, &explanations, &mut out)?;
    } else {
        let language = match asked.lang {
            Lang::En => Language::English,
            Lang::Fr => Language::French,
        };
        text::write(&rules, &asked.customer, at, &explanations, language, &mut out)?;
    }
    Ok(out.flush()?)
}

/// The cohort asked for, or all in the order of decision.
fn cohorts(rules: &RuleSet, asked: Option<&str>) -> Result<Vec<CohortIx>, Stopped> {
    let all = rules.cohorts.iter().zip(0..).map(|(cohort, index)| (cohort.name.as_str(), CohortIx(index)));
    let found: Vec<CohortIx> =
        all.filter(|(name, _)| asked.is_none_or(|asked| asked == *name)).map(|(_, ix)| ix).collect();
    match asked {
        Some(name) if found.is_empty() => {
            let known: Vec<&str> = rules.cohorts.iter().map(|cohort| cohort.name.as_str()).collect();
            let text = format!("--cohort: the rules hold no cohort `{name}`; there are {}", known.join(", "));
            Err(Stopped::Usage(text))
        }
        _ => Ok(found),
    }
}

/// Of other customers' events only the time counts: it moves the partition's. No customer's id is empty.
fn of_another(at: Instant) -> CustomerEvent<'static> {
    CustomerEvent {
        customer: "",
        name: "",
        name_id: NameId::OTHER,
        at,
        id: None,
        source: None,
        record_hash: 0,
        unusable_values: 0,
        properties: &[],
    }
}

/// The partition, with one customer in it.
struct Following<'a> {
    customer: &'a str,
    shard: Shard,
    arrives_within: Span,
    /// Of the next event in the log.
    position: i64,
}

impl Following<'_> {
    fn take(&mut self, event: &CustomerEvent<'_>) {
        let position = self.position;
        self.position += 1;
        if self.shard.refuses(event.at).is_some() {
            return;
        }
        let mut said = Vec::new();
        if event.customer == self.customer {
            let slot = self.shard.find_or_new(self.customer);
            self.shard.apply(slot, event, position, Words::None, &mut said);
        } else {
            self.shard.advance(event.at - self.arrives_within);
            self.shard.fire_due(self.position, Words::None, &mut said);
        }
    }

    /// Decides what is due up to an instant, then explains; `None`: there is no such customer.
    fn explain(mut self, cohorts: &[CohortIx], at: Instant) -> Option<Vec<Explanation>> {
        let slot = self.shard.find(self.customer)?;
        self.shard.fire_before(at.next(), self.position, Words::None, &mut Vec::new());
        let (rules, state) = (self.shard.engine().rules(), self.shard.state(slot));
        Some(cohorts.iter().map(|cohort| explain(rules, state, *cohort, at)).collect())
    }
}
