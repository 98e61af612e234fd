//! A partition takes up other rules: at one log position, customer by customer.
//!
//! # Why this is safe at any moment
//!
//! The input of the partition waits at a position `k`, and whatever the old rules changed is flushed first. So META's
//! `replay_from` is `k`: nothing before it will be taken in again, by these rules or any. What the log still says of facts
//! that the old rules did not keep is gathered in a database beside the partition's own, which decides nothing and may be
//! lost at any time.
//!
//! Then customers are brought over in the order of their ids, some thousands in each transaction: their states by the new
//! rules, what changed for them, and META with the id that this has come to. Whoever reads META knows of each state by
//! which rules it is numbered. A crash in between, a rebalance or a lost disk leave exactly that, and the next owner goes
//! on from there, by the version that META names, even if a newer one has come since. The last transaction records the
//! version at `k`, and from then on META names it alone.
//!
//! | a crash | leaves | and a restart |
//! |---|---|---|
//! | before the first transaction | the old rules | reads on by them, and takes the new ones up at a later position |
//! | between two | some customers by the new rules, the rest by the old | gathers again, and goes on with the rest |
//! | after the last | the new rules | reads on by them from `k` |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use rustc_hash::FxHashMap;

use crate::clock::wall_clock;
use crate::codec::{Lookup, SchemaKey, Schemas};
use crate::engine::{CustomerState, Detail, Effect, Engine, LogCoverage, Migration, Shard};
use crate::event::{Instant, Properties};
use crate::kafka::{Failure, Read, Reader, Record, Watermarks};
use crate::lane::aggregate::ranks::RankWork;
use crate::lane::commit::output::Place;
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::edits::report::Applied;
use crate::lane::edits::rulebook::Version;
use crate::lane::error::LaneError;
use crate::lane::input::schema_waits::{Obstacle, Patience};
use crate::lane::partition::emit::may_automate;
use crate::lane::partition::flush::{keep_below, move_timer, put_state};
use crate::lane::partition::state::Partition;
use crate::metrics::{LaneHealth, Metrics, Wait, WaitCause};
use crate::rules::RuleSet;
use crate::store::{
    Adopting, Batch, Database, InForce, Recorded, SharedMemory, StoreError, Surveyed, decode_state, encode_state,
};

/// Customers brought over in one transaction, and the bytes of their states.
const SWEEP_CUSTOMERS: usize = 2_000;
const SWEEP_BYTES: usize = 4 << 20;
/// Records of the input gathered from at once: their customers' states are read together.
const GATHER_RECORDS: usize = 5_000;
/// What a gathered customer takes in memory, and each of their events, roughly.
const GATHERED_BYTES: usize = 512;
const EVENT_BYTES: usize = 64;
/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(1);
/// Between two words on how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A partition under way from one version to another.
pub(in crate::lane) struct Adoption {
    pub(in crate::lane) partition: i32,
    version: Arc<Version>,
    migration: Migration,
    /// Runs the new rules.
    engine: Engine,
    stage: Stage,
    aside: Aside,
    /// When what the log begins with now was written, if reading began further back.
    begins: Option<Instant>,
    /// The log was read from where the partition began.
    whole: bool,
    customers: u64,
    started: Moment,
    told: Moment,
    metrics: Arc<Metrics>,
}

enum Stage {
    Gathering(Box<Gathering>),
    Sweeping,
}

struct Gathering {
    reader: Reader,
    stream_time: Instant,
    /// The next offset to gather from; `None`: not begun.
    next: Option<i64>,
    records: u64,
    /// The schema of the next record, while it is waited for.
    missing: Option<SchemaKey>,
    patience: Patience,
}

/// What is gathered: in memory, and beside the partition's database where it is too much.
struct Aside {
    path: PathBuf,
    database: Option<Database>,
    states: FxHashMap<Box<str>, CustomerState>,
    bytes: usize,
}

/// What a step works with.
pub(in crate::lane) struct Tools<'a> {
    pub(in crate::lane) context: &'a Context,
    pub(in crate::lane) watermarks: &'a Watermarks,
    pub(in crate::lane) schemas: &'a mut Schemas,
    pub(in crate::lane) memory: &'a SharedMemory,
    /// Bytes that may be gathered in memory.
    pub(in crate::lane) budget: usize,
    pub(in crate::lane) health: LaneHealth<'a>,
}

impl Adoption {
    /// `reader` is made only where the log must be read again.
    pub(in crate::lane) fn new(
        partition: &Partition,
        version: Arc<Version>,
        reader: impl FnOnce() -> Result<Reader, Failure>,
        context: &Context,
    ) -> Result<Self, LaneError> {
        let migration = Migration::between(Arc::clone(&partition.rules.rules), Arc::clone(&version.rules));
        let path = aside_of(partition.database.path());
        Database::remove(&path).map_err(gathered)?;
        let stage = if migration.needs_log() {
            Stage::Gathering(Box::new(Gathering {
                reader: reader()?,
                stream_time: Instant::MIN,
                next: None,
                records: 0,
                missing: None,
                patience: Patience::default(),
            }))
        } else {
            Stage::Sweeping
        };
        tracing::debug!(
            partition = partition.number,
            from = partition.rules.number,
            to = version.number,
            offset = partition.next_offset,
            rereads = migration.needs_log(),
            "Applying other rules; the partition's input waits."
        );
        context.edits.begins(partition.number, version.number, migration.needs_log());
        context.metrics.partitions_adopting.inc();
        let mut engine =
            Engine::new(Arc::clone(&version.rules), partition.timing.max_lateness, partition.ids_max as usize);
        if let Some(InForce { parameters, since, .. }) =
            partition.model.as_ref().filter(|_| migration.keeps_parameters())
        {
            engine.set_parameters(Some(Arc::new(*parameters)), *since);
        }
        Ok(Self {
            partition: partition.number,
            engine,
            migration,
            version,
            stage,
            aside: Aside { path, database: None, states: FxHashMap::default(), bytes: 0 },
            begins: None,
            whole: true,
            customers: 0,
            started: Moment::now(),
            told: Moment::now(),
            metrics: Arc::clone(&context.metrics),
        })
    }

    /// Works for about `budget`, or up to the end of a transaction's part. Nothing of the partition may be dirty. True:
    /// with the plan as it is now the partition has taken up the version.
    pub(in crate::lane) fn step(
        &mut self,
        partition: &mut Partition,
        tools: &mut Tools<'_>,
        budget: Duration,
        plan: &mut Plan,
    ) -> Result<bool, LaneError> {
        self.engine.set_limits(partition.timing.max_lateness, partition.ids_max as usize);
        let mut stage = std::mem::replace(&mut self.stage, Stage::Sweeping);
        if let Stage::Gathering(gathering) = &mut stage {
            if !self.gather(gathering, partition, tools, Moment::now() + budget)? {
                self.stage = stage;
            }
            return Ok(false);
        }
        let done = self.sweep(partition, tools.context, plan)?;
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Moment::now();
            tracing::info!(partition = self.partition, customers = self.customers, "Taking up other rules.");
        }
        Ok(done)
    }

    /// Does it wait for a schema, so that other work need not hurry?
    pub(in crate::lane) fn waits(&self) -> bool {
        matches!(&self.stage, Stage::Gathering(gathering) if gathering.missing.is_some())
    }

    /// Reads the input again for facts that were not kept. True: all of it is read.
    fn gather(
        &mut self,
        gathering: &mut Gathering,
        partition: &Partition,
        tools: &mut Tools<'_>,
        until: Moment,
    ) -> Result<bool, LaneError> {
        let topic = &tools.context.topics.input;
        let to = partition.next_offset;
        let Some(next) = gathering.next else {
            let start = match tools.watermarks.range(topic, self.partition, ASK).map_err(Failure::at_work) {
                Ok(range) => range.start,
                Err(Failure::Retry(_)) => return Ok(false),
                Err(failure) => return Err(failure.into()),
            };
            // What came before that was not read for the old rules either.
            let first = start.max(partition.meta.began);
            self.whole = first == partition.meta.began && partition.meta.log.resets == 0;
            self.begins = None;
            if !self.whole {
                tracing::warn!(
                    partition = self.partition,
                    offset = first,
                    "Retention has dropped the beginning of the input: what the new rules ask about before it is unknown."
                );
            }
            match gathering.reader.start(topic, self.partition, first, to) {
                Ok(()) => gathering.next = Some(first),
                Err(Failure::Retry(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
            return Ok(false);
        };
        let mut next = next;
        if let Some(schema) = gathering.missing {
            if gathering.waits_for(schema, self.partition, tools) {
                return Ok(false);
            }
            match gathering.reader.start(topic, self.partition, next, to) {
                Ok(()) => gathering.missing = None,
                Err(Failure::Retry(_)) => return Ok(false),
                Err(failure) => return Err(failure.into()),
            }
        }
        while Moment::now() < until {
            let (mut records, mut done) = (Vec::new(), false);
            while records.len() < GATHER_RECORDS {
                let wait = if records.is_empty() { Duration::from_millis(20) } else { Duration::ZERO };
                match gathering.reader.poll(wait) {
                    Read::Record(record) => records.push(record),
                    Read::Done => {
                        done = true;
                        break;
                    }
                    Read::OutOfRange { .. } => {
                        // Retention overtook the reading.
                        (gathering.next, gathering.stream_time) = (None, Instant::MIN);
                        self.aside.clear().map_err(gathered)?;
                        return Ok(false);
                    }
                    Read::Waiting { .. } | Read::Failed(Failure::Retry(_)) | Read::Nothing => break,
                    Read::Failed(failure) => return Err(failure.into()),
                }
            }
            if let Some(first) = records.first().filter(|_| !self.whole && self.begins.is_none()) {
                self.begins = first.stamp().millis().map(Instant);
            }
            let rules = Arc::clone(&self.version.rules);
            self.aside.fetch(&records, &rules).map_err(gathered)?;
            for (number, record) in records.iter().enumerate() {
                if let Some(schema) = self.lacks(record, gathering, tools) {
                    // Those after it are asked for at the same time.
                    for later in &records[number..] {
                        self.lacks(later, gathering, tools);
                    }
                    gathering.missing = Some(schema);
                    break;
                }
                self.gather_from(record, partition, tools, &mut gathering.stream_time);
                next = record.offset() + 1;
                gathering.records += 1;
            }
            drop(records);
            gathering.next = Some(next);
            if gathering.missing.is_some() {
                return Ok(false);
            }
            self.aside.spill(tools.budget, tools.memory).map_err(gathered)?;
            if done {
                return Ok(true);
            }
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Moment::now();
            let (remaining, records) = (to - next, gathering.records);
            tracing::info!(
                partition = self.partition,
                remaining,
                records,
                "Reading the input again for the new rules."
            );
        }
        Ok(false)
    }

    /// The schema that a record needs and that is not known yet; it is being asked for.
    fn lacks(&self, record: &Record<'_>, gathering: &Gathering, tools: &mut Tools<'_>) -> Option<SchemaKey> {
        let payload = record.payload().filter(|payload| payload.len() <= tools.context.record_bytes_max)?;
        let (schema, _) = tools.context.framing.split(payload).ok()?;
        let is_known = matches!(tools.schemas.lookup_known(schema), Lookup::Ready(_));
        (!is_known && gathering.patience.obstacle(schema, tools.schemas).is_some()).then_some(schema)
    }

    /// Takes a record in, if it was accepted then as far as the log can tell.
    fn gather_from(
        &mut self,
        record: &Record<'_>,
        partition: &Partition,
        tools: &mut Tools<'_>,
        stream_time: &mut Instant,
    ) {
        let Some(payload) = record.payload().filter(|payload| payload.len() <= tools.context.record_bytes_max) else {
            return;
        };
        let Ok((schema, datum)) = tools.context.framing.split(payload) else { return };
        let Lookup::Ready(reader) = tools.schemas.lookup(schema) else { return };
        let mut properties = Properties::new();
        let Ok(event) = reader.decode(datum, &self.version.rules.vocabulary, &mut properties) else { return };
        let arrives_within = partition.timing.arrives_within;
        // An event beyond that would have moved the partition's time further.
        let ahead = event.at - arrives_within > partition.stream_time();
        let refused = partition.timing.refuses(event.at, *stream_time).is_some();
        if ahead || refused || record.key() != Some(event.customer.as_bytes()) {
            return;
        }
        let state = self.aside.state(event.customer, &self.version.rules);
        if self.engine.gather(state, &event, *stream_time, self.migration.wanted()) {
            *stream_time = (*stream_time).max(event.at - arrives_within);
            self.aside.bytes += EVENT_BYTES;
        }
    }

    /// Brings the next customers over. True: there are none left, and the partition has taken up the version.
    fn sweep(&mut self, partition: &mut Partition, context: &Context, plan: &mut Plan) -> Result<bool, LaneError> {
        let rules = &self.version.rules;
        let (position, stream_time) = (partition.next_offset, partition.stream_time());
        let begins = (!self.whole).then(|| self.begins.unwrap_or(stream_time));
        let observed = self.migration.observed(&partition.observed, begins, stream_time);
        let mut adopting = match partition.adopting.take() {
            // The log may begin later than when this was begun.
            Some(mut adopting) => {
                observed.later.iter().for_each(|(fact, at)| adopting.observed.begins(*fact, *at));
                adopting
            }
            None => Adopting {
                version: self.version.number,
                through: String::new(),
                members: vec![0; rules.cohorts.len()],
                observed,
            },
        };
        self.engine.observe(adopting.observed.clone());
        let customers = partition.database.customers_after(&adopting.through, SWEEP_CUSTOMERS, SWEEP_BYTES)?;
        partition.begin();
        let Some(last) = customers.last() else {
            self.finish(partition, adopting, context);
            return Ok(true);
        };
        adopting.through = last.customer.as_ref().to_owned();
        let ids: Vec<&str> = customers.iter().map(|stored| &*stored.customer).collect();
        let gathered = self.aside.take(&ids, rules).map_err(gathered)?;
        self.engine.set_thresholds(self.migration.thresholds(partition.thresholds()));
        for (stored, gathered) in customers.iter().zip(gathered) {
            let old = decode_state(&stored.state, self.migration.old()).map_err(StoreError::from)?;
            let mut decided = Vec::new();
            let (mut state, left) = self.migration.migrate(
                &stored.customer,
                old,
                gathered,
                if self.whole { LogCoverage::Whole } else { LogCoverage::Partial },
                stream_time,
                &mut self.engine,
                Detail::Full,
                &mut decided,
            );
            state.as_of = partition.meta.log.position(position);
            let old_version = Arc::clone(&partition.rules);
            tell(partition, &stored.customer, &old_version, left, context, plan);
            tell(partition, &stored.customer, &self.version, decided, context, plan);
            for effect in self.engine.take_risks() {
                partition.tell_risk(rules, &stored.customer, effect, position, context, plan);
            }
            for (cohort, membership) in state.memberships.iter() {
                adopting.members[cohort] += u64::from(membership.member);
            }
            write(partition, &stored.customer, &mut state, stored.indexed_at, plan);
        }
        self.customers += customers.len() as u64;
        self.metrics.customers_adopted.inc_by(customers.len() as u64);
        partition.adopting = Some(adopting);
        Ok(false)
    }

    /// Everybody is brought over.
    fn finish(&self, partition: &mut Partition, adopting: Adopting, context: &Context) {
        let (old, new) = (Arc::clone(&partition.rules), &self.version);
        let members = sizes(&old.rules, &partition.members, &new.rules, &adopting.members);
        let members = members.into_iter().map(|(cohort, before, after)| (cohort.to_owned(), before, after)).collect();
        context.edits.applied(self.partition, Applied { customers: self.customers, members });
        tracing::debug!(
            partition = self.partition,
            version = new.number,
            offset = partition.next_offset,
            customers = self.customers,
            seconds = self.started.elapsed().as_secs_f64(),
            "It has applied other rules."
        );
        partition.members = adopting.members;
        partition.observed = adopting.observed;
        let thresholds = self.migration.thresholds(partition.thresholds());
        partition.rules = Arc::clone(new);
        partition.ranks = RankWork::anew(&new.rules);
        partition.forget_surges();
        partition.model.take_if(|_| !self.migration.keeps_parameters());
        partition.surveyed = Surveyed::NEVER;
        partition.round = None;
        partition.empty();
        partition.shard_mut().set_thresholds(thresholds);
        partition.metrics.set_cohorts(new.rules.cohorts.iter().map(|cohort| cohort.name.as_str()));
        partition.record(partition.next_offset, Recorded::Rules { version: new.number });
    }
}

impl Gathering {
    /// Must a schema still be waited for? It is declared while it must.
    fn waits_for(&mut self, schema: SchemaKey, partition: i32, tools: &mut Tools<'_>) -> bool {
        self.patience.look(schema, tools.schemas);
        for cause in [WaitCause::Schema, WaitCause::Registry] {
            match self.patience.obstacle(schema, tools.schemas) {
                Some(Obstacle { cause: found, detail }) if found == cause => {
                    let detail = format!("{detail}; the input is being read again for an edit of the rules");
                    tools.health.wait(Wait { cause, partition: Some(partition), detail });
                }
                _ => tools.health.resume(cause, Some(partition)),
            }
        }
        self.patience.obstacle(schema, tools.schemas).is_some()
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        self.metrics.partitions_adopting.dec();
        if let Err(error) = self.aside.clear() {
            tracing::warn!(%error, "What was gathered for an edit of the rules cannot be removed.");
        }
    }
}

/// What is gathered may be lost at any time: whatever is wrong with it, the partition's own copy is not at fault.
fn gathered(error: StoreError) -> LaneError {
    LaneError::Later { cause: WaitCause::Disk, reason: format!("what is gathered for an edit of the rules: {error}") }
}

/// Where a partition's gathered states lie; nothing there is ever needed after a restart.
pub(in crate::lane) fn aside_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".adopting");
    path.into()
}

impl Partition {
    /// Must it take up other rules than those that decide now? The version it is to take up.
    pub(in crate::lane) fn wants_rules(&self, newest: u64) -> Option<u64> {
        match &self.adopting {
            Some(adopting) => Some(adopting.version),
            None => (self.rules.number < newest).then_some(newest),
        }
    }

    /// Puts every customer out of memory; none may be dirty. Those who come back are read by the rules in force.
    pub(in crate::lane) fn empty(&mut self) {
        debug_assert!(self.shard.oldest_dirty().is_none(), "what changed is flushed first");
        self.shard =
            Shard::new(self.engine_alike(), self.timing, self.shard.stream_time()).shifted(self.meta.log.shift);
    }

    /// An engine that decides as the partition's does.
    pub(in crate::lane) fn engine_alike(&self) -> Engine {
        let thresholds = Arc::clone(self.thresholds());
        let mut engine = Engine::new(Arc::clone(&self.rules.rules), self.timing.max_lateness, self.ids_max as usize)
            .observing(self.observed.clone());
        if thresholds.len() == self.rules.rules.ranks.len() {
            engine.set_thresholds(thresholds);
        }
        if let Some(InForce { parameters, since, .. }) = &self.model {
            engine.set_parameters(Some(Arc::new(*parameters)), *since);
        }
        engine
    }
}

/// Says what an edit brought about for one customer.
fn tell(
    partition: &mut Partition,
    customer: &str,
    version: &Arc<Version>,
    effects: Vec<Effect>,
    context: &Context,
    plan: &mut Plan,
) {
    if effects.is_empty() {
        return;
    }
    let now = wall_clock();
    let place = Place {
        input: &context.topics.input,
        partition: partition.number,
        position: partition.next_offset,
        stream_time: partition.stream_time(),
    };
    let part = partition.part.as_mut().expect("a batch is under way");
    for effect in effects {
        part.tally.changes.push((Arc::clone(version), effect.cohort, effect.change));
        let cohort = version.rules.cohort(effect.cohort);
        if cohort.shadow {
            continue;
        }
        let automation = may_automate(&effect, cohort, partition.caught_up, now, context);
        plan.outs.extend(context.speaker.say(&version.rules, customer, effect, automation, &place));
    }
}

/// Puts a customer's state by the new rules into the batch under way.
fn write(partition: &mut Partition, customer: &str, state: &mut CustomerState, indexed_at: Instant, plan: &mut Plan) {
    let mut bytes = Vec::with_capacity(384);
    encode_state(state, &mut bytes);
    keep_below(partition.state_bytes_max, partition.number, &mut bytes, |bytes| {
        let shrunk = state.shrink();
        bytes.clear();
        encode_state(state, bytes);
        shrunk
    });
    let part = partition.part.as_mut().expect("a batch is under way");
    let deadline = state.next_deadline;
    if indexed_at != deadline {
        move_timer(part, &mut partition.due, customer, indexed_at, deadline);
    }
    plan.outs.push(put_state(part, customer, deadline, bytes));
}

/// Each cohort of either version with its members before and after.
fn sizes<'a>(old: &'a RuleSet, before: &[u64], new: &'a RuleSet, after: &[u64]) -> Vec<(&'a str, u64, u64)> {
    let count = |rules: &RuleSet, counts: &[u64], name: &str| {
        let number = rules.cohorts.iter().position(|cohort| cohort.name == name);
        number.and_then(|number| counts.get(number)).copied().unwrap_or(0)
    };
    let mut names: Vec<&str> = old.cohorts.iter().chain(&new.cohorts).map(|cohort| cohort.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| (name, count(old, before, name), count(new, after, name))).collect()
}

impl Aside {
    /// Reads what is known of these records' customers and is not in memory.
    fn fetch(&mut self, records: &[Record<'_>], rules: &RuleSet) -> Result<(), StoreError> {
        let Some(database) = &self.database else { return Ok(()) };
        let customers = records.iter().filter_map(|record| std::str::from_utf8(record.key()?).ok());
        let mut missing: Vec<&str> = customers.filter(|customer| !self.states.contains_key(*customer)).collect();
        missing.sort_unstable();
        missing.dedup();
        for (customer, stored) in missing.iter().zip(database.customers(&missing)?) {
            if let Some(stored) = stored {
                self.states.insert((*customer).into(), decode_state(stored.state(), rules)?);
                self.bytes += GATHERED_BYTES + stored.state().len();
            }
        }
        Ok(())
    }

    fn state(&mut self, customer: &str, rules: &RuleSet) -> &mut CustomerState {
        if !self.states.contains_key(customer) {
            self.bytes += GATHERED_BYTES + customer.len();
            self.states.insert(customer.into(), CustomerState::new(rules));
        }
        self.states.get_mut(customer).expect("inserted just now")
    }

    /// Writes everything to disk once it takes more than `budget`.
    fn spill(&mut self, budget: usize, memory: &SharedMemory) -> Result<(), StoreError> {
        if self.bytes <= budget {
            return Ok(());
        }
        if self.database.is_none() {
            self.database = Some(Database::open_scratch(&self.path, memory)?);
        }
        let mut batch = Batch::default();
        for (customer, state) in self.states.drain() {
            let mut bytes = Vec::with_capacity(256);
            encode_state(&state, &mut bytes);
            batch.put_customer(&customer, Instant::MAX, &bytes);
        }
        self.bytes = 0;
        self.database.as_ref().map_or(Ok(()), |database| database.write(&batch))
    }

    /// What was gathered of these customers. `sorted`: ascending.
    fn take(&self, sorted: &[&str], rules: &RuleSet) -> Result<Vec<Option<CustomerState>>, StoreError> {
        let mut stored = match &self.database {
            Some(database) => database.customers(sorted)?,
            None => Vec::new(),
        }
        .into_iter();
        let mut found = Vec::with_capacity(sorted.len());
        for customer in sorted {
            let stored = stored.next().flatten();
            found.push(match (self.states.get(*customer), stored) {
                // The younger one.
                (Some(state), _) => Some(state.clone()),
                (None, Some(stored)) => Some(decode_state(stored.state(), rules)?),
                (None, None) => None,
            });
        }
        Ok(found)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.states.clear();
        self.bytes = 0;
        self.database = None;
        Database::remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, aside_of};

    #[test]
    fn what_is_gathered_lies_beside_the_database_whatever_its_topic_is_called() {
        assert_eq!(aside_of(Path::new("/s/g/shop.events-3")), Path::new("/s/g/shop.events-3.adopting"));
    }
}
