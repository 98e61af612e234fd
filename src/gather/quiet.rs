//! Sources that say nothing: those that should not be silent for so long, and those that an operator lets be silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gatherer::Gatherer;
use crate::event::Instant;

impl Gatherer {
    /// Of sources with `expect_every` that are gathered here: up to when their silence counts. What counts is when any
    /// partition of the source was heard, whichever threads gather them.
    pub(super) fn trusted(&mut self) -> BTreeMap<String, Instant> {
        let mut trusted = BTreeMap::new();
        for partition in self.partitions.values() {
            let source = self.sources.of_topic(partition.topic).mapping.source();
            let Some(every) = source.expect_every else { continue };
            let until = |heard: Instant| Instant(heard.0.saturating_add(every.0));
            let known = trusted
                .entry(source.name.clone())
                .or_insert_with(|| self.marks.heard_at(&source.topics).map_or(Instant::MIN, until));
            *known = until(partition.progress.heard_at).max(*known);
        }
        let is_ignored = |source: &str| {
            let partitions = self.partitions.values();
            let mut of_it = partitions.filter(|partition| self.sources.of_topic(partition.topic).name() == source);
            of_it.all(|partition| self.ignored.contains(&partition.place.topic))
        };
        for (source, until) in &trusted {
            let is_quiet = self.now.is_some_and(|now| now > *until);
            if is_quiet && !is_ignored(source) && self.quiet.insert(source.clone()) {
                tracing::warn!(
                    source,
                    "The source says nothing for longer than its expect_every: nobody's silence counts from then on. \
                     `cohortd sources ignore {source}` goes on without it."
                );
            } else if !is_quiet && self.quiet.remove(source) {
                tracing::info!(source, "The source is heard again.");
            }
        }
        trusted
    }

    /// Applies what an operator has told the group to ignore.
    pub(super) fn note_ignored(&mut self) {
        let ignored = self.marks.ignored();
        if ignored.is_empty() && self.ignored.is_empty() {
            return;
        }
        for (number, partition) in &self.partitions {
            self.merge.set_ignored(*number, ignored.contains(&partition.place.topic));
        }
        if ignored != self.ignored {
            tracing::warn!(topics = ?ignored, "These topics are not waited for, as an operator has said.");
            self.ignored = Arc::clone(&ignored);
        }
    }
}
