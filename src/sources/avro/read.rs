//! Reads one record by the program of its writer's schema.
//!
//! Every step of every loop takes at least a byte, except over elements without bytes, of which no more than the limit of
//! `each` are looked at: so the time to read a record is bounded by its length and by the number of paths.

use std::fmt::Write as _;

use super::compile::{Decode, Entries, Items, KeyedItems, Meaning, Op, Program, Step};
use crate::codec::{Cursor, MAX_DEPTH, SkipId, Undecodable};
use crate::sources::decimal::Decimal;
use crate::sources::field::{Field, Kind};
use crate::sources::path::ELEMENTS_MAX;
use crate::sources::slots::Slots;
use crate::sources::tree::{Seen, Tree};

impl Program {
    /// Reads a record, all of its bytes. Returns the place of its name in [`names`](Self::names).
    ///
    /// # Errors
    /// When the bytes are not exactly one record of the schema.
    pub(in crate::sources) fn read<'a>(
        &'a self,
        tree: &Tree,
        datum: &'a [u8],
        slots: &mut Slots<'a>,
    ) -> Result<usize, Undecodable> {
        let mut cursor = Cursor::new(datum);
        let mut reading = Reading { program: self, tree, slots };
        let name = match &self.root.op {
            Op::Union(branches) => {
                let branch = cursor.branch(branches.len())?;
                reading.step(&mut cursor, &branches[branch])?;
                branch
            }
            _ => {
                reading.step(&mut cursor, &self.root)?;
                0
            }
        };
        if cursor.rest().is_empty() { Ok(name) } else { Err(Undecodable::Trailing) }
    }

    /// How many of these bytes are the first record.
    ///
    /// # Errors
    /// When they do not begin with one.
    pub(in crate::sources) fn length(&self, bytes: &[u8]) -> Result<usize, Undecodable> {
        let mut cursor = Cursor::new(bytes);
        self.skips.pass(&mut cursor, self.whole, MAX_DEPTH)?;
        Ok(bytes.len() - cursor.rest().len())
    }
}

struct Reading<'r, 'a> {
    program: &'a Program,
    tree: &'r Tree,
    slots: &'r mut Slots<'a>,
}

impl<'a> Reading<'_, 'a> {
    fn step(&mut self, cursor: &mut Cursor<'a>, step: &'a Step) -> Result<(), Undecodable> {
        let field = match &step.op {
            Op::Nothing => return Ok(()),
            Op::Pass(skip, kind) => {
                self.pass(cursor, *skip)?;
                Field::Other(*kind)
            }
            Op::PassAll(skips) => return self.program.skips.pass_all(cursor, skips, MAX_DEPTH),
            Op::Scalar(decode) => self.scalar(cursor, decode)?,
            Op::Several(steps) => {
                let start = *cursor;
                for step in steps {
                    *cursor = self.ahead(start, step)?;
                }
                return Ok(());
            }
            Op::Record(steps) => {
                for step in steps {
                    self.step(cursor, step)?;
                }
                Field::Other(Kind::Record)
            }
            Op::Union(branches) => {
                let branch = &branches[cursor.branch(branches.len())?];
                return self.step(cursor, branch);
            }
            Op::List(items) => match self.list(cursor, items)? {
                Some(values) => Field::List(values),
                None => Field::Other(Kind::List),
            },
            Op::Map(entries) => {
                self.map(cursor, entries)?;
                Field::Other(Kind::Record)
            }
        };
        if let Some(slot) = step.slot {
            self.slots.set(slot, field);
        }
        Ok(())
    }

    fn pass(&self, cursor: &mut Cursor<'a>, skip: SkipId) -> Result<(), Undecodable> {
        self.program.skips.pass(cursor, skip, MAX_DEPTH)
    }

    fn list(&mut self, cursor: &mut Cursor<'a>, items: &'a Items) -> Result<Option<Vec<Field<'a>>>, Undecodable> {
        let mut values = items.values.as_ref().map(|_| Vec::new());
        if items.each.is_some() {
            self.slots.begin_list();
        }
        let mut seen = Seen::default();
        let mut place = 0_u64;
        loop {
            let block = cursor.block()?;
            if block.items == 0 {
                return Ok(values);
            }
            if items.pass == SkipId::NOTHING {
                // Only `each` counts elements that hold nothing.
                let looked_at = (0..block.items).take_while(|_| self.slots.next_element()).count();
                place += looked_at as u64;
                continue;
            }
            for _ in 0..block.items {
                *cursor = self.element(*cursor, items, place, &mut seen, values.as_mut())?;
                place += 1;
            }
        }
    }

    /// Reads one element, and returns where it ends.
    fn element(
        &mut self,
        start: Cursor<'a>,
        items: &'a Items,
        place: u64,
        seen: &mut Seen,
        values: Option<&mut Vec<Field<'a>>>,
    ) -> Result<Cursor<'a>, Undecodable> {
        let mut end = None;
        if let Some(each) = &items.each
            && self.slots.next_element()
        {
            end = Some(self.ahead(start, each)?);
        }
        for (_, step) in items.places.iter().filter(|(wanted, _)| *wanted == place) {
            end = Some(self.ahead(start, step)?);
        }
        let mut before = 0;
        for group in &items.keyed {
            end = Some(self.keyed(start, group, before, seen)?);
            before += group.choices.len();
        }
        if let (Some(values), Some(decode)) = (values, &items.values)
            && values.len() < ELEMENTS_MAX
        {
            let mut cursor = start;
            values.push(self.scalar(&mut cursor, decode)?);
            end = Some(cursor);
        }
        match end {
            Some(end) => Ok(end),
            None => {
                let mut cursor = start;
                self.pass(&mut cursor, items.pass)?;
                Ok(cursor)
            }
        }
    }

    /// Reads what an element has the key of, the first time that there is one, and returns where the element ends.
    /// `before`: the number of choices of earlier groups.
    fn keyed(
        &mut self,
        start: Cursor<'a>,
        group: &'a KeyedItems,
        before: usize,
        seen: &mut Seen,
    ) -> Result<Cursor<'a>, Undecodable> {
        self.slots.set(group.slot, Field::Missing);
        let end = self.ahead(start, &group.by)?;
        let key = std::mem::take(self.slots.now(group.slot));
        let Ok(Some(key)) = key.id() else { return Ok(end) };
        let choice = group.choices.iter().position(|(is, _)| **is == *key);
        if let Some(choice) = choice
            && seen.first(before + choice)
        {
            self.ahead(start, &group.choices[choice].1)?;
        }
        Ok(end)
    }

    fn ahead(&mut self, start: Cursor<'a>, step: &'a Step) -> Result<Cursor<'a>, Undecodable> {
        let mut cursor = start;
        self.step(&mut cursor, step)?;
        Ok(cursor)
    }

    fn map(&mut self, cursor: &mut Cursor<'a>, entries: &'a Entries) -> Result<(), Undecodable> {
        let mut seen = Seen::default();
        loop {
            let block = cursor.block()?;
            if block.items == 0 {
                return Ok(());
            }
            for _ in 0..block.items {
                let name = cursor.sized()?;
                let found = entries.names.iter().position(|(known, ..)| known.as_bytes() == name);
                let Some(found) = found else {
                    self.pass(cursor, entries.pass)?;
                    continue;
                };
                let (_, node, step) = &entries.names[found];
                // A map should not repeat a name. If it does, the last value counts.
                if !seen.first(found) {
                    self.slots.forget(self.tree, *node);
                }
                self.step(cursor, step)?;
            }
        }
    }

    fn scalar(&self, cursor: &mut Cursor<'a>, decode: &'a Decode) -> Result<Field<'a>, Undecodable> {
        Ok(match decode {
            Decode::Null => Field::Missing,
            Decode::Bool => Field::Bool(cursor.boolean()?),
            Decode::Int(meaning) => integer(cursor.int()?, *meaning),
            Decode::Long(meaning) => integer(cursor.long()?, *meaning),
            Decode::Float => Field::Double(f64::from(cursor.float()?)),
            Decode::Double => Field::Double(cursor.double()?),
            Decode::Text => Field::of_text(cursor.sized()?),
            Decode::Symbol(symbols) => Field::Text((&*symbols[cursor.branch(symbols.len())?]).into()),
            Decode::Decimal { scale, size } => {
                let unscaled = match size {
                    Some(size) => cursor.bytes(*size)?,
                    None => cursor.sized()?,
                };
                Decimal::of_bytes(unscaled, *scale).map_or(Field::Other(Kind::Number), Field::Number)
            }
            Decode::BigDecimal => big_decimal(cursor.sized()?).map_or(Field::Other(Kind::Number), Field::Number),
            Decode::Uuid { size } => {
                let bytes = match size {
                    Some(size) => cursor.bytes(*size)?,
                    None => cursor.sized()?,
                };
                uuid(bytes).map_or(Field::Other(Kind::Bytes), |text| Field::Text(text.into()))
            }
            Decode::Other(skip, kind) => {
                self.pass(cursor, *skip)?;
                Field::Other(*kind)
            }
            Decode::Union(branches) => {
                let branch = &branches[cursor.branch(branches.len())?];
                return self.scalar(cursor, branch);
            }
        })
    }
}

fn integer<'a>(value: i64, meaning: Meaning) -> Field<'a> {
    match meaning {
        Meaning::Number => Field::Number(Decimal::integer(value)),
        Meaning::Moment(unit, clock) => Field::Moment(Meaning::moment(unit, clock, value)),
        Meaning::Date => i32::try_from(value).map_or(Field::Other(Kind::Number), Field::Date),
        Meaning::TimeOfDay(factor) => Field::TimeOfDay { micros: value.saturating_mul(factor) },
    }
}

/// The unscaled value with its length, then the scale.
fn big_decimal(bytes: &[u8]) -> Option<Decimal> {
    let mut cursor = Cursor::new(bytes);
    let unscaled = cursor.sized().ok()?;
    let scale = i32::try_from(cursor.long().ok()?).ok()?;
    Decimal::of_bytes(unscaled, scale)
}

/// `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`, of sixteen bytes or already as text.
fn uuid(bytes: &[u8]) -> Option<String> {
    if bytes.len() == 36 {
        return std::str::from_utf8(bytes).ok().map(str::to_owned);
    }
    if bytes.len() != 16 {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}
