//! The kinds of faults: how each begins, how long it lasts, how it ends.

mod brokers;
mod clocks;
mod copies;
mod disks;
mod groups;
mod kills;
mod network;
mod registries;
mod rules;

use std::time::Duration;

use super::field::Field;
use crate::random::Random;

pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How often it is taken, compared with others.
    pub(super) weight: i64,
    pub(super) begin: fn(&mut Field, &mut Random) -> Begun,
}

/// The result of injecting a fault.
pub(super) enum Begun {
    /// It is under way; after this long it is to be ended.
    Lasts(Duration, End),
    /// Not now: what it needs is busy with another fault.
    NotNow,
    /// Never on this machine, and why.
    Skipped(String),
}

/// Ends a fault; says whether it has happened at all.
pub(super) type End = Box<dyn FnOnce(&mut Field) -> Happened>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Yes,
    /// What was waited for did not come.
    No,
}

impl Begun {
    fn lasting(length: Duration, end: impl FnOnce(&mut Field) -> Happened + 'static) -> Self {
        Self::Lasts(length, Box::new(end))
    }

    /// It is over already.
    fn over(happened: Happened) -> Self {
        Self::lasting(Duration::ZERO, move |_| happened)
    }
}

/// In milliseconds.
fn between(from: i64, to: i64, random: &mut Random) -> Duration {
    Duration::from_millis(u64::try_from(from + random.below(to - from)).unwrap())
}

const fn kind(name: &'static str, weight: i64, begin: fn(&mut Field, &mut Random) -> Begun) -> Kind {
    Kind { name, weight, begin }
}

pub(super) const KINDS: &[Kind] = &[
    kind("kill -9, started at once", 6, kills::at_once),
    kind("kill -9, started after its session", 2, kills::after_session),
    kind("kill -9 three times in its start", 3, kills::over_and_over),
    kind("kill -9 when it says Revoked", 4, kills::at_revoked),
    kind("kill -9 when it says Assigned", 3, kills::at_assigned),
    kind("kill -9 when it says that it restores", 2, kills::at_restoring),
    kind("SIGSTOP beyond the session", 3, kills::asleep),
    kind("SIGSTOP for a moment", 2, kills::dozing),
    kind("SIGTERM, started again", 3, groups::stop),
    kind("a member joins or leaves", 4, groups::join_or_leave),
    kind("a twin on the same disk", 2, groups::twin_on_the_same_disk),
    kind("a twin on another disk", 2, groups::twin_on_another_disk),
    kind("broker killed", 3, brokers::kill),
    kind("controller killed", 2, brokers::kill_controller),
    kind("broker frozen", 2, brokers::freeze),
    kind("connections cut", 2, network::cut),
    kind("connections refused", 2, network::refuse),
    kind("network slow", 2, network::slow),
    kind("network a black hole", 2, network::black_hole),
    kind("answer to EndTxn lost", 3, network::lose_end_txn),
    kind("answer to AddOffsetsToTxn lost", 1, network::lose_add_offsets),
    kind("answer to AddPartitionsToTxn lost", 1, network::lose_add_partitions),
    kind("answer to TxnOffsetCommit lost", 2, network::lose_offset_commit),
    kind("answer to Produce lost", 2, network::lose_produce),
    kind("answer to another request lost", 3, network::lose_other),
    kind("EndTxn never arrives", 1, network::lose_end_txn_request),
    kind("EndTxn arrives late", 2, network::late_end_txn),
    kind("disk full", 3, disks::full),
    kind("handles exhausted", 2, disks::no_handles),
    kind("bits flipped in an SST while down", 2, copies::flip_sst_while_down),
    kind("bits flipped in an SST while it runs", 2, copies::flip_sst_while_running),
    kind("bits flipped in MANIFEST while down", 2, copies::flip_manifest_while_down),
    kind("bits flipped in MANIFEST while it runs", 1, copies::flip_manifest_while_running),
    kind("state deleted while down", 2, copies::delete_while_down),
    kind("state deleted while it runs", 2, copies::delete_while_running),
    kind("state replaced by an older copy", 3, copies::older),
    kind("registry away", 1, registries::away),
    kind("registry answers 401", 1, registries::unauthorized),
    kind("registry answers 500", 1, registries::failing),
    kind("registry slow", 1, registries::slow),
    kind("registry hangs", 1, registries::hangs),
    kind("clock ahead by less than a minute", 2, clocks::ahead),
    kind("clock ahead by an hour", 1, clocks::far_ahead),
    kind("clock back", 2, clocks::back),
    kind("rules edited", 4, rules::edit),
    kind("rules file broken", 1, rules::broken),
];
