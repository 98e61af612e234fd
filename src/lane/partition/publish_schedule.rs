//! When a partition publishes its counters besides once per `ranks.refresh`: soon after they have changed much.
//!
//! While they keep changing much, as during the load of a history, they are not published: thresholds computed from
//! half a history would let in the wrong customers. Once they have settled they are published, and again after pauses
//! that double up to `ranks.refresh`, so that the last changes are not left out for long, and constant change costs
//! little.

use std::time::{Duration, Instant as Moment};

use crate::engine::Thresholds;
use crate::rules::RuleSet;
use crate::store::Stage;
use crate::summary::{Counters, Extent};

/// Counters that have not changed much for this long have settled.
const REST: Duration = Duration::from_secs(2);
/// For this long after a start counters are published again, since much may have changed before it.
const AFTER_START: Duration = Duration::from_secs(60);
/// Between two samples of the counters.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Whether a partition has caught up with its input once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Load {
    InProgress,
    Complete,
}

/// When the counters of a partition are sampled and published.
pub(in crate::lane) struct PublishSchedule {
    /// The pause after the next publication.
    pause: Duration,
    /// When the next publication is due; `None`: in the next period.
    due: Option<Moment>,
    /// Until then the counters count as changing.
    settled_from: Moment,
    last_sample: Option<Moment>,
    /// What later samples are compared with.
    extent: Option<Extent>,
    /// As of the last sample.
    load: Load,
    /// Something was counted since the last sample.
    has_news: bool,
    /// The longest pause between two publications.
    last_pause: Duration,
}

impl PublishSchedule {
    /// At a start, when nothing is known of earlier publications: counters are published soon, and again for a while.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            pause: REST,
            due: Some(now + REST),
            settled_from: now,
            last_sample: None,
            extent: None,
            load: Load::Complete,
            has_news: true,
            last_pause: AFTER_START,
        }
    }

    /// Something was counted.
    pub(super) fn note_change(&mut self) {
        self.has_news = true;
    }

    /// Is it time for the next sample?
    pub(in crate::lane) fn is_sample_due(&self, load: Load, now: Moment) -> bool {
        let has_news = self.has_news || load != self.load;
        self.last_sample.is_none_or(|last| has_news && now >= last + SAMPLE_EVERY)
    }

    /// Takes a sample of the counters under these rules and thresholds.
    pub(in crate::lane) fn sample(
        &mut self,
        counters: &Counters,
        (rules, thresholds): (&RuleSet, &Thresholds),
        load: Load,
        now: Moment,
    ) {
        (self.last_sample, self.has_news) = (Some(now), false);
        let extent = Extent::of(counters, rules, thresholds);
        let has_loaded = (std::mem::replace(&mut self.load, load), load) == (Load::InProgress, Load::Complete);
        let known = self.extent.take().filter(|known| known.is_under(thresholds));
        let changed_much = known.as_ref().is_some_and(|known| known.differs_much(&extent));
        // Compared with the last large change, since many small steps make a large one.
        self.extent = known.filter(|_| !changed_much).or(Some(extent));
        if changed_much || has_loaded {
            (self.pause, self.settled_from, self.due) = (REST, now + REST, Some(now + REST));
            self.last_pause = Duration::MAX;
        }
    }

    /// Is a publication due, if anything has changed since the last one?
    pub(in crate::lane) fn is_due(&self, now: Moment) -> bool {
        self.load == Load::Complete && self.due.is_some_and(|due| due <= now)
    }

    /// The stage to publish with the counters.
    pub(in crate::lane) fn stage(&self, now: Moment) -> Stage {
        match (self.load, now >= self.settled_from) {
            (Load::InProgress, _) => Stage::Loading,
            (Load::Complete, false) => Stage::Changing,
            (Load::Complete, true) => Stage::Settled,
        }
    }

    /// The counters were published. `longest`: the pause between two publications in any case.
    pub(in crate::lane) fn published(&mut self, longest: Duration, now: Moment) {
        if self.stage(now) == Stage::Settled {
            let follows = self.pause < longest.min(self.last_pause);
            self.due = follows.then(|| now + self.pause);
            self.pause = self.pause.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant as Moment};

    use super::{Counters, Load, PublishSchedule, Stage};
    use crate::engine::{Standing, Thresholds};
    use crate::event::Number;
    use crate::rules::load;

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: &str = "[cohorts.c]\nwho = 'in the top 5 % by sum(buy.amount)'";

    /// Customers that come at a constant rate, then nobody, with an hour between two periods: by the clock of the test,
    /// in seconds, when it was published and how many were counted.
    fn published(customers: u64, seconds: u64) -> Vec<(u64, u64)> {
        let rules = load("r.toml", RULES).unwrap();
        let thresholds: Thresholds = Arc::from([None]);
        let start = Moment::now();
        let mut schedule = PublishSchedule::new(start);
        let (mut counters, mut counted, mut changed) = (Counters::new(&rules), 0, false);
        let mut published = Vec::new();
        for second in 1..=seconds + 7_200 {
            let now = start + u32::try_from(second).unwrap() * SECOND;
            while counted < customers && counted * seconds < second * customers {
                counters.rankings[0].add(Standing { value: Number::from_integer(7), hash: counted });
                (counted, changed) = (counted + 1, true);
            }
            schedule.note_change();
            if schedule.is_sample_due(Load::Complete, now) {
                schedule.sample(&counters, (&rules, &thresholds), Load::Complete, now);
            }
            if changed && schedule.is_due(now) {
                schedule.published(3_600 * SECOND, now);
                published.push((second, counted));
                changed = false;
            }
        }
        published
    }

    #[test]
    fn a_load_of_any_speed_is_published_whole_soon_after_its_end_and_seldom_before() {
        for (customers, seconds) in [(1_000, 1), (1_000, 10), (1_000, 60), (100_000, 600), (5_000, 3_600)] {
            let published = published(customers, seconds);
            let (at, counted) = *published.last().unwrap();
            assert_eq!(counted, customers, "{customers} in {seconds} s: {published:?}");
            assert!(at <= seconds + seconds / 2 + 10, "{customers} in {seconds} s: {published:?}");
            let most = usize::try_from(40 + seconds / 10).unwrap();
            assert!(published.len() < most, "{customers} in {seconds} s: {} times", published.len());
        }
    }

    #[test]
    fn what_goes_on_changing_much_is_published_when_it_has_come_to_rest() {
        let published = published(1_000, 8);
        assert!(published.iter().all(|(_, counted)| *counted == 1_000), "{published:?}");
    }

    #[test]
    fn what_was_never_read_to_its_end_says_so_and_waits_for_it() {
        let rules = load("r.toml", RULES).unwrap();
        let thresholds: Thresholds = Arc::from([None]);
        let counters = Counters::new(&rules);
        let start = Moment::now();
        let mut schedule = PublishSchedule::new(start);
        let sample = |schedule: &mut PublishSchedule, load, second: u32| {
            schedule.sample(&counters, (&rules, &thresholds), load, start + second * SECOND);
            (schedule.stage(start + second * SECOND), schedule.is_due(start + second * SECOND))
        };
        assert_eq!(sample(&mut schedule, Load::InProgress, 0), (Stage::Loading, false));
        assert_eq!(sample(&mut schedule, Load::InProgress, 500), (Stage::Loading, false));
        assert_eq!(sample(&mut schedule, Load::Complete, 501), (Stage::Changing, false), "more may be about to come");
        assert_eq!(sample(&mut schedule, Load::Complete, 503), (Stage::Settled, true));
    }
}
