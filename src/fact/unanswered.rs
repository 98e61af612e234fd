//! Events that no answer has followed yet: `A then no B within D`.

use std::collections::BTreeMap;

use super::floor::reaches;
use super::kind::{Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, halve, key_of, optional, per};
use super::{A, B};
use crate::bytes::{Read, Reader, put_instant, put_len};
use crate::event::{CustomerEvent, Instant, PropertyId, Span};
use crate::prefetch::prefetch_ends;

/// The A's that no B has answered, for each value of the key, or for all events where `key` is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    pub key: Option<PropertyId>,
    /// Does each A count, or only the latest?
    pub each: bool,
    pub keys_max: usize,
    pub each_max: usize,
    pub horizon: Option<Span>,
}

/// Ascending by key.
pub type OpenKeys = Vec<OpenKey>;

/// The unanswered events of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenKey {
    /// Hash of the key's value; 0 where the rule names no key.
    pub key: u64,
    /// The latest B; `MIN` before the first.
    pub b_at: Instant,
    /// How many B's at that instant; counted up to 2.
    pub b_count: u8,
    /// A's at or after the latest B, ascending; only the latest where the rule needs no other.
    pub a: Vec<Opening>,
}

/// The A's at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    pub at: Instant,
    /// At least one of them is not a B as well.
    pub plain: bool,
    /// At least one of them is also a B.
    pub also_b: bool,
}

impl OpenKey {
    fn new(key: u64) -> Self {
        Self { key, b_at: Instant::MIN, b_count: 0, a: Vec::new() }
    }

    /// The A's that no other B has answered. An A at the instant of the latest B is open only if it is that B itself.
    pub fn open(&self) -> impl Iterator<Item = Instant> + '_ {
        let open = |opening: &&Opening| {
            opening.at > self.b_at || (opening.at == self.b_at && opening.also_b && self.b_count == 1)
        };
        self.a.iter().filter(open).map(|opening| opening.at)
    }

    fn answer(&mut self, at: Instant, count: u8) {
        if at > self.b_at {
            (self.b_at, self.b_count) = (at, count);
        } else if at == self.b_at {
            self.b_count = (self.b_count + count).min(2);
        }
    }

    fn add(&mut self, added: Opening) {
        let index = self.a.partition_point(|opening| opening.at < added.at);
        match self.a.get_mut(index).filter(|opening| opening.at == added.at) {
            None => self.a.insert(index, added),
            Some(opening) => {
                opening.plain |= added.plain;
                opening.also_b |= added.also_b;
            }
        }
    }

    /// A's before the latest B stay answered, as the latest B only gets later.
    fn drop_answered(&mut self, kind: &Unanswered) {
        let answered = self.a.partition_point(|opening| opening.at < self.b_at);
        let superseded = if kind.each { 0 } else { self.a.len().saturating_sub(1) };
        self.a.drain(..answered.max(superseded));
    }

    /// The time of the latest event of this key that is still held.
    fn latest(&self) -> Instant {
        self.a.last().map_or(self.b_at, |opening| opening.at.max(self.b_at))
    }
}

impl Unanswered {
    /// Over capacity drops the oldest: whole keys first, then A's.
    fn cap(&self, keys: &mut OpenKeys, approximated: &mut u64) {
        while keys.len() > self.keys_max {
            let oldest = keys.iter().enumerate().min_by_key(|(_, key)| (key.latest(), key.key)).map_or(0, |(i, _)| i);
            keys.remove(oldest);
            *approximated += 1;
        }
        while keys.iter().map(|key| key.a.len()).sum::<usize>() > self.each_max {
            let first = |key: &OpenKey| (key.a.first().map_or(Instant::MAX, |opening| opening.at), key.key);
            let Some(key) = keys.iter_mut().min_by_key(|key| first(key)) else { return };
            key.a.remove(0);
            *approximated += 1;
        }
    }
}

impl Kind for Unanswered {
    type Content = OpenKeys;

    fn feed(
        &self,
        keys: &mut OpenKeys,
        event: &CustomerEvent<'_>,
        parts: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let Some(key) = key_of(self.key, event) else { return false };
        let index = keys.partition_point(|open| open.key < key);
        if keys.get(index).is_none_or(|open| open.key != key) {
            keys.insert(index, OpenKey::new(key));
        }
        let (open, also_b) = (&mut keys[index], parts & B != 0);
        if also_b {
            open.answer(event.at, 1);
        }
        if parts & A != 0 {
            open.add(Opening { at: event.at, plain: !also_b, also_b });
        }
        open.drop_answered(self);
        self.cap(keys, context.approximated);
        true
    }

    fn forget(&self, keys: &mut OpenKeys, _: EdgeTimes, settled_before: Instant) {
        if let Some(horizon) = self.horizon {
            let oldest = settled_before - horizon;
            keys.iter_mut().for_each(|key| key.a.retain(|opening| opening.at >= oldest));
        }
        // A B is still needed for A's that may arrive at or before it.
        keys.retain(|key| !key.a.is_empty() || key.b_at >= settled_before);
    }

    fn merge(&self, keys: &mut OpenKeys, other: OpenKeys, _: EdgeTimes, approximated: &mut u64) {
        for added in other {
            let index = keys.partition_point(|open| open.key < added.key);
            if keys.get(index).is_none_or(|open| open.key != added.key) {
                keys.insert(index, OpenKey::new(added.key));
            }
            let open = &mut keys[index];
            open.answer(added.b_at, added.b_count);
            added.a.into_iter().for_each(|opening| open.add(opening));
            open.drop_answered(self);
        }
        self.cap(keys, approximated);
    }

    /// A B of either side answers the A's before it in both.
    fn union(&self, keys: &mut OpenKeys, log: OpenKeys) {
        let mut all: BTreeMap<u64, OpenKey> = std::mem::take(keys).into_iter().map(|open| (open.key, open)).collect();
        for from_log in log {
            let open = all.entry(from_log.key).or_insert_with(|| OpenKey::new(from_log.key));
            if from_log.b_at == open.b_at {
                open.b_count = open.b_count.max(from_log.b_count);
            } else {
                open.answer(from_log.b_at, from_log.b_count);
            }
            from_log.a.into_iter().for_each(|opening| open.add(opening));
            open.drop_answered(self);
        }
        keys.extend(all.into_values());
    }

    fn trim(&self, keys: &mut OpenKeys) {
        self.cap(keys, &mut 0);
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.keys_max >= wanted.keys_max && self.each_max >= wanted.each_max && reaches(self.horizon, wanted.horizon)
    }

    fn horizon(&self) -> Option<Span> {
        self.horizon
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        let (keys, each) = (self.keys_max.min(events), self.each_max.min(events));
        match (self.key, self.each) {
            (None, false) => 16,
            (None, true) => each * 7,
            (Some(_), false) => keys * 24,
            (Some(_), true) => keys * 24 + each * 7,
        }
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("followed {} {}", optional(self.key, names), self.each)
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let which = match self.each {
            true => format!("the latest {} times of", self.each_max),
            false => "when last".to_owned(),
        };
        let per = per(self.key, self.keys_max, words);
        format!("{which} {} without {} after it{per}", words.events(A), words.events(B))
    }
}

impl Content for OpenKeys {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<OpenKey>()
            + self.iter().map(|key| key.a.capacity() * size_of::<Opening>()).sum::<usize>()
    }

    fn prefetch(&self) {
        prefetch_ends(self);
    }

    fn longest(&self) -> usize {
        self.len().max(self.iter().map(|key| key.a.len()).max().unwrap_or(0))
    }

    fn drop_older_half(&mut self) {
        let mut times: Vec<_> = self.iter().map(|key| (key.latest(), key.key)).collect();
        times.sort_unstable();
        let from = times.get(times.len() / 2).copied();
        self.retain(|key| from.is_none_or(|from| (key.latest(), key.key) >= from));
        self.iter_mut().for_each(|key| halve(&mut key.a));
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        put_len(out, self.len());
        for open in self {
            out.extend_from_slice(&open.key.to_le_bytes());
            out.push(open.b_count);
            if open.b_count > 0 {
                put_instant(out, open.b_at, base);
            }
            put_len(out, open.a.len());
            for opening in &open.a {
                put_instant(out, opening.at, base);
                out.push(u8::from(opening.plain) | u8::from(opening.also_b) << 1);
            }
        }
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        let count = reader.len("open keys")?;
        self.truncate(count);
        for index in 0..count {
            if index == self.len() {
                self.push(OpenKey::new(0));
            }
            let open = &mut self[index];
            open.key = u64::from_le_bytes(reader.array("open key")?);
            open.b_count = reader.u8("open key")?;
            open.b_at = if open.b_count > 0 { reader.instant(base, "open key")? } else { Instant::MIN };
            open.a.clear();
            for _ in 0..reader.len("openings")? {
                let at = reader.instant(base, "opening")?;
                let flags = reader.u8("opening")?;
                open.a.push(Opening { at, plain: flags & 1 != 0, also_b: flags & 2 != 0 });
            }
        }
        Ok(())
    }
}
