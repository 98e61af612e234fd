//! Skips values of a writer's types without looking at them.
//!
//! Types that take no bytes at all (null, an empty fixed, records of such) are not part of what is skipped. So every
//! step of every loop takes at least a byte, and the time to skip a value is bounded by its length, whatever counts it
//! claims.

use std::collections::HashMap;

use super::Undecodable;
use super::cursor::Cursor;
use super::schema::{Field, Type, TypeId, WriterSchema};

/// How a value of one type is skipped, in the [`Skips`] that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SkipId(u32);

impl SkipId {
    /// Takes no bytes.
    pub(crate) const NOTHING: Self = Self(0);
}

/// How values are skipped: by their lengths, without checking them. Types refer to each other by index, since they may
/// contain themselves.
#[derive(Debug)]
pub(crate) struct Skips(Box<[Skip]>);

#[derive(Debug)]
enum Skip {
    Nothing,
    /// An `int`, a `long` or an enum's symbol.
    Varint,
    Fixed(usize),
    Sized,
    Array(SkipId),
    Map(SkipId),
    Record(Box<[SkipId]>),
    Union(Box<[SkipId]>),
}

/// Collects how the types of one schema are skipped.
pub(crate) struct SkipCompiler<'s> {
    writer: &'s WriterSchema,
    skips: Vec<Skip>,
    records: HashMap<TypeId, SkipId>,
}

impl<'s> SkipCompiler<'s> {
    pub(crate) fn new(writer: &'s WriterSchema) -> Self {
        Self { writer, skips: vec![Skip::Nothing], records: HashMap::new() }
    }

    pub(crate) fn skip(&mut self, schema: TypeId) -> SkipId {
        let skip = match self.writer.get(schema) {
            Type::Null | Type::Fixed { size: 0, .. } => return SkipId::NOTHING,
            Type::Boolean => Skip::Fixed(1),
            Type::Int(_) | Type::Long(_) | Type::Enum { .. } => Skip::Varint,
            Type::Float => Skip::Fixed(4),
            Type::Double => Skip::Fixed(8),
            Type::Bytes(_) | Type::String => Skip::Sized,
            Type::Fixed { size, .. } => Skip::Fixed(*size),
            Type::Array(items) => Skip::Array(self.skip(*items)),
            Type::Map(values) => Skip::Map(self.skip(*values)),
            Type::Union(branches) => Skip::Union(branches.iter().map(|branch| self.skip(*branch)).collect()),
            Type::Record { fields, .. } => return self.record(schema, fields),
        };
        self.add(skip)
    }

    pub(crate) fn finish(self) -> Skips {
        Skips(self.skips.into())
    }

    fn record(&mut self, record: TypeId, fields: &'s [Field]) -> SkipId {
        if let Some(known) = self.records.get(&record) {
            return *known;
        }
        // Registered before its fields, since they may refer to it.
        let own = self.add(Skip::Nothing);
        self.records.insert(record, own);
        let fields: Vec<_> = fields.iter().map(|field| self.skip(field.schema)).collect();
        let fields: Box<[_]> = fields.into_iter().filter(|skip| *skip != SkipId::NOTHING).collect();
        if fields.is_empty() {
            self.records.insert(record, SkipId::NOTHING);
            return SkipId::NOTHING;
        }
        self.skips[own.0 as usize] = Skip::Record(fields);
        own
    }

    fn add(&mut self, skip: Skip) -> SkipId {
        let id = SkipId(u32::try_from(self.skips.len()).expect("a schema's text is far shorter than 4 G types"));
        self.skips.push(skip);
        id
    }
}

impl Skips {
    /// Skips a value that may be nested so deeply.
    ///
    /// # Errors
    /// Bytes that are not a value of its type, as far as skipping sees; deeper nesting.
    pub(crate) fn pass(&self, cursor: &mut Cursor<'_>, skip: SkipId, depth: u32) -> Result<(), Undecodable> {
        let inner = depth.checked_sub(1).ok_or(Undecodable::Depth)?;
        match &self.0[skip.0 as usize] {
            Skip::Nothing => {}
            Skip::Varint => _ = cursor.long()?,
            Skip::Fixed(size) => _ = cursor.bytes(*size)?,
            Skip::Sized => _ = cursor.sized()?,
            Skip::Record(fields) => self.pass_all(cursor, fields, inner)?,
            Skip::Union(branches) => {
                let branch = branches[cursor.branch(branches.len())?];
                self.pass(cursor, branch, inner)?;
            }
            Skip::Array(item) => self.pass_items(cursor, *item, Keyed::No, inner)?,
            Skip::Map(item) => self.pass_items(cursor, *item, Keyed::Yes, inner)?,
        }
        Ok(())
    }

    /// Skips one value after the other, as [`pass`](Self::pass) does each of them.
    pub(crate) fn pass_all(&self, cursor: &mut Cursor<'_>, skips: &[SkipId], depth: u32) -> Result<(), Undecodable> {
        if depth == 0 && !skips.is_empty() {
            return Err(Undecodable::Depth);
        }
        for skip in skips {
            // Most fields are of these: no call for them.
            match &self.0[skip.0 as usize] {
                Skip::Varint => _ = cursor.long()?,
                Skip::Fixed(size) => _ = cursor.bytes(*size)?,
                Skip::Sized => _ = cursor.sized()?,
                _ => self.pass(cursor, *skip, depth)?,
            }
        }
        Ok(())
    }

    fn pass_items(&self, cursor: &mut Cursor<'_>, item: SkipId, keyed: Keyed, depth: u32) -> Result<(), Undecodable> {
        loop {
            let block = cursor.block()?;
            if block.items == 0 {
                return Ok(());
            }
            if let Some(bytes) = block.bytes {
                cursor.bytes(bytes)?;
            } else if matches!((item, keyed), (SkipId::NOTHING, Keyed::No)) {
                // Items without bytes: there is nothing to skip, however many are claimed.
            } else {
                for _ in 0..block.items {
                    if matches!(keyed, Keyed::Yes) {
                        cursor.sized()?;
                    }
                    self.pass(cursor, item, depth)?;
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Keyed {
    Yes,
    No,
}
