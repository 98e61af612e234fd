//! `explain`: the memberships of one customer, from event files or a topic.
//!
//! The engine provides the explanation, and `inquiry` writes it.

use std::io::Write;
use std::sync::Arc;

use super::arguments::{Explain, Lang};
use super::history::{Budget, EventBuffer, Files, Input, OtherInputs, RANKED_APART, Seen, Topic, shard};
use super::output::{self, Stopped};
use super::progress::Progress;
use crate::app::{Failure, rules_file};
use crate::engine::{Detail, Explanation, Language, Shard, explain};
use crate::event::{CustomerEvent, Instant, NameId, Span};
use crate::inquiry::{write_json, write_text};
use crate::rules::{CohortIx, RuleSet};
use crate::settings::Loaded;

/// Reads the events and prints the explanation to stdout.
///
/// # Errors
/// Wrong rules; a cohort or customer that there is not; a file that cannot be read to its end.
pub(super) fn run(settings: &Loaded, asked: &Explain) -> Result<(), Stopped> {
    let rules = rules_file::load(settings, asked.rules.clone())?.rules;
    let cohorts = cohorts(&rules, asked.cohort.as_deref())?;
    let Explained { at, found, looked_in } = match &asked.range.topic {
        Some(topic) => of_topic(settings, asked, &rules, topic, &cohorts)?,
        None => of_files(settings, asked, &rules, &cohorts)?,
    };
    let explanations = found.ok_or_else(|| {
        let until = asked.at.map(|at| format!(" up to {at}")).unwrap_or_default();
        Failure::Running(format!("{looked_in} no event of this customer{until}"))
    })?;
    let mut out = output::results();
    if asked.json {
        write_json(&rules, (&asked.customer, &[]), at, &explanations, &mut out)?;
    } else {
        let language = match asked.lang {
            Lang::En => Language::English,
            Lang::Fr => Language::French,
        };
        write_text(&rules, (&asked.customer, &[]), at, &explanations, language, &mut out)?;
    }
    Ok(out.flush()?)
}

/// The explanation of a customer at an instant.
struct Explained {
    at: Instant,
    /// `None`: no event was found.
    found: Option<Vec<Explanation>>,
    /// The source of events, as the beginning of a sentence: "the files hold".
    looked_in: String,
}

fn of_files(
    settings: &Loaded,
    asked: &Explain,
    rules: &Arc<RuleSet>,
    cohorts: &[CohortIx],
) -> Result<Explained, Stopped> {
    let files = Files::of(settings, &asked.files, &asked.shape, asked.rules.as_deref())?;
    let mut input = Input::new(&files, asked.at);
    let (mut held, mut last) = (EventBuffer::within(Budget::of(settings.settings.memory)), Instant::MIN);
    let reading = Progress::of_reading(input.bytes());
    input.read_all(&rules.vocabulary, &reading, |event| {
        last = last.max(event.at);
        // Ranks depend on all customers, and so does the training of a model.
        let all = !rules.rankings.is_empty() || rules.churn.is_some();
        let whole = event.customer == asked.customer || all;
        held.push(&if whole { *event } else { of_another(event.at) })
    })?;
    let at = asked.at.unwrap_or(last);
    let mut following = Following::new(settings, asked, rules);
    let progress = Progress::of_deciding(held.len());
    held.for_each_by_time(&progress, |event| {
        following.apply(event);
        Ok(())
    })?;
    progress.finish();
    Ok(Explained { at, found: following.explain(cohorts, at), looked_in: "the files hold".to_owned() })
}

/// From the customer's partition only: except for ranks, the others do not matter. That is the one that Kafka's default
/// partitioner chooses; if they are not there, and other customers are in other partitions than it chooses, all are
/// read.
fn of_topic(
    settings: &Loaded,
    asked: &Explain,
    rules: &Arc<RuleSet>,
    name: &str,
    cohorts: &[CohortIx],
) -> Result<Explained, Stopped> {
    let mut topic = Topic::open(settings, name, asked.at)?;
    let home = topic.partition_of(&asked.customer);
    let (mut at, mut found, mut events) = of_partition(&mut topic, home, settings, asked, rules, cohorts)?;
    let mut looked_in =
        format!("{name}[{home}], where Kafka's default partitioner (murmur2) puts this customer, has in the range");
    if found.is_none() && (events == 0 || topic.elsewhere() > 0) {
        output::say(&format!(
            "{name}[{home}], where Kafka's default partitioner (murmur2) puts this customer, does not have them; looking \
             through the other partitions"
        ));
        for partition in topic.partitions().filter(|partition| *partition != home) {
            (at, found, events) = of_partition(&mut topic, partition, settings, asked, rules, cohorts)?;
            if found.is_some() {
                output::say(&format!("found in {name}[{partition}], of {events} events there"));
                break;
            }
        }
        looked_in = "no partition of the topic has a customer with this id: the range holds".to_owned();
    }
    if topic.elsewhere() > 0 {
        output::say(
            "customers are not where Kafka's default partitioner (murmur2) puts them: right if all producers use one \
             partitioner; otherwise a part of this customer may be in another partition, which is not shown here",
        );
    }
    if !rules.rankings.is_empty() {
        output::say(RANKED_APART);
    }
    Ok(Explained { at, found, looked_in })
}

/// The instant, the explanation as of then, and the number of events in the partition.
fn of_partition(
    topic: &mut Topic<'_>,
    partition: i32,
    settings: &Loaded,
    asked: &Explain,
    rules: &Arc<RuleSet>,
    cohorts: &[CohortIx],
) -> Result<(Instant, Option<Vec<Explanation>>, u64), Stopped> {
    let range = topic.range(partition, asked.range.from, asked.range.to)?;
    let progress = Progress::of_records((range.end - range.start).unsigned_abs());
    let (mut following, mut last, mut events) = (Following::new(settings, asked, rules), Instant::MIN, 0);
    topic.read(partition, range, &rules.vocabulary, &progress, |seen| {
        if let Seen::Event(event) = seen {
            last = last.max(event.at);
            events += 1;
            following.apply(event);
        }
        Ok(())
    })?;
    progress.finish();
    let at = asked.at.unwrap_or(last);
    Ok((at, following.explain(cohorts, at), events))
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

/// For events of other customers only the time matters: it advances the partition. No real customer id is empty.
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

/// The partition, with one customer in it, or with all if there are ranks.
struct Following<'a> {
    customer: &'a str,
    shard: Shard,
    other_inputs: OtherInputs,
    arrives_within: Span,
    /// Of the next event in the log.
    position: i64,
}

impl<'a> Following<'a> {
    fn new(settings: &Loaded, asked: &'a Explain, rules: &Arc<RuleSet>) -> Self {
        let shard = shard(&settings.settings, rules);
        Self {
            customer: &asked.customer,
            other_inputs: OtherInputs::new(&shard),
            shard,
            arrives_within: settings.settings.time.arrives_within,
            position: 0,
        }
    }

    fn apply(&mut self, event: &CustomerEvent<'_>) {
        let position = self.position;
        self.position += 1;
        if self.shard.refuses(event.at).is_some() {
            return;
        }
        let mut effects = Vec::new();
        self.other_inputs.refresh(&mut self.shard, position, Detail::None, &mut effects);
        if !event.customer.is_empty() {
            let slot = self.shard.find_or_new(event.customer);
            self.shard.apply(slot, event, position, Detail::None, &mut effects);
        } else {
            self.shard.advance(event.at - self.arrives_within);
            self.shard.fire_due(self.position, Detail::None, &mut effects);
        }
    }

    /// Decides what is due up to an instant, then explains; `None`: there is no such customer.
    fn explain(mut self, cohorts: &[CohortIx], at: Instant) -> Option<Vec<Explanation>> {
        let slot = self.shard.find(self.customer)?;
        self.other_inputs.run_to(at, &mut self.shard, self.position, Detail::None, &mut Vec::new());
        let (engine, state) = (self.shard.engine(), self.shard.state(slot));
        Some(cohorts.iter().map(|cohort| explain(engine, &state, *cohort, at)).collect())
    }
}
