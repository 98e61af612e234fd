//! What a batch writes: changed states, recorded inputs, META.

use std::sync::Arc;

use crate::engine::Slot;
use crate::event::Instant;
use crate::lane::context::Context;
use crate::lane::output::plan::{Part, Plan, Tally};
use crate::lane::output::record::{OutputRecord, Topic};
use crate::lane::output::size::FlushRoom;
use crate::lane::partition::rank_state::RankState;
use crate::lane::partition::state::{Checkpoint, Partition};
use crate::metrics::{Fired, Metrics};
use crate::residents::{BatchCounts, Flushed, Shrunk};
use crate::store::layout::{changelog, customer_key};
use crate::store::{Log, Meta, Recorded, encode_meta};

/// Recorded inputs held in memory while a restart needs them. Each takes some 200 bytes, and a topic full of rejected
/// records adds one for each.
const RECORDED_MAX: usize = 50_000;

/// One partition's share of what its lane may hold.
pub(in crate::lane) struct Share {
    /// Bytes of decoded customers.
    pub(in crate::lane) customer_bytes: usize,
    /// Events whose changes may stay unflushed; after a crash they are read again.
    pub(in crate::lane) unflushed_events: i64,
    /// What may be flushed with one plan.
    pub(in crate::lane) room: FlushRoom,
}

/// Adds a flushed state to the plan, as its changelog record, and counts it.
pub(in crate::lane) fn put_state(flushed: Flushed<'_>, part: &mut Part, ranks: &mut RankState, plan: &mut Plan) {
    let Flushed { customer, state, moves, shrunk, .. } = flushed;
    if let Some(Shrunk { before, limit }) = shrunk {
        // The dropped history may change later decisions.
        tracing::warn!(
            partition = part.partition,
            before,
            after = state.len(),
            limit,
            "The state of a customer is larger than topics.changelog takes; the oldest of it is forgotten."
        );
    }
    part.tally.flushed += 1;
    let key = customer_key(customer);
    plan.records.push(OutputRecord::new(Topic::Changelog, part.partition, Some(state)).with_key(&key));
    ranks.count(customer, &moves);
}

impl Partition {
    /// The partition's part of the current batch; starts one if there is none.
    pub(in crate::lane) fn begin(&mut self) -> &mut Part {
        if self.part.is_none() {
            self.mark();
        }
        self.part.get_or_insert_with(|| Part {
            partition: self.number,
            meta: Arc::clone(&self.meta),
            writes: crate::store::Batch::default(),
            tally: Tally::default(),
        })
    }

    /// Sets a checkpoint: changes from here on are dirty since this position.
    pub(in crate::lane) fn mark(&mut self) {
        let mark = self.next_offset;
        if self.checkpoints.back().is_none_or(|last| last.mark != mark) {
            let (stream_time, began) = (self.stream_time(), std::time::Instant::now());
            self.checkpoints.push_back(Checkpoint { mark, stream_time, began });
        }
        self.residents.begin(mark);
    }

    /// Does the partition take part in the current batch?
    pub(in crate::lane) fn is_at_work(&self) -> bool {
        self.part.is_some()
    }

    /// The counts of the current batch.
    pub(in crate::lane) fn tally(&mut self) -> &mut Tally {
        &mut self.begin().tally
    }

    /// Do the customers in memory exceed their share?
    pub(in crate::lane) fn is_over(&self, share: &Share) -> bool {
        self.residents.shard().bytes() > share.customer_bytes
    }

    /// Has an unflushed change waited long enough?
    pub(in crate::lane) fn flush_is_due(&mut self, context: &Context, share: &Share) -> bool {
        let oldest = self.residents.oldest_dirty();
        self.flush_limit(context, share).zip(oldest).is_some_and(|(limit, oldest)| oldest <= limit)
    }

    /// Changes of batches that began at or before this position have waited long enough.
    fn flush_limit(&self, context: &Context, share: &Share) -> Option<i64> {
        let is_much_recorded = self.recorded.len() > RECORDED_MAX;
        if share.unflushed_events == 0 || context.flush_after.is_zero() || is_much_recorded {
            return Some(i64::MAX);
        }
        let by_events = self.next_offset.checked_sub(share.unflushed_events);
        let old = |checkpoint: &&Checkpoint| checkpoint.began.elapsed() >= context.flush_after;
        let by_age = self.checkpoints.iter().take_while(old).last().map(|checkpoint| checkpoint.mark);
        by_events.max(by_age)
    }

    /// Flushes changed customers with the current batch while there is room.
    pub(in crate::lane) fn flush_all(&mut self, room: &mut FlushRoom, plan: &mut Plan) {
        self.begin();
        self.flush_before(i64::MAX, room, plan);
    }

    /// Flushes customers dirty since a batch that began at or before `limit`, with the current batch, while there is room.
    fn flush_before(&mut self, limit: i64, room: &mut FlushRoom, plan: &mut Plan) {
        let now = self.stream_time();
        let part = self.part.as_mut().expect("a batch is under way");
        while !room.is_spent()
            && let Some(state) = self.residents.flush_next(limit)
        {
            if let Some(pass) = &mut self.survey_pass {
                pass.flushed(&state, now);
            }
            room.spend(state.state.len());
            put_state(state, part, &mut self.ranks, plan);
        }
    }

    /// Ends the batch: flushes changes that have waited long enough or must make room, and completes the partition's
    /// part of the plan.
    ///
    /// Returns the customers to evict from memory once the batch is committed.
    pub(in crate::lane) fn finish(&mut self, context: &Context, share: &Share, plan: &mut Plan) -> Vec<Slot> {
        if self.part.is_none() {
            return Vec::new();
        }
        let mut room = share.room;
        if let Some(limit) = self.flush_limit(context, share) {
            self.flush_before(limit, &mut room, plan);
        }
        let mut victims = self.residents.make_room(share.customer_bytes);
        victims.retain(|slot| {
            let leaves = !room.is_spent() || self.residents.shard().is_clean(*slot);
            if leaves && let Some(bytes) = self.flush_one(*slot, plan) {
                room.spend(bytes);
            }
            leaves
        });
        self.complete(context, plan);
        victims
    }

    /// Flushes one customer with the current batch, if they are dirty. Returns the bytes of their state if so.
    pub(in crate::lane) fn flush_one(&mut self, slot: Slot, plan: &mut Plan) -> Option<usize> {
        let now = self.stream_time();
        let state = self.residents.flush_one(slot)?;
        let part = self.part.as_mut().expect("a batch is under way");
        if let Some(pass) = &mut self.survey_pass {
            pass.flushed(&state, now);
        }
        let bytes = state.state.len();
        put_state(state, part, &mut self.ranks, plan);
        Some(bytes)
    }

    /// Completes the partition's part of the plan: recorded inputs, META and its parts.
    fn complete(&mut self, context: &Context, plan: &mut Plan) {
        let oldest = self.residents.oldest_dirty();
        let replay_from = oldest.unwrap_or(self.next_offset);
        while self.checkpoints.len() > 1 && self.checkpoints[1].mark <= replay_from {
            self.checkpoints.pop_front();
        }
        let began_at = |mark| self.checkpoints.iter().find(|checkpoint| checkpoint.mark == mark);
        let replay_stream_time =
            oldest.and_then(began_at).map_or(self.stream_time(), |checkpoint| checkpoint.stream_time);
        let mut part = self.part.take().expect("a batch is under way");
        part.writes = self.residents.take_writes();
        self.write_recorded(replay_from, replay_stream_time, &mut part, plan);
        let meta = self.next_meta(replay_from, replay_stream_time, context);
        if let Some(counters) = self.ranks.unwritten(&self.rules.rules) {
            part.writes.put_counters(counters);
        }
        for (key, value) in self.parts.changed(&meta) {
            part.writes.put_meta_part(key.clone(), value.clone());
            plan.records.push(self.changelog(&key, Some(value)));
        }
        let mut bytes = Vec::with_capacity(256);
        encode_meta(&meta, &mut bytes);
        part.writes.put_meta_bytes(bytes.clone());
        plan.records.push(self.changelog(&[changelog::META], Some(bytes)));
        part.meta = Arc::new(meta);
        // Deadlines that are not decided yet must stay in the index.
        let undecided_from = self.overdue.map_or(Instant::MAX, |overdue| overdue.decided_to);
        part.writes.put_timers_from(replay_stream_time.min(undecided_from));
        plan.parts.push(part);
    }

    /// Writes newly recorded inputs, and deletes those that no restore needs any more, which reads the input again from
    /// `replay_from`, at that stream time.
    fn write_recorded(&mut self, replay_from: i64, replay_stream_time: Instant, part: &mut Part, plan: &mut Plan) {
        for (position, recorded) in self.automation.take_unwritten() {
            let (key, value) = (recorded.key(position), recorded.value());
            part.writes.put_recorded(key.clone(), Some(value.clone()));
            plan.records.push(self.changelog(&key, Some(value)));
        }
        for (position, recorded) in std::mem::take(&mut self.new_recorded) {
            let (key, value) = (recorded.key(position), recorded.value());
            part.writes.put_recorded(key.clone(), Some(value.clone()));
            plan.records.push(self.changelog(&key, Some(value)));
            // Advances at one position overwrite each other; the last is the furthest.
            let last = self.recorded.iter().rev().take_while(|(at, _)| *at == position);
            let overwritten = last.map(|(_, known)| same_kind(*known, recorded)).position(|same| same);
            if let Some(from_back) = overwritten {
                self.recorded.remove(self.recorded.len() - 1 - from_back);
            }
            self.recorded.push_back((position, recorded));
        }
        let mut obsolete = Vec::new();
        while let Some((position, recorded)) = self.recorded.pop_front_if(|(position, _)| *position < replay_from) {
            obsolete.push(recorded.key(position));
        }
        obsolete.append(&mut self.automation.prune(replay_from, replay_stream_time, self.timing.max_lateness));
        for key in obsolete {
            part.writes.put_recorded(key.clone(), None);
            plan.records.push(self.changelog(&key, None));
        }
    }

    /// META as of the current batch.
    fn next_meta(&self, replay_from: i64, replay_stream_time: Instant, context: &Context) -> Meta {
        Meta {
            cluster_id: context.cluster_id.clone(),
            input: context.topics.input.clone(),
            partitions: context.partitions,
            rules: self.rules.rules.fingerprint.clone(),
            rules_version: self.rules.number,
            migration: self.migrating.clone(),
            began: self.meta.began,
            observed: self.observed.clone(),
            timing: self.timing,
            ids_max: self.ids_max,
            sequence: self.meta.sequence + 1,
            next_offset: self.next_offset,
            replay_from,
            replay_stream_time,
            stream_time: self.stream_time(),
            live: self.live,
            caught_up: self.has_caught_up(),
            written_at: self.trusted_time.max(self.meta.written_at),
            members: self.members.clone(),
            thresholds: self.thresholds().to_vec(),
            applying_thresholds: self.ranks.applying.clone(),
            customers: self.customers,
            surges: self.automation.counts(),
            model: self.model.clone(),
            last_surveys: self.last_surveys,
            log: Log { topic_id: context.input_id.clone(), ..self.meta.log },
            overdue: self.overdue,
        }
    }

    /// A record of the changelog.
    fn changelog(&self, key: &[u8], payload: Option<Vec<u8>>) -> OutputRecord {
        OutputRecord::new(Topic::Changelog, self.number, payload).with_key(&[key])
    }

    /// The batch is committed and written.
    pub(in crate::lane) fn committed(&mut self, part: &Part, victims: &[Slot], metrics: &Metrics) {
        self.meta = Arc::clone(&part.meta);
        let BatchCounts { decisions: counts, rearmed } = self.residents.committed(victims);
        metrics.timers_fired(Fired::Decided).inc_by(counts.deadlines);
        metrics.timers_fired(Fired::Rearmed).inc_by(rearmed);
        metrics.decisions_approximated.inc_by(counts.approximated);
        metrics.dedupe_ids_evicted.inc_by(counts.ids_evicted);
        self.metrics.records_consumed.inc_by(part.tally.consumed);
        self.metrics.set_stream_time(self.meta.stream_time);
        self.metrics.set_cohort_members(&self.members);
        self.show_residents();
        if let Some(at) = self.intake.last_event {
            self.metrics.set_last_event(at);
        }
    }

    /// Shows how many customers are in memory, and how many of them are dirty.
    pub(super) fn show_residents(&mut self) {
        let shard = self.residents.shard();
        self.metrics.customers_resident.set(shard.len() as u64);
        self.metrics.customers_dirty.set(shard.dirty_count() as u64);
    }
}

/// Do both have the same key, so that one overwrites the other at the same position?
fn same_kind(a: Recorded, b: Recorded) -> bool {
    a.key(0) == b.key(0)
}
