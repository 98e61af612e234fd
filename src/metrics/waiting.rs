//! What is waiting, why, and since when: declared in one place, for the log, the readiness check and the gauge
//! `waiting{cause}`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntGauge, IntGaugeVec};

type Key = (WaitCause, Option<i32>);

/// A wait that is over within this time is part of normal work, and is not logged.
const LOGGED_AFTER: Duration = Duration::from_secs(1);
/// A wait that lasts this long makes the process not ready.
const UNREADY_AFTER: Duration = Duration::from_secs(5);

/// The numbers of partitions of sources begin here.
const OF_SOURCES: i32 = 1 << 16;

/// Why a partition, or the whole process, makes no progress although it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitCause {
    /// The wall clock is unreliable.
    Clock,
    /// The local copy of a partition is damaged again and again.
    Damage,
    /// No space or no permission to write in `state.dir`, or no file handle left.
    Disk,
    /// The consumer group has not assigned partitions to this process, or partitions have no owner.
    Group,
    /// An open transaction has exceeded its timeout, and no broker ends it: a person has to.
    HangingTransaction,
    /// No broker answers, or none accepts writes.
    Kafka,
    /// The process is near `memory.limit`.
    Memory,
    /// An output topic is missing, or rejects records.
    Output,
    /// The schema registry does not answer usefully.
    Registry,
    /// A version of the rules that another process uses has not been read yet.
    Rules,
    /// A schema that the registry does not know yet.
    Schema,
    /// A source must not be read on before an operator has done something.
    Source,
    /// The topic of the summaries cannot be read.
    Summaries,
    /// An open transaction hides the end of the changelog.
    Transaction,
}

impl WaitCause {
    const ALL: [Self; 14] = [
        Self::Clock,
        Self::Damage,
        Self::Disk,
        Self::Group,
        Self::HangingTransaction,
        Self::Kafka,
        Self::Memory,
        Self::Output,
        Self::Registry,
        Self::Rules,
        Self::Schema,
        Self::Source,
        Self::Summaries,
        Self::Transaction,
    ];

    /// One word for programs: the label of the metric and the status of the readiness check.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Damage => "damage",
            Self::Disk => "disk",
            Self::Group => "group",
            Self::HangingTransaction => "hanging_transaction",
            Self::Kafka => "kafka",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Registry => "registry",
            Self::Rules => "rules",
            Self::Schema => "schema",
            Self::Source => "source",
            Self::Summaries => "summaries",
            Self::Transaction => "transaction",
        }
    }
}

/// One wait, as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub cause: WaitCause,
    /// The input partition that waits; `None`: several, or none in particular. A number from 65,536 on is of a
    /// partition of a source, which `detail` names.
    pub partition: Option<i32>,
    /// One sentence without a full stop, for people: what is waited for, and what would end it. Nothing personal.
    pub detail: String,
}

/// A wait that lasts, as the readiness check shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub wait: Wait,
    pub lasts: Duration,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wait { cause, partition, detail } = &self.wait;
        let seconds = self.lasts.as_secs();
        match partition {
            Some(number) if *number < OF_SOURCES => {
                write!(f, "Partition {number} waits ({}, for {seconds} s): {detail}.", cause.word())
            }
            _ => write!(f, "Waiting ({}, for {seconds} s): {detail}.", cause.word()),
        }
    }
}

/// All waits of a process. Each is declared and ended by the waiting part; the lock is held briefly.
#[derive(Debug)]
pub(super) struct Waits {
    gauges: [IntGauge; WaitCause::ALL.len()],
    now: Mutex<BTreeMap<Key, Entry>>,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    detail: String,
    logged: bool,
}

impl Waits {
    /// The gauges of `waiting`.
    pub(super) fn new(waiting: &IntGaugeVec) -> Self {
        let gauges = WaitCause::ALL.map(|cause| waiting.with_label_values(&[cause.word()]));
        Self { gauges, now: Mutex::default() }
    }

    /// Declares a wait, or that it still lasts; only the first call sets its beginning.
    pub(super) fn wait(&self, wait: Wait) {
        let Wait { cause, partition, detail } = wait;
        let mut now = self.lock();
        let entry = now.entry((cause, partition)).or_insert_with(|| Entry {
            since: Instant::now(),
            detail: String::new(),
            logged: false,
        });
        entry.detail = detail;
        if !entry.logged && entry.since.elapsed() >= LOGGED_AFTER {
            entry.logged = true;
            tracing::warn!(cause = cause.word(), partition, "Waiting: {}.", entry.detail);
        }
        self.count(cause, &now);
    }

    /// Ends a wait; nothing happens if there is none.
    pub(super) fn resume(&self, cause: WaitCause, partition: Option<i32>) {
        let mut now = self.lock();
        if let Some(entry) = now.remove(&(cause, partition)) {
            self.count(cause, &now);
            if entry.logged {
                let seconds = entry.since.elapsed().as_secs();
                tracing::info!(cause = cause.word(), partition, seconds, "No longer waiting.");
            }
        }
    }

    /// Ends all waits of a partition that is no longer owned.
    pub(super) fn forget(&self, partition: i32) {
        WaitCause::ALL.into_iter().for_each(|cause| self.resume(cause, Some(partition)));
    }

    /// Ends all waits of a partition but those for one cause.
    pub(super) fn forget_but(&self, partition: i32, kept: WaitCause) {
        let others = WaitCause::ALL.into_iter().filter(|cause| *cause != kept);
        others.for_each(|cause| self.resume(cause, Some(partition)));
    }

    /// Waits that have lasted long enough to be a reason for not being ready, the longest first.
    pub(super) fn lasting(&self) -> Vec<Waiting> {
        let now = self.lock();
        let lasting = now.iter().map(|((cause, partition), entry)| Waiting {
            wait: Wait { cause: *cause, partition: *partition, detail: entry.detail.clone() },
            lasts: entry.since.elapsed(),
        });
        let mut lasting: Vec<Waiting> = lasting.filter(|waiting| waiting.lasts >= UNREADY_AFTER).collect();
        lasting.sort_by_key(|waiting| std::cmp::Reverse(waiting.lasts));
        lasting
    }

    /// Moves the beginning of all waits back.
    #[cfg(test)]
    pub(super) fn began_before(&self, earlier: Duration) {
        self.lock().values_mut().for_each(|entry| entry.since -= earlier);
    }

    fn count(&self, cause: WaitCause, now: &BTreeMap<Key, Entry>) {
        let waiting = now.keys().filter(|(of, _)| *of == cause).count();
        self.gauges[cause as usize].set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
