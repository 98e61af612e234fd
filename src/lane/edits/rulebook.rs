//! Every version of the rules that this process knows of, for the lanes to take up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::inquiry::{Board, Coverage, InForce};
use crate::lane::error::LaneError;
use crate::metrics::{CohortCounters, Metrics};
use crate::rules::{self, RuleSet};

/// One version, ready to run.
#[derive(Debug)]
pub struct Version {
    /// From 1, in the order of the topic.
    pub number: u64,
    pub rules: Arc<RuleSet>,
    /// Which of what they name events have had.
    pub(in crate::lane) coverage: Arc<Coverage>,
    pub(in crate::lane) counters: Vec<CohortCounters>,
}

/// The versions, by number. Written by one thread as it reads them; lanes ask in each turn whether there is a newer one.
#[derive(Debug)]
pub struct Rulebook {
    metrics: Arc<Metrics>,
    /// Where the newest one hangs for whoever asks.
    board: Arc<Board>,
    newest: AtomicU64,
    /// There are versions that cannot be read now.
    behind: AtomicBool,
    pages: Mutex<Vec<Page>>,
}

#[derive(Debug)]
struct Page {
    number: u64,
    fingerprint: String,
    text: String,
    /// Compiled when first asked for: most old versions never are.
    version: Option<Arc<Version>>,
}

impl Rulebook {
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, board: Arc<Board>) -> Self {
        Self { metrics, board, newest: AtomicU64::new(0), behind: AtomicBool::new(false), pages: Mutex::default() }
    }

    /// The next version, as compiled by the caller if it was. Older ones and those known already are passed over.
    pub fn add(&self, number: u64, fingerprint: &str, text: String, rules: Option<Arc<RuleSet>>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.last().is_some_and(|last| last.number >= number) {
            return;
        }
        let version = rules.map(|rules| self.version(number, rules));
        pages.push(Page { number, fingerprint: fingerprint.to_owned(), text, version });
        self.newest.store(number, Ordering::Release);
        self.metrics.set_rules(number, fingerprint);
    }

    /// In place of the same version's text: rules that decide alike, but may name cohorts otherwise.
    pub fn reword(&self, rules: Arc<RuleSet>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = pages.last_mut().filter(|last| last.fingerprint == rules.fingerprint) {
            last.version = Some(self.version(last.number, rules));
        }
    }

    fn version(&self, number: u64, rules: Arc<RuleSet>) -> Arc<Version> {
        let counters = self.metrics.cohorts(rules.cohorts.iter().map(|cohort| cohort.name.as_str()));
        let coverage = Arc::new(Coverage::new(&rules));
        let fingerprint = rules.fingerprint.clone();
        self.board.put_rules(InForce { version: number, fingerprint, coverage: Arc::clone(&coverage) });
        Arc::new(Version { number, rules, coverage, counters })
    }

    /// Number of the newest version; 0: there is none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// May there be versions that are not known here, because their topic cannot be read to its end?
    pub fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
    }

    pub(in crate::lane) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Is there a version of this fingerprint?
    #[must_use]
    pub fn holds(&self, fingerprint: &str) -> Option<u64> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().rfind(|page| page.fingerprint == fingerprint).map(|page| page.number)
    }

    /// Was an earlier version in force that decides as this one does?
    pub(in crate::lane) fn is_a_return(&self, version: &Version) -> bool {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().any(|page| page.number < version.number && page.fingerprint == version.rules.fingerprint)
    }

    /// A version by its number.
    ///
    /// # Errors
    /// It was written by another release, which took what this one refuses.
    pub fn get(&self, number: u64) -> Result<Option<Arc<Version>>, LaneError> {
        self.find(|page| page.number == number)
    }

    /// The rules that a partition's state was decided by; `number` 0: only the fingerprint is known.
    ///
    /// # Errors
    /// As `get`.
    pub(in crate::lane) fn of_state(&self, number: u64, fingerprint: &str) -> Result<Option<Arc<Version>>, LaneError> {
        self.find(|page| page.fingerprint == fingerprint && (number == 0 || page.number == number))
    }

    fn find(&self, wanted: impl Fn(&Page) -> bool) -> Result<Option<Arc<Version>>, LaneError> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(page) = pages.iter_mut().rfind(|page| wanted(page)) else { return Ok(None) };
        if page.version.is_none() {
            let name = format!("version {} of the rules", page.number);
            let rules = rules::load(&name, &page.text).map_err(|errors| {
                let problem = errors.first().map(ToString::to_string).unwrap_or_default();
                LaneError::Configuration(format!(
                    "{name} decided here, and this release does not run it; go back to the one that did: {problem}"
                ))
            })?;
            // States are numbered as these rules were numbered then: by other numbers one fact would be read as another.
            if rules.fingerprint != page.fingerprint {
                return Err(LaneError::Configuration(format!(
                    "{name} has the fingerprint {} in this release, and had {} in the one that decided by it, so that what \
                     is stored would be read as something else; go back to that release, or stop all processes, decide \
                     everything anew with `cohortd reset --rebuild --yes`, and start once with --accept-rules",
                    rules.fingerprint, page.fingerprint
                )));
            }
            page.version = Some(self.version(page.number, Arc::new(rules)));
        }
        Ok(page.version.clone())
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
        book.add(1, &rules.fingerprint, text.to_owned(), None);
        book.add(2, "0123456789abcdef0123456789abcdef", text.to_owned(), None);
        assert!(book.get(1).unwrap().is_some());
        let refused = book.get(2).unwrap_err().to_string();
        assert!(refused.contains("would be read as something else"), "{refused}");
    }
}
