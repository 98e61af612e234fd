//! Facts: bounded summaries of a customer's events, on which rules are evaluated.
//!
//! A fact summarizes the events that match its selector. Up to its capacity it is a function of the *set* of events
//! that it was fed, whatever the order in which they arrived. It knows neither customers nor cohorts, nor when anything
//! is decided: conditions read it.
//!
//! Each kind is one file that holds all of it: its parameters, how an event changes it, what it forgets, how the facts
//! of two customers are merged, its bytes, its definition and its description. A new kind is a new file and a line in
//! `kinds!` below. To be used it also needs a construct in `rules/compile` that creates it, and a test in
//! `engine/conditions` that reads it.

mod answer;
mod calendar_days;
mod capacity;
mod distinct;
mod distinct_all;
mod earliest;
mod extreme;
mod floor;
mod keyed_times;
mod kind;
mod latest;
#[cfg(test)]
mod merge_law;
mod periods;
mod purchase_days;
mod sequence;
mod series;
mod steps;
mod times;
mod total;
mod unanswered;
mod usage_days;
mod values;

pub use answer::{Answer, AnswerPoint, AnswerPoints};
pub use calendar_days::{put_days, read_days, read_sums};
pub use capacity::{Capacities, DISTINCT_MAX, SERIES_EXACT, VALUES_MAX};
pub use distinct::Distinct;
pub use distinct_all::DistinctAll;
pub use earliest::Earliest;
pub use extreme::{Extreme, ExtremeNumber};
pub use floor::Floor;
pub use keyed_times::KeyedTimes;
pub use kind::{A, B, BARRED, Content, Counted, DistinctKey, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, VIA};
pub use latest::Latest;
pub use periods::{Period, PeriodCounts, Periods};
pub use purchase_days::{DailyPurchases, PurchaseDay, PurchaseDays};
pub use sequence::{Keep, ReachedStep, STEPS_MAX, Sequence, SequenceEvents, SequenceProgress};
pub use series::{DayBucket, Series, TimesAndDays};
pub use steps::{Steps, StepsAfter};
pub use total::{CountAndSum, Total};
pub use unanswered::{OpenKey, OpenKeys, Opening, Unanswered};
pub use usage_days::{DailyUsage, UsageDays};
pub use values::{TEXT_MAX, TimedValues, Values, kept_part};

use crate::bytes::{Corrupt, Read, Reader};
use crate::event::{CustomerEvent, Instant, Span};

/// A fact by its index in the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactIx(pub u16);

/// Defines the two enums, and dispatches to each kind's functions.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// The kind of a fact, with its parameters.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum FactKind {
            $($kind($kind),)+
        }

        /// The content of one fact; which variant it is follows from its kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact {
            $($kind(<$kind as Kind>::Content),)+
        }

        $(impl From<$kind> for FactKind {
            fn from(kind: $kind) -> Self {
                Self::$kind(kind)
            }
        })+

        impl Fact {
            /// A fact that no event has fed.
            #[must_use]
            pub fn empty(kind: &FactKind) -> Self {
                match kind {
                    $(FactKind::$kind(_) => Self::$kind(Default::default()),)+
                }
            }

            /// Is it as if no event had ever fed it?
            #[must_use]
            pub fn is_empty(&self) -> bool {
                match self {
                    $(Self::$kind(content) => Content::is_empty(content),)+
                }
            }

            /// Feeds an event that matches some parts of the fact. False: nothing changed.
            pub fn feed(
                &mut self,
                kind: &FactKind,
                event: &CustomerEvent<'_>,
                parts: Parts,
                context: &mut FeedContext<'_>,
            ) -> bool {
                match (self, kind) {
                    $((Self::$kind(content), FactKind::$kind(kind)) => kind.feed(content, event, parts, context),)+
                    _ => unreachable!("a fact's content follows its kind"),
                }
            }

            /// Drops what can no longer matter, where no event before `settled_before` can still arrive or be merged
            /// in. `edge`: first and last time of the fact that the floor names.
            pub fn forget(&mut self, kind: &FactKind, edge: EdgeTimes, settled_before: Instant) {
                match (self, kind) {
                    $((Self::$kind(content), FactKind::$kind(kind)) => kind.forget(content, edge, settled_before),)+
                    _ => unreachable!("a fact's content follows its kind"),
                }
            }

            /// Adds another customer's fact of the same kind: the content is that of both histories together.
            ///
            /// Exact within capacity, for events that neither has settled. An event that both were fed counts twice,
            /// unless the kind keeps times, keys or values once each. `edge`: first and last time, of both customers,
            /// of the fact that the floor names.
            pub fn merge(&mut self, kind: &FactKind, other: Self, edge: EdgeTimes, approximated: &mut u64) {
                match (self, other, kind) {
                    $((Self::$kind(content), Self::$kind(other), FactKind::$kind(kind)) => {
                        kind.merge(content, other, edge, approximated);
                    })+
                    _ => unreachable!("a fact's content follows its kind"),
                }
            }

            /// Adds the fact of the same customer as gathered from the log: events in both count once. May exceed the
            /// capacity: see `trim`.
            pub fn union(&mut self, kind: &FactKind, log: Self) {
                match (self, log, kind) {
                    $((Self::$kind(content), Self::$kind(log), FactKind::$kind(kind)) => kind.union(content, log),)+
                    _ => unreachable!("a fact's content follows its kind"),
                }
            }

            /// Cuts the fact down to the capacity of its kind.
            pub fn trim(&mut self, kind: &FactKind) {
                match (self, kind) {
                    $((Self::$kind(content), FactKind::$kind(kind)) => kind.trim(content),)+
                    _ => unreachable!("a fact's content follows its kind"),
                }
            }

            /// Asks for the memory to which the content points.
            pub fn prefetch(&self) {
                match self {
                    $(Self::$kind(content) => content.prefetch(),)+
                }
            }

            /// Asks for what that points to in turn; it is there by then.
            pub fn prefetch_deeper(&self) {
                match self {
                    $(Self::$kind(content) => content.prefetch_deeper(),)+
                }
            }

            /// Bytes on the heap.
            #[must_use]
            pub fn heap_bytes(&self) -> usize {
                match self {
                    $(Self::$kind(content) => content.heap_bytes(),)+
                }
            }

            /// Entries of its longest list that can be dropped one by one.
            #[must_use]
            pub fn longest(&self) -> usize {
                match self {
                    $(Self::$kind(content) => content.longest(),)+
                }
            }

            /// Drops the older half of its longest list. False: there is nothing left to drop.
            pub fn drop_older_half(&mut self) -> bool {
                let before = self.longest();
                match self {
                    $(Self::$kind(content) => content.drop_older_half(),)+
                }
                self.longest() < before
            }

            /// Appends its bytes. Times are written as distances from `base`.
            pub fn encode(&self, out: &mut Vec<u8>, base: Instant) {
                match self {
                    $(Self::$kind(content) => content.encode(out, base),)+
                }
            }

            /// Reads a fact of a kind in place of this one, whose memory it uses; it has content.
            ///
            /// # Errors
            /// Bytes that `encode` did not write, or not of that kind.
            pub fn read(&mut self, reader: &mut Reader<'_>, kind: &FactKind, base: Instant) -> Read<()> {
                match (&mut *self, kind) {
                    $((Self::$kind(content), FactKind::$kind(kind)) => {
                        content.read(reader, base)?;
                        if kind.is_valid(content) && !content.is_empty() {
                            Ok(())
                        } else {
                            Err(Corrupt("content of a fact"))
                        }
                    })+
                    _ => {
                        *self = Self::empty(kind);
                        self.read(reader, kind, base)
                    }
                }
            }
        }

        impl FactKind {
            /// Widens `self` to serve `other` too, where one fact can do for both.
            pub fn absorb(&mut self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$kind(kind), Self::$kind(other)) => kind.absorb(other),)+
                    _ => false,
                }
            }

            /// Does a fact of this kind hold everything that one of the `wanted` kind would? Both have the same
            /// definition, so only capacities can differ.
            #[must_use]
            pub fn serves(&self, wanted: &Self) -> bool {
                match (self, wanted) {
                    $((Self::$kind(kind), Self::$kind(wanted)) => kind.serves(wanted),)+
                    _ => false,
                }
            }

            /// How far back it reaches, where that is a duration.
            #[must_use]
            pub fn horizon(&self) -> Option<Span> {
                match self {
                    $(Self::$kind(kind) => kind.horizon(),)+
                }
            }

            /// The fact whose first or last time says what this one may forget.
            #[must_use]
            pub fn floor_fact(&self) -> Option<FactIx> {
                match self {
                    $(Self::$kind(kind) => kind.floor_fact(),)+
                }
            }

            /// About how many bytes this fact takes in a stored state after so many events, with texts of `text` bytes.
            #[must_use]
            pub fn bytes(&self, events: usize, text: usize) -> usize {
                match self {
                    $(Self::$kind(kind) => kind.bytes(events, text),)+
                }
            }

            /// The capacity and what is counted, for kinds whose events are counted in a window.
            #[must_use]
            pub fn counts(&self) -> Option<(usize, Counted)> {
                match self {
                    $(Self::$kind(kind) => kind.counts(),)+
                }
            }

            /// Its definition without capacities. Its hash is stored: a change here is a change of the format.
            #[must_use]
            pub fn definition(&self, names: &dyn Names) -> String {
                match self {
                    $(Self::$kind(kind) => kind.definition(names),)+
                }
            }

            /// What is remembered, as one phrase for people.
            #[must_use]
            pub fn describe(&self, words: &dyn Phrases) -> String {
                match self {
                    $(Self::$kind(kind) => kind.describe(words),)+
                }
            }
        }
    };
}

kinds! {
    Answer,
    Distinct,
    DistinctAll,
    Earliest,
    Extreme,
    Latest,
    Periods,
    PurchaseDays,
    Sequence,
    Series,
    Steps,
    Total,
    Unanswered,
    UsageDays,
    Values,
}

impl FactKind {
    /// About the maximum number of bytes that this fact can take in a stored state, as `check` prints it.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes(usize::MAX, TEXT_MAX)
    }
}

impl Fact {
    /// Ascending times, for kinds that hold nothing else.
    #[must_use]
    pub fn times(&self) -> Option<&[Instant]> {
        match self {
            Self::Latest(times) | Self::Earliest(times) => Some(times),
            _ => None,
        }
    }

    /// Times with keys.
    #[must_use]
    pub fn keyed_times(&self) -> Option<&KeyedTimes> {
        match self {
            Self::Distinct(found) | Self::DistinctAll(found) => Some(found),
            _ => None,
        }
    }

    /// The first and last time, for facts whose times are the floor of others.
    #[must_use]
    pub fn edge_times(&self) -> EdgeTimes {
        let times = self.times()?;
        Some((*times.first()?, *times.last()?))
    }
}
