//! What is in topics: which fields, times, customers and events, what is wrong with them, and how they could be mapped.
//!
//! ```text
//! record ─► walk: its values, each with its path ─► topic: counts of fields, times, keys, ids ─► guess: which field is what
//!                                                      │                                            │
//!                                      sketch: counts in bounded memory           describe, compare ─► report ─► findings
//!                                                                                                   └► propose: sources.toml
//! ```
//!
//! Records are looked at once, in one pass; what is kept of them is bounded, whatever they are: `TOPICS_MAX` topics with at
//! most [`FIELDS_MAX`] fields each, some 10 MB for a topic at most.

mod compare;
mod critical;
mod describe;
mod field;
mod findings;
mod guess;
mod keys;
mod moments;
mod names;
mod paths;
mod propose;
mod record;
mod report;
mod roles;
mod rules_use;
mod sketch;
mod text;
mod topic;
mod value;
mod walk;

#[cfg(test)]
mod tests;

pub use critical::Critical;
pub use findings::{FINDINGS_MAX, Flaw};
pub use guess::{ChosenReport, Why};
pub use keys::Partitioned;
pub use moments::{Form, Limits};
pub use paths::FIELDS_MAX;
pub use propose::Proposal;
pub use record::{Format, Payload, Record, SchemaId, Unreadable};
pub use report::{EventReport, FieldReport, Finding, Report, TimeReport, TopicReport};
pub use rules_use::RulesUse;
pub use text::{Language, Text, counted, listed, number, percent, size};
pub use topic::Scope;
pub use value::{Class, Kind};
pub use walk::Schema;

use guess::Guess;
use topic::Topic;

/// The most topics of one audit.
pub const TOPICS_MAX: usize = 16;

/// An audit of some topics.
#[derive(Debug)]
pub struct Audit {
    scope: Scope,
    topics: Vec<Topic>,
}

/// One of the topics of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicIx(usize);

impl Audit {
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, topics: Vec::new() }
    }

    /// A topic of so many partitions, or of files, with 0. `None`: there are too many.
    pub fn topic(&mut self, name: &str, partitions: u32) -> Option<TopicIx> {
        if let Some(known) = self.topics.iter().position(|topic| topic.name == name) {
            return Some(TopicIx(known));
        }
        if self.topics.len() >= TOPICS_MAX {
            return None;
        }
        self.topics.push(Topic::new(name, partitions, &self.scope));
        Some(TopicIx(self.topics.len() - 1))
    }

    /// Looks at a record.
    pub fn add(&mut self, topic: TopicIx, record: &Record<'_>) {
        self.topics[topic.0].add(record, &self.scope);
    }

    /// Counts records of a file that cannot be read at all.
    pub fn add_lost(&mut self, topic: TopicIx, records: u64) {
        self.topics[topic.0].add_lost(records);
    }

    /// The report on all that was looked at.
    #[must_use]
    pub fn finish(self, rules: Option<RulesUse>) -> Audited {
        let guessed = self.topics.into_iter().map(|topic| {
            let guess = Guess::of(&topic);
            (topic, guess)
        });
        Audited { scope: self.scope, topics: guessed.collect(), rules }
    }
}

/// An audit after its last record.
#[derive(Debug)]
pub struct Audited {
    scope: Scope,
    topics: Vec<(Topic, Guess)>,
    rules: Option<RulesUse>,
}

impl Audited {
    #[must_use]
    pub fn report(&self) -> Report {
        let rules = self.rules.as_ref();
        let topics: Vec<TopicReport> =
            self.topics.iter().map(|(topic, guess)| describe::topic(topic, guess, rules)).collect();
        let sum = |of: fn(&TopicReport) -> u64| topics.iter().map(of).sum();
        let mut report = Report {
            at: self.scope.limits.now.0,
            records: sum(|topic| topic.records),
            bytes: sum(|topic| topic.bytes),
            passed_over: sum(|topic| topic.passed_over),
            sample: self.scope.sample,
            customers_in_common: compare::customers_in_common(&self.topics),
            events_alike: compare::events_alike(&topics),
            properties_alike: compare::properties_alike(&self.topics),
            two_types: compare::two_types(&self.topics),
            critical_events: compare::critical_events(&topics),
            rules: rules.map(|rules| compare::with_rules(&topics, rules)),
            findings: Vec::new(),
            topics,
        };
        report.findings = findings::of(&report);
        report
    }

    /// A sources file for these topics.
    #[must_use]
    pub fn propose(&self, language: Language) -> Proposal {
        let mut proposal = propose::propose(&self.topics, self.rules.as_ref(), language);
        let records = self.topics.iter().map(|(topic, _)| topic.records).sum();
        proposal.text = format!("{}\n{}", propose::head(records, language), proposal.text);
        proposal
    }
}
