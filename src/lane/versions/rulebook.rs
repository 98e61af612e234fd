//! Every version of the rules that this process knows, for the lanes to apply.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::inquiry::{Coverage, InForce, Latest};
use crate::lane::error::LaneError;
use crate::metrics::{CohortCounters, Metrics};
use crate::rules::{self, JoinedEvents, RuleSet};

/// One version, ready to run.
#[derive(Debug)]
pub struct Version {
    /// From 1, in the order of the topic.
    pub number: u64,
    pub rules: Arc<RuleSet>,
    /// Events whose sources joined later than the first ones.
    pub joined: Arc<JoinedEvents>,
    /// Which of the names in the rules have occurred in events.
    pub(in crate::lane) coverage: Arc<Coverage>,
    pub(in crate::lane) counters: Vec<CohortCounters>,
}

/// The versions, by number. Written by one thread as it reads them; lanes check in each turn for a newer one.
#[derive(Debug)]
pub struct Rulebook {
    metrics: Arc<Metrics>,
    /// Shows the newest version to the admin API.
    latest: Arc<Latest>,
    newest: AtomicU64,
    /// There may be versions that cannot be read now.
    behind: AtomicBool,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    fingerprint: String,
    text: String,
    joined: Arc<JoinedEvents>,
    /// Compiled on first use: most old versions are never used.
    version: Option<Arc<Version>>,
}

impl Rulebook {
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, latest: Arc<Latest>) -> Self {
        Self { metrics, latest, newest: AtomicU64::new(0), behind: AtomicBool::new(false), entries: Mutex::default() }
    }

    /// Adds the next version, compiled by the caller if `rules` is given. Older and known versions are ignored.
    pub fn add(&self, number: u64, fingerprint: &str, text: String, joined: JoinedEvents, rules: Option<Arc<RuleSet>>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.last().is_some_and(|last| last.number >= number) {
            return;
        }
        let joined = Arc::new(joined);
        let version = rules.map(|rules| self.version(number, rules, &joined));
        entries.push(Entry { number, fingerprint: fingerprint.to_owned(), text, joined, version });
        self.newest.store(number, Ordering::Release);
        self.metrics.set_rules(number, fingerprint);
    }

    /// Replaces the newest version by rules that decide the same but may describe cohorts differently.
    pub fn replace_newest(&self, rules: Arc<RuleSet>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = entries.last_mut().filter(|last| last.fingerprint == rules.fingerprint) {
            last.version = Some(self.version(last.number, rules, &last.joined));
        }
    }

    fn version(&self, number: u64, rules: Arc<RuleSet>, joined: &Arc<JoinedEvents>) -> Arc<Version> {
        let counters = self.metrics.cohorts(rules.cohorts.iter().map(|cohort| cohort.name.as_str()));
        let coverage = Arc::new(Coverage::new(&rules));
        let fingerprint = rules.fingerprint.clone();
        self.latest.set_rules(InForce { version: number, fingerprint, coverage: Arc::clone(&coverage) });
        Arc::new(Version { number, rules, joined: Arc::clone(joined), coverage, counters })
    }

    /// Number of the newest version; 0: there is none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// There may be versions that are not known here, because their topic cannot be read to its end.
    pub fn mark_behind(&self) {
        self.behind.store(true, Ordering::Relaxed);
    }

    /// Every version of the topic is known here.
    pub fn mark_current(&self) {
        self.behind.store(false, Ordering::Relaxed);
    }

    pub(in crate::lane) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// The number of the newest version with this fingerprint.
    #[must_use]
    pub fn number_of(&self, fingerprint: &str) -> Option<u64> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().rfind(|entry| entry.fingerprint == fingerprint).map(|entry| entry.number)
    }

    /// Have lanes of this process met an event of this name? `None`: they have met none at all, or no rule uses the name.
    #[must_use]
    pub fn has_occurred(&self, name: &str) -> Option<bool> {
        self.get(self.newest()).ok()??.coverage.has_occurred(name)
    }

    /// Was an earlier version with the same decisions in force?
    pub(in crate::lane) fn was_in_force_before(&self, version: &Version) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().any(|entry| entry.number < version.number && entry.fingerprint == version.rules.fingerprint)
    }

    /// A version by its number.
    ///
    /// # Errors
    /// It was written by another release, which accepted what this one rejects.
    pub fn get(&self, number: u64) -> Result<Option<Arc<Version>>, LaneError> {
        self.find(|entry| entry.number == number)
    }

    /// The rules that a partition's state follows; `number` 0: only the fingerprint is known.
    ///
    /// # Errors
    /// As `get`.
    pub(in crate::lane) fn for_state(&self, number: u64, fingerprint: &str) -> Result<Option<Arc<Version>>, LaneError> {
        self.find(|entry| entry.fingerprint == fingerprint && (number == 0 || entry.number == number))
    }

    fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Option<Arc<Version>>, LaneError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.iter_mut().rfind(|entry| wanted(entry)) else { return Ok(None) };
        if entry.version.is_none() {
            let name = format!("version {} of the rules", entry.number);
            let rules = rules::load(&name, &entry.text).map_err(|errors| {
                let problem = errors.first().map(ToString::to_string).unwrap_or_default();
                LaneError::Configuration(format!(
                    "{name} decided here, and this release does not run it; go back to the one that did: {problem}"
                ))
            })?;
            // States use the numbering of these rules at the time: with another numbering one fact would be read as
            // another.
            if rules.fingerprint != entry.fingerprint {
                return Err(LaneError::Configuration(format!(
                    "{name} has the fingerprint {} in this release, and had {} in the one that decided by it, so that what \
                     is stored would be read as something else; go back to that release, or stop all processes, decide \
                     everything anew with `cohortd reset --rebuild --yes`, and start once with --accept-rules",
                    rules.fingerprint, entry.fingerprint
                )));
            }
            entry.version = Some(self.version(entry.number, Arc::new(rules), &entry.joined));
        }
        Ok(entry.version.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_another_release_numbered_otherwise_are_refused() {
        let book = Rulebook::new(Arc::new(Metrics::new("0", "0")), Arc::default());
        let text = "[cohorts.a]\nwho = 'did visit ever'\n";
        let rules = rules::load("r.toml", text).unwrap();
        book.add(1, &rules.fingerprint, text.to_owned(), JoinedEvents::new(), None);
        book.add(2, "0123456789abcdef0123456789abcdef", text.to_owned(), JoinedEvents::new(), None);
        assert!(book.get(1).unwrap().is_some());
        let refused = book.get(2).unwrap_err().to_string();
        assert!(refused.contains("would be read as something else"), "{refused}");
    }
}
