//! Logging an edit of the rules: one line when the first partition of a process starts to apply it, one when all have,
//! with the members of each cohort before and after; and a warning of each name in it that the input does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant as Moment;

use crate::inquiry::NotFound;
use crate::lane::versions::missing_names;
use crate::lane::versions::rulebook::Version;

/// Cohorts that the line names; the rest are in the metrics.
const COHORTS_MAX: usize = 20;

/// The edit that partitions of this process are applying. The lock is held briefly, once for each partition.
#[derive(Debug)]
pub(in crate::lane) struct Edits {
    lanes: usize,
    now: Mutex<Option<Edit>>,
}

#[derive(Debug)]
struct Edit {
    /// The version that the first partition has left.
    before: Arc<Version>,
    version: Arc<Version>,
    /// Is the input read again for it?
    rereads: bool,
    began: Moment,
    /// Partitions that are applying it.
    open: BTreeSet<i32>,
    done: usize,
    /// Lanes that may have partitions which have not started.
    waiting: BTreeSet<usize>,
    customers: u64,
    /// By cohort: members before and after.
    members: BTreeMap<String, (u64, u64)>,
}

/// Where the new rules find what happened before the edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum History {
    /// All that they need is in the stored facts.
    Stored,
    /// The input is read again for facts that are not stored.
    ReadAgain,
}

/// What one partition reports when it has applied the edit.
pub(in crate::lane) struct Applied {
    pub(in crate::lane) customers: u64,
    /// Name, members before and after.
    pub(in crate::lane) members: Vec<(String, u64, u64)>,
}

impl Edits {
    /// `lanes`: of this process.
    pub(in crate::lane) fn new(lanes: usize) -> Self {
        Self { lanes, now: Mutex::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Option<Edit>) -> T) -> T {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A partition starts to apply a version in place of another.
    pub(in crate::lane) fn begins(
        &self,
        partition: i32,
        (before, version): (&Arc<Version>, &Arc<Version>),
        history: History,
    ) {
        let is_first = self.with(|edit| {
            let is_new = edit.as_ref().is_none_or(|edit| edit.version.number != version.number);
            if is_new {
                *edit = Some(Edit::of(before, version, self.lanes));
            }
            edit.iter_mut().for_each(|edit| {
                edit.open.insert(partition);
                edit.rereads |= history == History::ReadAgain;
            });
            is_new
        });
        if is_first {
            let (version, rereads) = (version.number, history == History::ReadAgain);
            tracing::info!(version, rereads, "Applying new rules, one partition after another; its input waits.");
        }
    }

    /// A partition has applied it.
    pub(in crate::lane) fn applied(&self, partition: i32, applied: Applied) {
        self.with(|edit| {
            let Some(edit) = edit else { return };
            edit.open.remove(&partition);
            edit.done += 1;
            edit.customers += applied.customers;
            for (cohort, before, after) in applied.members {
                let members = edit.members.entry(cohort).or_default();
                *members = (members.0 + before, members.1 + after);
            }
        });
    }

    /// A partition is no longer assigned here.
    pub(in crate::lane) fn left(&self, partition: i32) {
        self.with(|edit| {
            edit.iter_mut().for_each(|edit| {
                edit.open.remove(&partition);
            });
        });
    }

    /// A lane has partitions that have not started to apply the newest version.
    pub(in crate::lane) fn report_waiting(&self, lane: usize) {
        self.with(|edit| {
            edit.iter_mut().for_each(|edit| {
                edit.waiting.insert(lane);
            });
        });
    }

    /// All partitions of a lane have started. Once all partitions of the process have applied the edit, its result is
    /// logged.
    pub(in crate::lane) fn report_started(&self, lane: usize) {
        let closed = self.with(|edit| {
            edit.take_if(|edit| {
                edit.waiting.remove(&lane);
                edit.open.is_empty() && edit.waiting.is_empty() && edit.done > 0
            })
        });
        if let Some(edit) = closed {
            tracing::info!(
                version = edit.version.number,
                partitions = edit.done,
                customers = edit.customers,
                seconds = edit.began.elapsed().as_secs_f64(),
                members = edit.changes(),
                "The new rules are in force."
            );
            missing_names::warn(&edit.version, &edit.missing_names());
        }
    }
}

impl Edit {
    fn of(before: &Arc<Version>, version: &Arc<Version>, lanes: usize) -> Self {
        Self {
            before: Arc::clone(before),
            version: Arc::clone(version),
            rereads: false,
            began: Moment::now(),
            open: BTreeSet::new(),
            done: 0,
            waiting: (0..lanes).collect(),
            customers: 0,
            members: BTreeMap::new(),
        }
    }

    /// Names that this edit asks for first, and that the input of this process's partitions does not have.
    fn missing_names(&self) -> Vec<NotFound> {
        let coverage = &self.version.coverage;
        // Only a history that was read shows what it does not have.
        let is_known = self.rereads && coverage.events() > 0;
        if is_known { coverage.not_found_since(&self.before.rules) } else { Vec::new() }
    }

    /// `vip 40 to 38, new_signups 12 to 0`, those that changed most first.
    fn changes(&self) -> String {
        let mut changed: Vec<_> = self.members.iter().filter(|(_, (before, after))| before != after).collect();
        changed.sort_by_key(|(name, (before, after))| (std::cmp::Reverse(before.abs_diff(*after)), *name));
        let shown = changed.iter().take(COHORTS_MAX);
        let mut shown: Vec<String> =
            shown.map(|(cohort, (before, after))| format!("{cohort} {before} to {after}")).collect();
        if changed.len() > COHORTS_MAX {
            shown.push(format!("and {} more", changed.len() - COHORTS_MAX));
        }
        if shown.is_empty() { "unchanged".to_owned() } else { shown.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Applied, Edits, History, Version};
    use crate::event::{CustomerEvent, Instant};
    use crate::inquiry::Coverage;
    use crate::rules;

    fn version(number: u64, who: &str) -> Arc<Version> {
        let rules = Arc::new(rules::load("r.toml", &format!("[cohorts.a]\nwho = '{who}'\n")).unwrap());
        Arc::new(Version {
            number,
            coverage: Arc::new(Coverage::new(&rules)),
            rules,
            joined: Arc::default(),
            counters: Vec::new(),
        })
    }

    #[test]
    fn a_name_that_is_new_and_not_in_the_input_is_reported_if_the_input_was_read_again() {
        let before = version(1, "did visit ever");
        let missing = |history| {
            let (edits, after) = (Edits::new(1), version(2, "did visit ever and did purchas ever"));
            edits.begins(0, (&before, &after), history);
            let missing = || edits.with(|edit| edit.as_ref().map(super::Edit::missing_names)).unwrap();
            assert_eq!(missing(), [], "no event was read");
            after.coverage.observe_history(&CustomerEvent {
                customer: "c",
                name: "purchase",
                name_id: after.rules.vocabulary.name("purchase"),
                at: Instant(0),
                id: None,
                source: None,
                record_hash: 0,
                unusable_values: 0,
                properties: &[],
            });
            missing().into_iter().map(|name| (name.text, name.hint.unwrap())).collect::<Vec<_>>()
        };
        let expected = ("no event is called `purchas`".to_owned(), "did you mean `purchase`?".to_owned());
        assert_eq!(missing(History::ReadAgain), [expected]);
        assert_eq!(missing(History::Stored), []);
    }

    #[test]
    fn an_edit_is_closed_when_every_partition_here_has_applied_it_and_adds_them_up() {
        let edits = Edits::new(2);
        let applied = |before, after| Applied {
            customers: 10,
            members: vec![("vip".into(), before, after), ("same".into(), 3, 3)],
        };
        let is_open = || edits.with(|edit| edit.is_some());
        let versions = (&version(1, "did visit ever"), &version(2, "did visit in the last 1 day"));
        edits.begins(0, versions, History::Stored);
        edits.begins(1, versions, History::Stored);
        edits.report_started(0);
        edits.applied(0, applied(4, 1));
        edits.report_started(1);
        assert!(is_open(), "partition 1 is at it");
        edits.applied(1, applied(5, 7));
        edits.report_waiting(0);
        assert!(is_open(), "partition 2 has not begun");
        edits.begins(2, versions, History::Stored);
        edits.left(2);
        assert_eq!(edits.with(|edit| edit.as_ref().map(super::Edit::changes)).as_deref(), Some("vip 9 to 8"));
        edits.report_started(0);
        assert!(!is_open());
        edits.report_started(0);
    }
}
