//! The customers that a fit looks at, as seen at one instant, and what became of them.

use crate::churn::fit::in_sample;
use crate::engine::{Comings, Shard, Sighting, Slot, Watched, tie_hash};
use crate::event::{Instant, Span};
use crate::rules::ast::Unit;

/// Some customers at one instant.
pub(in crate::cli) struct Snapshot {
    pub(in crate::cli) at: Instant,
    pub(in crate::cli) rows: Vec<Row>,
    /// All who had come by then; the rows are of a sample of them, if they are many.
    pub(in crate::cli) customers: u64,
}

/// One customer at that instant.
pub(in crate::cli) struct Row {
    slot: Slot,
    pub(in crate::cli) sighting: Sighting,
}

impl Snapshot {
    /// Takes those who have come, or as many of them as a fit needs: by a hash of the id, so that it is the same customers each
    /// time.
    pub(in crate::cli) fn of(shard: &Shard, at: Instant) -> Self {
        let rules = shard.engine().rules();
        let calendar = rules.calendar();
        let came = |slot: Slot| Comings::of(rules, shard.state(slot)).map(|comings| (slot, comings));
        let came: Vec<(Slot, Comings)> = shard.residents().filter_map(came).collect();
        let customers = came.len() as u64;
        let sampled = came.into_iter().filter(|(slot, _)| in_sample(tie_hash(shard.customer(*slot)), customers));
        let row = |(slot, comings)| Row { slot, sighting: Sighting::new(comings, at, &calendar) };
        Self { at, rows: sampled.map(row).collect(), customers }
    }

    pub(in crate::cli) fn sightings(&self) -> Vec<Sighting> {
        self.rows.iter().map(|row| row.sighting).collect()
    }

    /// What became of them by `until`, as the shard knows them then.
    pub(in crate::cli) fn watched(&self, shard: &Shard, until: Instant) -> Vec<Watched> {
        let calendar = shard.engine().rules().calendar();
        let [from, until] = [self.at, until].map(|at| calendar.period(at, Unit::Day));
        let none = |row: &Row| {
            let seen = row.sighting.comings;
            let now = Comings::of(shard.engine().rules(), shard.state(row.slot)).unwrap_or(seen);
            let last = i64::from(now.last_day());
            // A late event may have been of the time before; where few come, the clock may have been moved on by this very
            // customer's event, long after the horizon.
            let is_later = last > i64::from(seen.last_day()) && last >= from;
            !is_later || (last > until && seen.and_on(now.last_day()).are_on_the_days_of(&now))
        };
        self.rows.iter().map(|row| Watched { sighting: row.sighting, none: none(row) }).collect()
    }
}

/// A length of time as the models count it.
pub(in crate::cli) fn days(span: Span) -> f64 {
    span.0 as f64 / Span::DAY.0 as f64
}
