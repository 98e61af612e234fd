//! How publishing a plan can end, and what the next try needs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kafka::{Consumer, Producer};
use crate::lane::changelog_reader::ChangelogReader;
use crate::lane::context::Context;
use crate::lane::partition::state::Partition;

/// How publishing a plan ended.
#[derive(Debug)]
pub(super) enum PublishOutcome {
    /// Committed. For each part of the plan the changelog offset after its last record, if it is known.
    Committed(Vec<Option<i64>>),
    /// Aborted, nothing of it is visible: try again while the partitions are still ours.
    Aborted(AbortCause),
    /// Another member has gone on with one of the partitions: discard the plan.
    Overtaken,
    /// The outcome is unknown: the brokers deny access to it, with this text. Only
    /// [`resolve_unknown`](crate::lane::commit::resolve::resolve_unknown) may follow.
    Unknown(String),
}

/// Why a transaction was aborted, by what the next try needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AbortCause {
    /// A transient cause: try the same again.
    Transient,
    /// Too old before it could be committed, after this long: try a smaller one.
    TooSlow(Duration),
    /// Records of the plan, by index, that are too large for their topics: try without them.
    TooLarge(Vec<usize>),
    /// A topic or a permission is missing, with the broker's text: try the same again until an operator has fixed it.
    Refused(String),
}

/// What publishing a plan needs of the lane.
pub(super) struct PublishTools<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) producer: &'a mut Producer,
    /// Written with each offset, so that another process's commit is not taken for ours.
    pub(super) writer: u64,
    /// The lane is stopping, and its partitions stay assigned to it.
    pub(super) stopped: bool,
    pub(super) context: &'a Context,
    /// The lane's partitions.
    pub(super) partitions: &'a BTreeMap<i32, Partition>,
    pub(super) changelog: ChangelogReader<'a>,
    /// Called between steps to report that the lane is alive.
    pub(super) report_alive: &'a dyn Fn(),
}
