//! Events of the past, for the commands that look at it: files are one log, as one partition, without a broker or a clock;
//! of a topic each partition is a log.
//!
//! `input` reads the files, `held` keeps their events until they are sorted, `ranks` computes where ranks begin; `topic`
//! reads a range of a topic.

mod held;
mod input;
mod ranks;
mod topic;

use std::sync::Arc;

use crate::engine::{Engine, Shard, Timing};
use crate::event::Instant;
use crate::rules::RuleSet;
use crate::settings::Settings;

pub(super) use held::Held;
pub(super) use input::{Counts, Input};
pub(super) use ranks::Ranks;
pub(super) use topic::{Place, Seen, Topic};

/// The partition that takes the log in.
pub(super) fn shard(settings: &Settings, rules: &Arc<RuleSet>) -> Shard {
    let time = settings.time;
    let engine = Engine::new(Arc::clone(rules), time.max_lateness, settings.dedupe.ids);
    let timing =
        Timing { arrives_within: time.arrives_within, max_lateness: time.max_lateness, earliest: time.earliest };
    Shard::new(engine, timing, Instant::MIN)
}
