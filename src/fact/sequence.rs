//! Sequences: the progress of `A then B within D ...`, whatever the order in which its events arrived.
//!
//! Of all partial matches up to a step, the latest is the best one: any continuation of an earlier match also continues
//! it, and less lies between. So events that no late event can affect any more are reduced, without loss, to one time
//! for each step and the times at which the sequence was completed. Only events younger than the allowed lateness are
//! kept individually.

use super::FactIx;
use super::floor::Floor;
use super::kind::{BARRED, Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, halve, key_of, optional, per};
use super::times::{put_times, read_times};
use crate::bytes::{Corrupt, Read, Reader, put_instant, put_len, put_u64};
use crate::event::{CustomerEvent, Instant, PropertyId, Span};
use crate::prefetch::prefetch_ends;

/// Maximum number of steps in a sequence, so that the steps that an event matches fit in the bits of one byte.
pub const STEPS_MAX: usize = 8;

/// A sequence, matched separately for each value of the key: `within[i]` is the time allowed from step `i` to the next
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    pub within: Vec<Span>,
    pub key: Option<PropertyId>,
    pub keep: Keep,
    pub keys_max: usize,
    pub events_max: usize,
}

/// Which times at which the sequence was completed are kept, of those that no late event can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Latest,
    Earliest,
    /// Those of the last `far` whose neighbours are more than `band` apart: any window of that length that contains
    /// another one also contains one of these.
    Spread {
        far: Span,
        band: Span,
    },
    /// The earliest within the span after the first time of that fact.
    WithinFirst(FactIx, Span),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SequenceProgress {
    /// Events not yet settled, ascending by `(key, at, parts)`.
    pub events: Vec<SequenceEvents>,
    /// The partial matches of settled events, ascending by `(key, step)`, where another step can still follow.
    pub reached: Vec<ReachedStep>,
    /// When settled events completed the sequence, ascending, as far as `Keep` says.
    pub completed: Vec<Instant>,
}

/// Events of one instant that match the same steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceEvents {
    /// Hash of the key's value; 0 where the rule names no key.
    pub key: u64,
    pub at: Instant,
    /// A bit for each step that they match; `BARRED` if they must not lie between two steps.
    pub parts: Parts,
    /// How many; counted up to the number of steps that they match.
    pub count: u8,
}

/// The latest partial match of a sequence up to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReachedStep {
    pub key: u64,
    pub step: u8,
    pub at: Instant,
}

/// The parameters of a sequence that matching and settling need.
#[derive(Clone, Copy)]
struct MatchParameters<'a> {
    within: &'a [Span],
    keep: Keep,
    /// First and last time of the fact that `keep` names.
    edge: EdgeTimes,
}

impl Keep {
    /// How many times may be kept.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Spread { far, band } => usize::try_from(far.0 / band.0.max(1)).map_or(usize::MAX, |n| n * 2 + 3),
            Self::Latest | Self::Earliest | Self::WithinFirst(..) => 1,
        }
    }

    fn definition(self, names: &dyn Names) -> String {
        match self {
            Self::Latest => "latest".to_owned(),
            Self::Earliest => "earliest".to_owned(),
            Self::Spread { far, band } => format!("{} in {}", band.0, far.0),
            Self::WithinFirst(fact, span) => Floor::WithinFirst(fact, span).definition(names),
        }
    }
}

impl Sequence {
    fn match_parameters(&self, edge: EdgeTimes) -> MatchParameters<'_> {
        MatchParameters { within: &self.within, keep: self.keep, edge }
    }

    /// The times at which the sequence was completed, as far as they can matter, in no order.
    pub fn completions(&self, progress: &SequenceProgress, mut found: impl FnMut(Instant)) {
        progress.completed.iter().for_each(|at| found(*at));
        for of_key in progress.events.chunk_by(|a, b| a.key == b.key) {
            let mut matcher = Matcher::from(&progress.reached, of_key[0].key);
            for instant in of_key.chunk_by(|a, b| a.at == b.at) {
                if matcher.take(instant, &self.within) {
                    found(instant[0].at);
                }
            }
        }
    }

    /// `a, then b within 2 days, without c between`
    fn describe_steps(&self, words: &dyn Phrases) -> String {
        let next =
            |(step, span): (usize, &Span)| format!("then {} within {}", words.events(2 << step), words.length(*span));
        let barred = Some(words.events(BARRED)).filter(|barred| !barred.is_empty());
        let barred = barred.map(|barred| format!("without {barred} between"));
        let first = std::iter::once(words.events(1));
        first.chain(self.within.iter().enumerate().map(next)).chain(barred).collect::<Vec<_>>().join(", ")
    }
}

impl Kind for Sequence {
    type Content = Box<SequenceProgress>;

    fn feed(
        &self,
        progress: &mut Box<SequenceProgress>,
        event: &CustomerEvent<'_>,
        parts: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let Some(key) = key_of(self.key, event) else { return false };
        let changed = progress.add(SequenceEvents { key, at: event.at, parts, count: 1 });
        if changed {
            progress.cap_events(self, context.edge, context.approximated);
            progress.cap_keys(key, self.keys_max, context.approximated);
        }
        changed
    }

    /// Settles events older than any that can still arrive, and drops what can no longer matter.
    fn forget(&self, progress: &mut Box<SequenceProgress>, edge: EdgeTimes, settled_before: Instant) {
        progress.settle(settled_before, self.match_parameters(edge));
        progress.reached.retain(|reached| reached.at + self.within[usize::from(reached.step)] >= settled_before);
        if let Keep::Spread { far, .. } = self.keep {
            let over = progress.completed.partition_point(|at| *at <= settled_before - far);
            progress.completed.drain(..over);
        }
    }

    /// Settled events of one customer are not matched with those of the other.
    fn merge(
        &self,
        progress: &mut Box<SequenceProgress>,
        other: Box<SequenceProgress>,
        edge: EdgeTimes,
        approximated: &mut u64,
    ) {
        for reached in other.reached {
            let index = progress.reached.partition_point(|known| (known.key, known.step) < (reached.key, reached.step));
            match progress.reached.get_mut(index).filter(|at| (at.key, at.step) == (reached.key, reached.step)) {
                None => progress.reached.insert(index, reached),
                Some(known) => known.at = known.at.max(reached.at),
            }
        }
        for at in other.completed {
            insert_completion(&mut progress.completed, at, self.match_parameters(edge));
        }
        for events in other.events {
            if progress.add(events) {
                progress.cap_events(self, edge, approximated);
                progress.cap_keys(events.key, self.keys_max, approximated);
            }
        }
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.keys_max >= wanted.keys_max && self.events_max >= wanted.events_max
    }

    fn floor_fact(&self) -> Option<FactIx> {
        match self.keep {
            Keep::WithinFirst(fact, _) => Some(fact),
            Keep::Latest | Keep::Earliest | Keep::Spread { .. } => None,
        }
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        // An event has its time, parts and count; a partial match a step and a time; both have a key.
        let (keys, key) = if self.key.is_some() { (self.keys_max.min(events), 8) } else { (1, 0) };
        let (held, complete) = (self.events_max.min(events), self.keep.most().min(events));
        4 + held * (9 + key) + keys * self.within.len() * (7 + key) + complete * 6
    }

    fn definition(&self, names: &dyn Names) -> String {
        let within: Vec<String> = self.within.iter().map(|span| span.0.to_string()).collect();
        format!("chain {} [{}] {}", optional(self.key, names), within.join(" "), self.keep.definition(names))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let (per, events_max) = (per(self.key, self.keys_max, words), self.events_max);
        let when = match self.keep {
            Keep::Latest => "when it was last complete".to_owned(),
            Keep::Earliest | Keep::WithinFirst(..) => "when it was first complete".to_owned(),
            Keep::Spread { .. } => format!("{} times at which it was complete", self.keep.most()),
        };
        let steps = self.describe_steps(words);
        format!("how far {steps} has come{per}, the latest {events_max} events one by one, and {when}")
    }
}

impl SequenceProgress {
    /// False: there are already as many like it at that instant as could ever be used.
    fn add(&mut self, added: SequenceEvents) -> bool {
        let most = u8::try_from((added.parts & !BARRED).count_ones().max(1)).unwrap_or(u8::MAX);
        let order = |events: &SequenceEvents| (events.key, events.at, events.parts);
        let index = self.events.partition_point(|events| order(events) < order(&added));
        match self.events.get_mut(index).filter(|events| order(events) == order(&added)) {
            Some(events) if events.count >= most => return false,
            Some(events) => events.count = (events.count + added.count).min(most),
            None => self.events.insert(index, added),
        }
        true
    }

    /// Over capacity the oldest events are settled early.
    fn cap_events(&mut self, kind: &Sequence, edge: EdgeTimes, approximated: &mut u64) {
        while self.events.len() > kind.events_max {
            let Some(oldest) = self.events.iter().map(|events| events.at).min() else { return };
            self.settle(oldest.next(), kind.match_parameters(edge));
            *approximated += 1;
        }
    }

    /// After an event of a key: over capacity drops the least recently active keys.
    fn cap_keys(&mut self, key: u64, keys_max: usize, approximated: &mut u64) {
        // Only an event that is alone with its key can have added one.
        let alone = self.events.iter().filter(|events| events.key == key).take(2).count() == 1;
        if !alone || self.reached.iter().any(|reached| reached.key == key) {
            return;
        }
        while self.keys() > keys_max {
            let Some(oldest) = self.oldest_key() else { return };
            self.events.retain(|events| events.key != oldest);
            self.reached.retain(|reached| reached.key != oldest);
            *approximated += 1;
        }
    }

    fn keys(&self) -> usize {
        let (mut events, mut reached) = (self.events.as_slice(), self.reached.as_slice());
        let mut count = 0;
        while let Some(key) =
            events.first().map(|events| events.key).into_iter().chain(reached.first().map(|reached| reached.key)).min()
        {
            events = &events[events.partition_point(|events| events.key == key)..];
            reached = &reached[reached.partition_point(|reached| reached.key == key)..];
            count += 1;
        }
        count
    }

    fn oldest_key(&self) -> Option<u64> {
        let latest = |key: u64| {
            let events = self.events.iter().filter(|events| events.key == key).map(|events| events.at);
            let reached = self.reached.iter().filter(|reached| reached.key == key).map(|reached| reached.at);
            events.chain(reached).max()
        };
        let keys = self.events.iter().map(|events| events.key).chain(self.reached.iter().map(|reached| reached.key));
        keys.min_by_key(|key| (latest(*key), *key))
    }

    /// Reduces the events before an instant to partial matches and completions.
    fn settle(&mut self, before: Instant, match_parameters: MatchParameters<'_>) {
        if self.events.iter().all(|events| events.at >= before) {
            return;
        }
        for of_key in self.events.chunk_by(|a, b| a.key == b.key) {
            let settled = &of_key[..of_key.partition_point(|events| events.at < before)];
            let Some(SequenceEvents { key, .. }) = settled.first().copied() else { continue };
            let mut matcher = Matcher::from(&self.reached, key);
            for instant in settled.chunk_by(|a, b| a.at == b.at) {
                if matcher.take(instant, match_parameters.within) {
                    insert_completion(&mut self.completed, instant[0].at, match_parameters);
                }
            }
            matcher.store(&mut self.reached, key, match_parameters.within.len());
        }
        self.events.retain(|events| events.at >= before);
    }
}

/// The matching state of one key at an instant that moves forward: for each step but the last, when it was last
/// reached; `MIN`: never, or nothing can follow any more.
struct Matcher([Instant; STEPS_MAX - 1]);

impl Matcher {
    fn from(reached: &[ReachedStep], key: u64) -> Self {
        let mut matcher = Self([Instant::MIN; STEPS_MAX - 1]);
        let start = reached.partition_point(|reached| reached.key < key);
        for reached in reached[start..].iter().take_while(|reached| reached.key == key) {
            matcher.0[usize::from(reached.step)] = reached.at;
        }
        matcher
    }

    /// Stores the partial matches.
    fn store(&self, reached: &mut Vec<ReachedStep>, key: u64, steps: usize) {
        let start = reached.partition_point(|reached| reached.key < key);
        let end = start + reached[start..].partition_point(|reached| reached.key == key);
        let found = (0_u8..).zip(&self.0[..steps]).filter(|(_, at)| **at > Instant::MIN);
        reached.splice(start..end, found.map(|(step, at)| ReachedStep { key, step, at: *at }));
    }

    /// Matches the events of the next instant. True: they complete the sequence.
    fn take(&mut self, instant: &[SequenceEvents], within: &[Span]) -> bool {
        let at = instant[0].at;
        let last = within.len();
        let mut here = 0_u16;
        for first in 0..=last {
            if first > 0 && !self.can_advance(first - 1, at, within) {
                continue;
            }
            // Several steps may be matched at one instant, each by a different event.
            let mut steps = 0_u16;
            for step in first..=last {
                steps |= 1 << step;
                if !have_events(instant, steps) {
                    break;
                }
                here |= 1 << step;
            }
        }
        if instant.iter().any(|events| events.parts & BARRED != 0) {
            self.0.iter_mut().filter(|reached| **reached < at).for_each(|reached| *reached = Instant::MIN);
        }
        for (step, reached) in self.0[..last].iter_mut().enumerate() {
            if here & (1 << step) != 0 {
                *reached = at;
            }
        }
        here & (1 << last) != 0
    }

    /// Can the step after this one be matched at `at`?
    fn can_advance(&self, step: usize, at: Instant, within: &[Span]) -> bool {
        let reached = self.0[step];
        reached > Instant::MIN && reached <= at && at <= reached + within[step]
    }
}

/// Can each of the steps be matched by a different event? By Hall's condition this holds if every subset of the steps
/// is matched by at least as many events.
fn have_events(instant: &[SequenceEvents], steps: u16) -> bool {
    let mut part = steps;
    while part != 0 {
        let able: u32 =
            instant.iter().filter(|events| events.parts & part != 0).map(|events| u32::from(events.count)).sum();
        if able < part.count_ones() {
            return false;
        }
        part = (part - 1) & steps;
    }
    true
}

/// Adds a completion if it can matter, and drops those that no longer do.
fn insert_completion(done: &mut Vec<Instant>, at: Instant, match_parameters: MatchParameters<'_>) {
    let wanted = match match_parameters.keep {
        Keep::Latest => done.first().is_none_or(|known| at > *known),
        Keep::Earliest => done.first().is_none_or(|known| at < *known),
        Keep::WithinFirst(_, span) => {
            let inside = match_parameters.edge.is_some_and(|(first, _)| first <= at && at <= first + span);
            inside && done.first().is_none_or(|known| at < *known)
        }
        Keep::Spread { band, .. } => return insert_spread(done, at, band),
    };
    if wanted {
        done.clear();
        done.push(at);
    }
}

/// A time is dropped if its neighbours are no further apart than the band, since a window that contains it also
/// contains one of them.
fn insert_spread(done: &mut Vec<Instant>, at: Instant, band: Span) {
    let index = done.partition_point(|known| *known < at);
    if done.get(index) == Some(&at) {
        return;
    }
    done.insert(index, at);
    for middle in [index + 1, index, index.wrapping_sub(1)] {
        let between = middle.checked_sub(1).and_then(|before| done.get(before)).zip(done.get(middle.wrapping_add(1)));
        if between.is_some_and(|(before, after)| after.since(*before) <= band) {
            done.remove(middle);
        }
    }
}

impl Content for SequenceProgress {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.reached.is_empty() && self.completed.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.events.capacity() * size_of::<SequenceEvents>()
            + self.reached.capacity() * size_of::<ReachedStep>()
            + self.completed.capacity() * size_of::<Instant>()
    }

    fn prefetch(&self) {
        prefetch_ends(&self.events);
        prefetch_ends(&self.reached);
    }

    fn longest(&self) -> usize {
        self.events.len().max(self.reached.len()).max(self.completed.len())
    }

    fn drop_older_half(&mut self) {
        let mut times: Vec<_> = self.events.iter().map(|events| events.at).collect();
        times.sort_unstable();
        if let Some(from) = times.get(times.len() / 2).copied() {
            self.events.retain(|events| events.at > from);
        }
        halve(&mut self.reached);
        halve(&mut self.completed);
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_len(out, self.events.len());
        let (mut key, mut at) = (0, base);
        for events in &self.events {
            put_key(out, events.key, &mut key);
            put_instant(out, events.at, at);
            put_u64(out, u64::from(events.parts));
            out.push(events.count);
            at = events.at;
        }
        put_len(out, self.reached.len());
        key = 0;
        for reached in &self.reached {
            put_key(out, reached.key, &mut key);
            out.push(reached.step);
            put_instant(out, reached.at, base);
        }
        put_times(out, &self.completed, base);
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        self.events.clear();
        self.reached.clear();
        let (mut key, mut at) = (0, base);
        for _ in 0..reader.len("events")? {
            let key = read_key(reader, &mut key)?;
            at = reader.instant(at, "event")?;
            let parts = Parts::try_from(reader.u32("event")?).map_err(|_| Corrupt("event"))?;
            self.events.push(SequenceEvents { key, at, parts, count: reader.u8("event")? });
        }
        key = 0;
        for _ in 0..reader.len("steps")? {
            let key = read_key(reader, &mut key)?;
            let step = reader.u8("step")?;
            if usize::from(step) >= STEPS_MAX - 1 {
                return Err(Corrupt("step"));
            }
            self.reached.push(ReachedStep { key, step, at: reader.instant(base, "step")? });
        }
        read_times(&mut self.completed, reader, base)
    }
}

/// Keys mostly repeat, and rules mostly have none, so a key is written only where it differs from the last one.
fn put_key(out: &mut Vec<u8>, key: u64, last: &mut u64) {
    out.push(u8::from(key != *last));
    if key != *last {
        out.extend_from_slice(&key.to_le_bytes());
        *last = key;
    }
}

fn read_key(reader: &mut Reader<'_>, last: &mut u64) -> Read<u64> {
    if reader.u8("key")? != 0 {
        *last = u64::from_le_bytes(reader.array("key")?);
    }
    Ok(*last)
}

#[cfg(test)]
mod tests;
