//! What a partition counts for ranks, as of the last flush.

use std::time::Instant as Moment;

use crate::engine::{RankMove, Standing};
use crate::event::stored_hash::tie_hash;
use crate::lane::partition::publish_schedule::PublishSchedule;
use crate::rules::RuleSet;
use crate::store::{Database, Stage, StoreError, ThresholdsProgress, decode_counters, encode_counters, places};
use crate::summary::Counters;

/// The counters of a partition's rankings, and when they are to be published.
pub(in crate::lane) struct RankState {
    pub(in crate::lane) counters: Counters,
    /// The database does not hold them as they are.
    pub(in crate::lane) changed: bool,
    /// Set while new thresholds are in force and not all customers are decided under them.
    pub(in crate::lane) applying: Option<ThresholdsProgress>,
    /// The tick of the last publication.
    pub(in crate::lane) published_tick: Option<i64>,
    /// The stage that was published then.
    pub(in crate::lane) published_stage: Option<Stage>,
    /// Something was counted since then.
    pub(in crate::lane) changed_since_publication: bool,
    /// When they are published within a tick.
    pub(in crate::lane) schedule: PublishSchedule,
    /// All customers are counted again before the next publication, since no counters of these rules are known.
    pub(in crate::lane) recount: Option<Recount>,
}

/// Counting all customers of a partition again, a share in each turn.
pub(in crate::lane) struct Recount {
    /// Those up to this id.
    counters: Counters,
    through: String,
}

impl Recount {
    fn new(rules: &RuleSet) -> Self {
        Self { counters: Counters::new(rules), through: String::new() }
    }

    /// Counts at most `most` customers. Everything that was flushed is in the database. True: that was all.
    fn go_on(&mut self, database: &Database, rules: &RuleSet, most: usize) -> Result<bool, StoreError> {
        let (_, done) = database.scan_customers(&mut self.through, most, |customer, state| {
            let (places, _) = places(state, rules.rankings.len())?;
            for (ranking, place) in self.counters.rankings.iter_mut().zip(places) {
                if let Some(value) = place {
                    ranking.add(Standing { value, hash: tie_hash(customer) });
                }
            }
            Ok(())
        })?;
        Ok(done)
    }
}

impl RankState {
    /// For rules that have just come into force: everything is to be counted again.
    pub(in crate::lane) fn recounting(rules: &RuleSet) -> Self {
        Self { recount: Some(Recount::new(rules)), changed: true, ..Self::of(Counters::new(rules), None) }
    }

    /// From the database; the customers are to be counted if it holds no counters for these rules.
    pub(in crate::lane) fn load(
        database: &Database,
        applying: Option<ThresholdsProgress>,
        rules: &RuleSet,
    ) -> Result<Self, StoreError> {
        Ok(match stored_counters(database, rules)? {
            Some(counters) => Self::of(counters, applying),
            None => Self { applying, ..Self::recounting(rules) },
        })
    }

    /// Counters as the database has them.
    fn of(counters: Counters, applying: Option<ThresholdsProgress>) -> Self {
        Self {
            counters,
            changed: false,
            applying,
            published_tick: None,
            published_stage: None,
            changed_since_publication: false,
            schedule: PublishSchedule::new(Moment::now()),
            recount: None,
        }
    }

    /// Counts again, if that is needed, at most `most` customers. Everything that was flushed is in the database. True:
    /// the counters are those of all customers.
    pub(in crate::lane) fn continue_recount(
        &mut self,
        database: &Database,
        rules: &RuleSet,
        most: usize,
    ) -> Result<bool, StoreError> {
        if self.recount.is_none() && self.counters.are_short() {
            self.recount = Some(Recount::new(rules));
        }
        let Some(recount) = &mut self.recount else { return Ok(true) };
        if !recount.go_on(database, rules, most)? {
            return Ok(false);
        }
        if let Some(Recount { counters, .. }) = self.recount.take() {
            (self.counters, self.changed) = (counters, true);
        }
        Ok(true)
    }

    /// Counts a customer whose values have changed with a flush.
    pub(in crate::lane) fn count(&mut self, customer: &str, moves: &[RankMove]) {
        if let Some(recount) = &mut self.recount {
            // Those who come later are counted as they were flushed.
            if customer <= recount.through.as_str() {
                moves.iter().for_each(|moved| recount.counters.count(moved));
            }
            return;
        }
        moves.iter().for_each(|moved| self.counters.count(moved));
        self.changed |= !moves.is_empty();
        self.changed_since_publication |= !moves.is_empty();
        if !moves.is_empty() {
            self.schedule.note_change();
        }
    }

    /// The counters as bytes if they have changed since the last write; empty bytes mark stored counters as invalid.
    pub(super) fn unwritten(&mut self, rules: &RuleSet) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut bytes = Vec::new();
        if self.recount.is_some() {
            return Some(bytes);
        }
        encode_counters(&self.counters, rules, &mut bytes);
        Some(bytes)
    }
}

/// The counters that a database holds. `None`: it holds none for these rules.
pub(in crate::lane) fn stored_counters(database: &Database, rules: &RuleSet) -> Result<Option<Counters>, StoreError> {
    if rules.rankings.is_empty() {
        return Ok(Some(Counters::default()));
    }
    let Some(bytes) = database.counters()?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    Ok(decode_counters(&bytes, rules)?)
}

/// How a customer's values in the rankings change from one stored state to another.
pub(in crate::lane) fn moves(
    customer: &str,
    from: Option<&[u8]>,
    to: Option<&[u8]>,
    rules: &RuleSet,
) -> Result<Vec<RankMove>, StoreError> {
    let rankings = rules.rankings.len();
    let read = |state: Option<&[u8]>| match state {
        Some(state) => places(state, rankings).map(|(places, _)| places),
        None => Ok(vec![None; rankings].into()),
    };
    Ok(RankMove::between(customer, read(from)?, read(to)?))
}
