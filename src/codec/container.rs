//! Avro object container files: a header with the writer's schema, then blocks of records.

use std::io::{self, BufRead, Read};

use super::compressed::{BadBlock, Codec, MAX_BLOCK};
use super::cursor::Cursor;
use super::{Incompatible, Undecodable};

/// The first bytes of such a file.
pub(super) const MAGIC: &[u8; 4] = b"Obj\x01";

/// What cannot be read in a container file: a part, or all of the rest.
#[derive(Debug, thiserror::Error)]
pub enum BadContainer {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("not an Avro object container file, or damaged")]
    Damaged,
    #[error("a block is larger than {} MiB", MAX_BLOCK >> 20)]
    TooLarge,
    #[error("its compression `{0}` is not supported; null, deflate, snappy, zstandard, bzip2 and xz are")]
    Codec(String),
    #[error("its schema: {0}")]
    Schema(#[from] Incompatible),
    /// The next record can be read.
    #[error("record {record}: {problem}")]
    Record { record: u64, problem: Undecodable },
    /// The end of the record is unknown; the next block can be read.
    #[error("records {first} to {last}: {problem}; the start of the next record is unknown")]
    Rest { first: u64, last: u64, problem: Undecodable },
    /// The next block can be read.
    #[error("records {first} to {last}: {problem}")]
    Block { first: u64, last: u64, problem: BadBlock },
}

impl BadContainer {
    /// The number of lost records; `None`: all remaining ones.
    pub(super) fn lost(&self) -> Option<u64> {
        match self {
            Self::Record { .. } => Some(1),
            Self::Rest { first, last, .. } | Self::Block { first, last, .. } => Some(last - first + 1),
            Self::Read(_) | Self::Damaged | Self::TooLarge | Self::Codec(_) | Self::Schema(_) => None,
        }
    }
}

/// An open container file.
pub(super) struct Container<R> {
    input: R,
    /// The text of the writer's schema.
    schema: String,
    codec: Codec,
    sync: [u8; 16],
    block: Vec<u8>,
    position: usize,
    left: u64,
    records: u64,
}

impl<R: BufRead> Container<R> {
    /// Reads the header.
    pub(super) fn open(mut input: R) -> Result<Self, BadContainer> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(BadContainer::Damaged);
        }
        let (mut schema, mut codec) = (None, Codec::Null);
        loop {
            let count = long(&mut input)?.ok_or(BadContainer::Damaged)?;
            if count == 0 {
                break;
            }
            if count < 0 {
                long(&mut input)?;
            }
            for _ in 0..count.unsigned_abs() {
                let key = sized(&mut input)?;
                let value = sized(&mut input)?;
                match key.as_slice() {
                    b"avro.schema" => schema = Some(String::from_utf8(value).map_err(|_| BadContainer::Damaged)?),
                    b"avro.codec" => {
                        let unknown = || BadContainer::Codec(String::from_utf8_lossy(&value).into());
                        codec = Codec::of(&value).ok_or_else(unknown)?;
                    }
                    _ => {}
                }
            }
        }
        let mut sync = [0; 16];
        input.read_exact(&mut sync)?;
        let schema = schema.ok_or(BadContainer::Damaged)?;
        Ok(Self { input, schema, codec, sync, block: Vec::new(), position: 0, left: 0, records: 0 })
    }

    /// The text of the writer's schema.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The next record, by what reads it from the rest of its block: how many bytes it took, and what it is. `None` at the
    /// end. After an error that [loses](BadContainer::lost) only some records the next one can be asked for.
    pub(super) fn next_by<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> (usize, Result<T, Undecodable>),
    ) -> Result<Option<T>, BadContainer> {
        while self.left == 0 {
            if self.position < self.block.len() {
                return Err(BadContainer::Damaged);
            }
            let Some(count) = long(&mut self.input)? else { return Ok(None) };
            self.left = u64::try_from(count).map_err(|_| BadContainer::Damaged)?;
            self.read_block()?;
        }
        self.left -= 1;
        self.records += 1;
        let (taken, read) = read(&self.block[self.position..]);
        self.position += taken;
        match read {
            Ok(read) => Ok(Some(read)),
            Err(problem) if problem.is_of_a_value() => Err(BadContainer::Record { record: self.records, problem }),
            Err(problem) => {
                let first = self.records;
                self.records += std::mem::take(&mut self.left);
                self.position = self.block.len();
                Err(BadContainer::Rest { first, last: self.records, problem })
            }
        }
    }

    fn read_block(&mut self) -> Result<(), BadContainer> {
        let stored = sized(&mut self.input)?;
        let mut sync = [0; 16];
        self.input.read_exact(&mut sync)?;
        if sync != self.sync {
            return Err(BadContainer::Damaged);
        }
        self.position = 0;
        self.block.clear();
        self.block = self.codec.expand(stored).or_else(|problem| match std::mem::take(&mut self.left) {
            0 => Ok(Vec::new()),
            lost => {
                let first = self.records + 1;
                self.records += lost;
                Err(BadContainer::Block { first, last: self.records, problem })
            }
        })?;
        Ok(())
    }
}

/// A `long` from a stream; `None` where the stream ends before it.
fn long(input: &mut impl BufRead) -> Result<Option<i64>, BadContainer> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(10);
    loop {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        if byte[0] < 0x80 || bytes.len() > 10 {
            return Cursor::new(&bytes).long().map(Some).map_err(|_| BadContainer::Damaged);
        }
    }
}

/// Bytes preceded by their length; memory grows with the actual data, not with the claimed length.
fn sized(input: &mut impl BufRead) -> Result<Vec<u8>, BadContainer> {
    let length = long(input)?.and_then(|length| u64::try_from(length).ok()).ok_or(BadContainer::Damaged)?;
    if length > MAX_BLOCK {
        return Err(BadContainer::TooLarge);
    }
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length { Err(BadContainer::Damaged) } else { Ok(bytes) }
}
