//! What is known of the source topics.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kafka::EndOffsets;

/// What to do about a topic that does not hold what is to be gathered next.
#[must_use]
pub(crate) fn way_on(topic: &str) -> String {
    format!("stop all processes, and go on where it begins with `cohortd sources reset {topic} --yes`")
}

/// A topic as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceTopic {
    /// Empty where brokers have none.
    pub(crate) id: String,
    pub(crate) partitions: i32,
}

/// The source topics, shared by the threads of a process.
#[derive(Default)]
pub(crate) struct SourceTopics(Mutex<State>);

#[derive(Default)]
struct State {
    topics: BTreeMap<String, SourceTopic>,
    ends: BTreeMap<String, Arc<EndOffsets>>,
    /// Topics that must not be read on, each with the reason.
    held: BTreeMap<String, String>,
    /// Topics that later versions of the sources have added.
    joined_later: BTreeSet<String>,
}

impl SourceTopics {
    /// A topic as it was found, with what asks for its ends. False: it is known already, and nothing changes.
    pub(crate) fn add(&self, name: &str, topic: SourceTopic, ends: Arc<EndOffsets>) -> bool {
        let mut state = self.lock();
        if state.topics.contains_key(name) {
            return false;
        }
        state.topics.insert(name.to_owned(), topic);
        // What asks for the ends of a topic goes on when no source names it any more.
        match state.ends.entry(name.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(ends);
                true
            }
        }
    }

    /// Forgets the topics that no source names any more.
    pub(crate) fn keep_only(&self, names: &BTreeSet<String>) {
        self.lock().topics.retain(|name, _| names.contains(name));
    }

    /// A topic has more partitions than before.
    pub(crate) fn grown(&self, name: &str, partitions: i32) {
        let mut state = self.lock();
        if let Some(topic) = state.topics.get_mut(name) {
            topic.partitions = partitions;
        }
        if let Some(ends) = state.ends.get(name) {
            ends.set_partitions(u32::try_from(partitions).unwrap_or(0));
        }
    }

    /// A topic must not be read on, for a reason; `None`: it may be.
    pub(crate) fn hold(&self, name: &str, reason: Option<String>) {
        let mut state = self.lock();
        match reason {
            Some(reason) => drop(state.held.insert(name.to_owned(), reason)),
            None => drop(state.held.remove(name)),
        }
    }

    /// Why a topic must not be read on.
    #[must_use]
    pub(crate) fn held(&self, name: &str) -> Option<String> {
        self.lock().held.get(name).cloned()
    }

    /// Topics that the first version of the sources did not have.
    pub(crate) fn set_joined_later(&self, topics: BTreeSet<String>) {
        self.lock().joined_later = topics;
    }

    /// Was the topic added by a later version of the sources?
    #[must_use]
    pub(crate) fn has_joined_later(&self, name: &str) -> bool {
        self.lock().joined_later.contains(name)
    }

    /// The topic as last seen.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<SourceTopic> {
        self.lock().topics.get(name).cloned()
    }

    /// The number of partitions of each topic.
    #[must_use]
    pub(crate) fn partitions(&self) -> BTreeMap<String, i32> {
        self.lock().topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect()
    }

    /// What asks for the ends of a topic.
    #[must_use]
    pub(crate) fn ends(&self, name: &str) -> Option<Arc<EndOffsets>> {
        self.lock().ends.get(name).map(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
