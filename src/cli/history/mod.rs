//! Events of the past, for the commands that look at it: files are one log, as one partition, without a broker or a clock;
//! of a topic each partition is a log.
//!
//! `input` reads the files, `held` keeps their events until they are sorted, as far as `budget` goes; `topic` reads a range of a
//! topic. `besides` is what else decides: `ranks` computes where ranks begin, `refits` learns the parameters of the model of
//! churn. Where nothing is decided, `comers` only counts the days on which customers came.

mod awaiting;
mod besides;
mod budget;
mod comers;
mod held;
mod input;
mod ranks;
mod refits;
mod topic;

use std::sync::Arc;

use crate::engine::{Engine, Sample, Sampling, Shard, Timing};
use crate::event::Instant;
use crate::event::stored_hash::tie_hash;
use crate::rules::RuleSet;
use crate::settings::Settings;

pub(super) use besides::Besides;
pub(super) use budget::Budget;
pub(super) use comers::{Comers, Looks, Seen as Looked, rules_of_churn};
pub(super) use held::Held;
pub(super) use input::{Counts, Input};
pub(super) use ranks::RANKED_APART;
pub(super) use refits::Refitted;
pub(super) use topic::{Place, Seen, Topic};

/// The partition that takes the log in.
pub(super) fn shard(settings: &Settings, rules: &Arc<RuleSet>) -> Shard {
    let time = settings.time;
    let engine = Engine::new(Arc::clone(rules), time.max_lateness, settings.dedupe.ids);
    let timing =
        Timing { arrives_within: time.arrives_within, max_lateness: time.max_lateness, earliest: time.earliest };
    Shard::new(engine, timing, Instant::MIN)
}

/// What the model of churn learns from at an instant: all customers are in memory.
fn sample(shard: &Shard, at: Instant) -> Sample {
    let mut sampling = Sampling::new(at, 1);
    for slot in shard.residents() {
        sampling.add(shard.engine().rules(), tie_hash(shard.customer(slot)), shard.state(slot), at);
    }
    sampling.finish()
}
