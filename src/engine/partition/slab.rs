//! Byte strings of customers in large pieces of memory: no header and no rounding of an allocator for each of them.

/// Blocks are multiples of this.
const UNIT: usize = 16;
/// Units of one chunk.
const CHUNK_UNITS: usize = 4_096;
/// Bytes above which a block has memory of its own.
const SMALL_MAX: usize = 4_096;
/// One list of free blocks for each number of units.
const CLASSES: usize = SMALL_MAX / UNIT + 1;
/// Free bytes that are tolerated beside an eighth of all.
const FREE_MIN: usize = 256 << 10;

/// Where one byte string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Its first unit, or, for a large one, its number among the large ones.
    place: u32,
    len: u32,
}

impl Block {
    pub(super) const NOWHERE: Self = Self { place: 0, len: 0 };

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    fn is_small(self) -> bool {
        self.len as usize <= SMALL_MAX
    }

    fn units(self) -> usize {
        (self.len as usize).div_ceil(UNIT)
    }

    /// The memory that it takes.
    pub(super) fn bytes(self) -> usize {
        self.units() * UNIT
    }
}

/// Blocks of bytes. A freed block serves the next one of its size.
#[derive(Debug)]
pub(super) struct Slab {
    chunks: Vec<Box<[u8]>>,
    /// Units of the last chunk that were never used.
    rest: usize,
    /// First units of free blocks, by their number of units.
    free: Vec<Vec<u32>>,
    free_bytes: usize,
    large: Vec<Box<[u8]>>,
    free_large: Vec<u32>,
    used_bytes: usize,
}

impl Slab {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            rest: 0,
            free: vec![Vec::new(); CLASSES],
            free_bytes: 0,
            large: Vec::new(),
            free_large: Vec::new(),
            used_bytes: 0,
        }
    }

    /// Memory of all blocks in use.
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    pub(super) fn get(&self, block: Block) -> &[u8] {
        if block.is_small() {
            let (chunk, start) = position(block.place);
            &self.chunks[chunk][start..start + block.len as usize]
        } else {
            &self.large[block.place as usize]
        }
    }

    fn get_mut(&mut self, block: Block) -> &mut [u8] {
        if block.is_small() {
            let (chunk, start) = position(block.place);
            &mut self.chunks[chunk][start..start + block.len as usize]
        } else {
            &mut self.large[block.place as usize]
        }
    }

    /// A block that holds `bytes`.
    pub(super) fn store(&mut self, bytes: &[u8]) -> Block {
        let mut block = Block { place: 0, len: u32::try_from(bytes.len()).expect("states are far below 4 GiB") };
        if block.is_empty() {
            return block;
        }
        self.used_bytes += block.bytes();
        if block.is_small() {
            block.place = self.place(block.units());
            self.get_mut(block).copy_from_slice(bytes);
        } else if let Some(place) = self.free_large.pop() {
            block.place = place;
            self.large[place as usize] = bytes.into();
        } else {
            block.place = u32::try_from(self.large.len()).expect("fewer than 2^32 blocks");
            self.large.push(bytes.into());
        }
        block
    }

    /// Replaces the bytes of a block, in place where they fit.
    pub(super) fn replace(&mut self, block: &mut Block, bytes: &[u8]) {
        let fits = block.is_small() && block.units() == bytes.len().div_ceil(UNIT);
        if fits {
            block.len = u32::try_from(bytes.len()).expect("it has as many units");
            self.get_mut(*block).copy_from_slice(bytes);
        } else {
            self.free(*block);
            *block = self.store(bytes);
        }
    }

    pub(super) fn free(&mut self, block: Block) {
        if block.is_empty() {
            return;
        }
        self.used_bytes -= block.bytes();
        if block.is_small() {
            self.free_units(block.place, block.units());
        } else {
            self.large[block.place as usize] = Box::default();
            self.free_large.push(block.place);
        }
    }

    /// Is so much memory free that the blocks should move together?
    pub(super) fn is_sparse(&self) -> bool {
        self.free_bytes > FREE_MIN + self.chunks.len() * (CHUNK_UNITS * UNIT / 8)
    }

    /// Moves all blocks together, in the order in which they lie: each chunk is given back before the next one is needed.
    /// `blocks`: every one in use.
    pub(super) fn compact<'b>(&mut self, blocks: impl Iterator<Item = &'b mut Block>) {
        let mut compact = Self::new();
        std::mem::swap(&mut compact.large, &mut self.large);
        std::mem::swap(&mut compact.free_large, &mut self.free_large);
        let mut small = Vec::new();
        for block in blocks.filter(|block| !block.is_empty()) {
            if block.is_small() {
                small.push(block);
            } else {
                compact.used_bytes += block.bytes();
            }
        }
        small.sort_unstable_by_key(|block| block.place);
        let mut emptied = 0;
        for block in small {
            let (chunk, _) = position(block.place);
            self.chunks[emptied..chunk].fill_with(Box::default);
            emptied = chunk;
            *block = compact.store(self.get(*block));
        }
        *self = compact;
    }

    fn free_units(&mut self, place: u32, units: usize) {
        self.free_bytes += units * UNIT;
        self.free[units].push(place);
    }

    /// The first of so many units in a row.
    fn place(&mut self, units: usize) -> u32 {
        if let Some(place) = self.free[units].pop() {
            self.free_bytes -= units * UNIT;
            return place;
        }
        if self.rest < units {
            // The end of a chunk, which is shorter than the largest block.
            if self.rest > 0 {
                self.free_units(self.unused(), self.rest);
            }
            self.chunks.push(vec![0; CHUNK_UNITS * UNIT].into());
            self.rest = CHUNK_UNITS;
        }
        let place = self.unused();
        self.rest -= units;
        place
    }

    /// The first unit of the last chunk that was never used.
    fn unused(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK_UNITS - self.rest)
            .expect("the customers in memory take less than 64 GiB")
    }
}

/// Chunk and byte of a unit.
fn position(place: u32) -> (usize, usize) {
    let place = place as usize;
    (place / CHUNK_UNITS, place % CHUNK_UNITS * UNIT)
}

#[cfg(test)]
mod tests {
    use super::{Block, Slab};

    #[test]
    fn blocks_keep_their_bytes_whatever_comes_and_goes() {
        let (mut slab, mut random) = (Slab::new(), 1_u64);
        let mut held: Vec<(Block, Vec<u8>)> = Vec::new();
        for round in 0..50_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let most = if random >> 60 == 0 { 20_000 } else { 700 };
            let bytes = vec![round as u8; (random >> 33) as usize % most];
            let index = (random >> 20) as usize % 3_000;
            match held.get_mut(index) {
                Some((block, known)) if random >> 63 == 0 => {
                    slab.replace(block, &bytes);
                    *known = bytes;
                }
                Some(_) => {
                    let (block, _) = held.swap_remove(index);
                    slab.free(block);
                }
                None => held.push((slab.store(&bytes), bytes)),
            }
            if slab.is_sparse() {
                slab.compact(held.iter_mut().map(|(block, _)| block));
                assert!(!slab.is_sparse(), "only the ends of chunks are free");
            }
        }
        for (block, bytes) in &held {
            assert_eq!(slab.get(*block), bytes);
        }
        assert_eq!(slab.used_bytes(), held.iter().map(|(block, _)| block.bytes()).sum::<usize>());
        held.iter().for_each(|(block, _)| slab.free(*block));
        assert_eq!(slab.used_bytes(), 0);
    }
}
