//! Past events, for the commands that analyse them: files form one log, as a single partition, without a broker or a
//! clock; each partition of a topic is a log.
//!
//! `files` says what is in the files, `mapped` makes events of records in the shape of a source, `input` reads all of
//! them, `event_buffer` keeps their events until they are sorted, within a `budget`; `log` reads a
//! range of a topic, and `topic` its events. `other_inputs` provides the other inputs: `ranks` computes rank thresholds, `refits` trains the
//! churn model. `activity_scan` only collects the days on which customers were active.

mod activity_scan;
mod budget;
mod event_buffer;
mod files;
mod input;
mod log;
mod mapped;
mod other_inputs;
mod ranks;
mod refits;
mod schema_wait;
mod topic;

use std::sync::Arc;

use crate::engine::{Engine, Sample, Sampling, Shard, Timing};
use crate::event::Instant;
use crate::event::stored_hash::tie_hash;
use crate::rules::RuleSet;
use crate::settings::Settings;

pub(super) use activity_scan::{ActivityScan, Seen as Scanned, SnapshotTimes, rules_of_churn};
pub(super) use budget::Budget;
pub(super) use event_buffer::EventBuffer;
pub(super) use files::{Files, csv};
pub(super) use input::{Counts, Input};
pub(super) use log::{Place, TopicLog};
pub(super) use mapped::{MappedFile, Unmapped};
pub(super) use other_inputs::OtherInputs;
pub(super) use ranks::RANKED_APART;
pub(super) use refits::Refitted;
pub(super) use schema_wait::SchemaWait;
pub(super) use topic::{Seen, Topic};

/// The partition that processes the log.
pub(super) fn shard(settings: &Settings, rules: &Arc<RuleSet>) -> Shard {
    let time = settings.time;
    let engine = Engine::new(Arc::clone(rules), time.max_lateness, settings.dedupe.ids);
    let timing =
        Timing { arrives_within: time.arrives_within, max_lateness: time.max_lateness, earliest: time.earliest };
    Shard::new(engine, timing, Instant::MIN)
}

/// The training sample of the churn model at an instant: all customers are in memory.
fn sample(shard: &Shard, at: Instant) -> Sample {
    let mut sampling = Sampling::new(at, 1);
    for slot in shard.residents() {
        sampling.add(shard.engine().rules(), tie_hash(shard.customer(slot)), &shard.state(slot), at);
    }
    sampling.finish()
}
