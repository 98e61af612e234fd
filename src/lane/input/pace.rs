//! When a partition publishes its counters besides once each `ranks.refresh`: soon after what is counted has changed much.
//!
//! While it goes on changing much, as in the load of a history, it is not published: thresholds of half a history would let
//! in people who do not belong there. Once it has come to rest it is published, and again after pauses that double up to
//! `ranks.refresh`, so that what comes last is not left out for long, and what changes all the time costs little.

use std::time::{Duration, Instant as Moment};

use crate::engine::Thresholds;
use crate::rules::RuleSet;
use crate::store::Stage;
use crate::summary::{Counters, Extent};

/// What has not changed much for so long has come to rest.
const REST: Duration = Duration::from_secs(2);
/// After a start it is published again for so long, since much may have changed before it.
const AFTER_START: Duration = Duration::from_secs(60);
/// Between two looks at what is counted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(in crate::lane) struct Pace {
    /// After the next publication, until the one that follows.
    pause: Duration,
    /// None: the next publication is that of the next period.
    due: Option<Moment>,
    /// Until then it changes much.
    calm_from: Moment,
    last_look: Option<Moment>,
    /// What later looks compare with.
    extent: Option<Extent>,
    is_loading: bool,
    /// Publications follow one another up to pauses this long.
    last_pause: Duration,
}

impl Pace {
    /// At a start nothing is known of what came before: it is published again soon, and for a while.
    pub(in crate::lane) fn new(now: Moment) -> Self {
        Self {
            pause: REST,
            due: Some(now + REST),
            calm_from: now,
            last_look: None,
            extent: None,
            is_loading: false,
            last_pause: AFTER_START,
        }
    }

    /// Is it time to look again? `has_news`: something was counted since the last look.
    pub(in crate::lane) fn looks(&self, has_news: bool, is_loading: bool, now: Moment) -> bool {
        let news = has_news || is_loading != self.is_loading;
        self.last_look.is_none_or(|last| news && now >= last + LOOK_EVERY)
    }

    /// Looks at what is counted under these rules and thresholds. `is_loading`: the input was never read to its end.
    pub(in crate::lane) fn look(
        &mut self,
        counters: &Counters,
        (rules, thresholds): (&RuleSet, &Thresholds),
        is_loading: bool,
        now: Moment,
    ) {
        self.last_look = Some(now);
        let extent = Extent::of(counters, rules, thresholds);
        let has_loaded = std::mem::replace(&mut self.is_loading, is_loading) && !is_loading;
        let known = self.extent.take().filter(|known| known.is_under(thresholds));
        let changed_much = known.as_ref().is_some_and(|known| known.differs_much(&extent));
        // Compared with what it was when it last changed much: many small steps make a large one.
        self.extent = known.filter(|_| !changed_much).or(Some(extent));
        if changed_much || has_loaded {
            (self.pause, self.calm_from, self.due) = (REST, now + REST, Some(now + REST));
            self.last_pause = Duration::MAX;
        }
    }

    /// Is it to be published, if anything has changed since it was?
    pub(in crate::lane) fn is_due(&self, now: Moment) -> bool {
        !self.is_loading && self.due.is_some_and(|due| due <= now)
    }

    /// What is said of it when it is published.
    pub(in crate::lane) fn stage(&self, now: Moment) -> Stage {
        match (self.is_loading, now >= self.calm_from) {
            (true, _) => Stage::Loading,
            (false, false) => Stage::Changing,
            (false, true) => Stage::Settled,
        }
    }

    /// It was published. `longest`: between two publications in any case.
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

    use super::{Counters, Pace, Stage};
    use crate::engine::{Standing, Thresholds};
    use crate::event::Number;
    use crate::rules::load;

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: &str = "[cohorts.c]\nwho = 'in the top 5 % by sum(buy.amount)'";

    /// Customers that come at a constant rate, then nobody, with an hour between two periods: by the clock of the test, in
    /// seconds, when it was published and how many were counted.
    fn published(customers: u64, seconds: u64) -> Vec<(u64, u64)> {
        let rules = load("r.toml", RULES).unwrap();
        let thresholds: Thresholds = Arc::from([None]);
        let start = Moment::now();
        let mut pace = Pace::new(start);
        let (mut counters, mut counted, mut changed) = (Counters::new(&rules), 0, false);
        let mut published = Vec::new();
        for second in 1..=seconds + 7_200 {
            let now = start + u32::try_from(second).unwrap() * SECOND;
            while counted < customers && counted * seconds < second * customers {
                counters.rankings[0].add(Standing { value: Number::from_integer(7), hash: counted });
                (counted, changed) = (counted + 1, true);
            }
            if pace.looks(true, false, now) {
                pace.look(&counters, (&rules, &thresholds), false, now);
            }
            if changed && pace.is_due(now) {
                pace.published(3_600 * SECOND, now);
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
        let mut pace = Pace::new(start);
        let look = |pace: &mut Pace, is_loading, second: u32| {
            pace.look(&counters, (&rules, &thresholds), is_loading, start + second * SECOND);
            (pace.stage(start + second * SECOND), pace.is_due(start + second * SECOND))
        };
        assert_eq!(look(&mut pace, true, 0), (Stage::Loading, false));
        assert_eq!(look(&mut pace, true, 500), (Stage::Loading, false));
        assert_eq!(look(&mut pace, false, 501), (Stage::Changing, false), "more may be about to come");
        assert_eq!(look(&mut pace, false, 503), (Stage::Settled, true));
    }
}
