//! Events kept in memory until all are read and can be sorted.
//!
//! An event takes 16 bytes in the index; in the chunks its customer and id as text, about 6 bytes of lengths and numbers,
//! and of its properties only those that the rules use. A purchase with a UUID, an amount and a short customer id takes
//! about 75 bytes, one without an id 45: 10 million events are three quarters of a gigabyte, or half of one. The index
//! may have grown to twice what it holds, which is 16 bytes more.

use rustc_hash::FxHashMap;

use super::budget::Budget;
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::event::{CustomerEvent, Instant, NameId, Number, Properties, PropertyId, Value};

/// The size of a chunk: few are needed, and none is copied to grow.
const CHUNK: usize = 1 << 20;
/// Events between two steps of the progress bar.
const STEP: usize = 4_096;

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const NUMBER: u8 = 2;
const WIDE_NUMBER: u8 = 3;
const TEXT: u8 = 4;

/// Events in the order read.
#[derive(Debug)]
pub(in crate::cli) struct EventBuffer {
    budget: Budget,
    index: Vec<Entry>,
    chunks: Vec<Vec<u8>>,
    names: Names,
    sources: Names,
}

/// Ordered by time, then by place, which grows in the order read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Instant,
    chunk: u32,
    offset: u32,
}

/// Interned names.
#[derive(Debug, Default)]
struct Names {
    known: Vec<(Box<str>, NameId)>,
    numbers: FxHashMap<Box<str>, u64>,
}

impl Names {
    fn number(&mut self, name: &str, id: NameId) -> u64 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.known.len() as u64;
        self.known.push((name.into(), id));
        self.numbers.insert(name.into(), number);
        number
    }
}

impl EventBuffer {
    /// With a memory budget.
    pub(in crate::cli) fn within(budget: Budget) -> Self {
        Self { budget, index: Vec::new(), chunks: Vec::new(), names: Names::default(), sources: Names::default() }
    }

    pub(in crate::cli) fn len(&self) -> usize {
        self.index.len()
    }

    /// Keeps a copy.
    ///
    /// # Errors
    /// There is no memory left for it.
    pub(in crate::cli) fn push(&mut self, event: &CustomerEvent<'_>) -> Result<(), Stopped> {
        if self.index.len() == self.index.capacity() {
            // Growing copies it.
            self.allows(self.index.capacity() * size_of::<Entry>())?;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            self.allows(CHUNK)?;
            self.chunks.push(Vec::with_capacity(CHUNK + CHUNK / 64));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let narrow = |number: usize| u32::try_from(number).expect("neither chunks nor their bytes reach 2^32");
        self.index.push(Entry { at: event.at, chunk: narrow(number), offset: narrow(chunk.len()) });
        put_text(chunk, event.customer);
        put(chunk, self.names.number(event.name, event.name_id));
        put(chunk, event.source.map_or(0, |source| 1 + self.sources.number(source, NameId::OTHER)));
        match event.id {
            Some(id) => {
                chunk.push(TRUE);
                put_text(chunk, id);
            }
            None => {
                chunk.push(FALSE);
                chunk.extend_from_slice(&event.record_hash.to_le_bytes());
            }
        }
        put(chunk, u64::from(event.unusable_values));
        put(chunk, event.properties.len() as u64);
        for (property, value) in event.properties {
            put(chunk, u64::from(property.0));
            put_value(chunk, *value);
        }
        Ok(())
    }

    fn allows(&self, coming: usize) -> Result<(), Stopped> {
        let held = self.index.capacity() * size_of::<Entry>() + self.chunks.len() * CHUNK;
        Ok(self.budget.allows(coming, held, self.index.len())?)
    }

    /// Passes all events to `take`, by time; those of one instant in the order read.
    ///
    /// # Errors
    /// The first of `take`; or there is no memory left for what follows from the events.
    pub(in crate::cli) fn for_each_by_time(
        mut self,
        progress: &Progress,
        mut take: impl FnMut(&CustomerEvent<'_>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        self.index.sort_unstable();
        for step in self.index.chunks(STEP) {
            self.allows(0)?;
            for entry in step {
                let mut properties = Properties::new();
                take(&self.event(*entry, &mut properties))?;
            }
            progress.advance(step.len());
        }
        Ok(())
    }

    fn event<'a>(&'a self, entry: Entry, properties: &'a mut Properties<'a>) -> CustomerEvent<'a> {
        let mut rest = Bytes(&self.chunks[entry.chunk as usize][entry.offset as usize..]);
        let customer = rest.text();
        let (name, name_id) = &self.names.known[rest.index()];
        let source = rest.index().checked_sub(1).map(|source| &*self.sources.known[source].0);
        let (id, record_hash) = match rest.byte() {
            TRUE => (Some(rest.text()), 0),
            _ => (None, u64::from_le_bytes(rest.array())),
        };
        let unusable_values = u32::try_from(rest.number()).unwrap_or(u32::MAX);
        for _ in 0..rest.number() {
            let property = PropertyId(u16::try_from(rest.number()).expect("a property's number was written"));
            properties.push((property, rest.value()));
        }
        CustomerEvent {
            customer,
            name,
            name_id: *name_id,
            at: entry.at,
            id,
            source,
            record_hash,
            unusable_values,
            properties,
        }
    }
}

/// Seven bits a byte, the lowest first; the last has its high bit clear.
fn put(chunk: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        chunk.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    chunk.push(number.to_le_bytes()[0]);
}

fn put_text(chunk: &mut Vec<u8>, text: &str) {
    put(chunk, text.len() as u64);
    chunk.extend_from_slice(text.as_bytes());
}

fn put_value(chunk: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Bool(flag) => chunk.push(if flag { TRUE } else { FALSE }),
        Value::Text(text) => {
            chunk.push(TEXT);
            put_text(chunk, text);
        }
        Value::Number(number) => match i64::try_from(number.0) {
            Ok(narrow) => {
                chunk.push(NUMBER);
                // The sign is the last bit, so that small numbers of either sign are short.
                put(chunk, ((narrow << 1) ^ (narrow >> 63)).cast_unsigned());
            }
            Err(_) => {
                chunk.push(WIDE_NUMBER);
                chunk.extend_from_slice(&number.0.to_le_bytes());
            }
        },
    }
}

/// The rest of a chunk. Reads only what `push` wrote.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().expect("as many bytes were taken")
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn index(&mut self) -> usize {
        usize::try_from(self.number()).expect("it was an index")
    }

    fn text(&mut self) -> &'a str {
        let length = self.index();
        std::str::from_utf8(self.take(length)).expect("it was text")
    }

    fn value(&mut self) -> Value<'a> {
        match self.byte() {
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            NUMBER => {
                let signed = self.number();
                Value::Number(Number(i128::from((signed >> 1).cast_signed() ^ -(signed & 1).cast_signed())))
            }
            WIDE_NUMBER => Value::Number(Number(i128::from_le_bytes(self.array()))),
            _ => Value::Text(self.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, EventBuffer, Progress};
    use crate::event::{CustomerEvent, Instant, NameId, Number, PropertyId, Value};
    use crate::settings::Memory;

    #[test]
    fn events_come_back_as_they_were_by_time_and_in_the_order_read() {
        let values = [
            Value::Bool(true),
            Value::Bool(false),
            Value::Number(Number(12_500_000)),
            Value::Number(Number(-1)),
            Value::Number(Number(-(1 << 82))),
            Value::Text("bleu ciel"),
        ];
        let properties: Vec<_> = values.into_iter().zip(0..).map(|(value, id)| (PropertyId(id * 100), value)).collect();
        let event = |at, customer, id| CustomerEvent {
            customer,
            name: "purchase",
            name_id: NameId(3),
            at: Instant(at),
            id,
            source: id.map(|_| "purchase"),
            record_hash: if id.is_some() { 0 } else { u64::MAX },
            unusable_values: 300,
            properties: &properties,
        };
        let read = [event(9, "b", Some("e1")), event(-5, "c", None), event(9, "a", None)];
        let mut held = EventBuffer::within(Budget::of(Memory { limit: u64::MAX, is_default: false }));
        read.iter().for_each(|event| held.push(event).unwrap());
        let mut back = Vec::new();
        held.for_each_by_time(&Progress::hidden(), |event| {
            back.push(format!("{event:?}"));
            Ok(())
        })
        .unwrap();
        assert_eq!(back, [1, 0, 2].map(|place| format!("{:?}", read[place])));
    }
}
