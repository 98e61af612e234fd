//! The size of each cohort over time, as a line of blocks.

use crate::event::{Change, Instant};

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Entries and exits of one cohort, over any number of customers. 16 bytes for each change.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    pub(super) entered: u64,
    pub(super) exited: u64,
    moves: Vec<(Instant, Change)>,
}

impl Sizes {
    pub(super) fn record(&mut self, at: Instant, change: Change) {
        match change {
            Change::Entered => self.entered += 1,
            Change::Exited => self.exited += 1,
        }
        self.moves.push((at, change));
    }

    /// Adds those of other customers.
    pub(super) fn add(&mut self, other: Self) {
        self.entered += other.entered;
        self.exited += other.exited;
        self.moves.extend(other.moves);
    }

    /// Members after all recorded changes. Nobody leaves without having entered.
    pub(super) fn now(&self) -> u64 {
        self.entered - self.exited
    }

    /// The size at the end of each of `columns` equal parts of the time from `from` through `to`, and the largest at any
    /// instant.
    pub(super) fn over_time(&mut self, from: Instant, to: Instant, columns: usize) -> (Vec<u64>, u64) {
        // By instant, exits first: a customer who leaves and enters in one millisecond must not count twice.
        self.moves.sort_by_key(|(at, change)| (*at, *change == Change::Entered));
        let length = i128::from(to.since(from).0.max(1));
        let end_of = |column: usize| {
            let passed = length * (column as i128 + 1) / columns as i128;
            Instant(from.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX)))
        };
        let mut moves = self.moves.iter().peekable();
        let (mut size, mut most) = (0_u64, 0);
        let mut sizes = Vec::with_capacity(columns);
        for column in 0..columns {
            while let Some((_, change)) = moves.next_if(|(at, _)| *at <= end_of(column) || column + 1 == columns) {
                match change {
                    Change::Entered => size += 1,
                    Change::Exited => size = size.saturating_sub(1),
                }
                most = most.max(size);
            }
            sizes.push(size);
        }
        (sizes, most)
    }
}

/// One block for each size, against the largest; a space for none.
pub(super) fn sparkline(sizes: &[u64]) -> String {
    let most = sizes.iter().copied().max().unwrap_or_default().max(1);
    let block = |size: &u64| match *size {
        0 => ' ',
        size => BLOCKS[usize::try_from((size * 8).div_ceil(most)).unwrap_or(8).clamp(1, 8) - 1],
    };
    sizes.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::{Sizes, sparkline};
    use crate::event::{Change, Instant};

    #[test]
    fn a_line_shows_the_size_at_the_end_of_each_part() {
        let mut sizes = Sizes::default();
        for at in [0, 10, 10, 25] {
            sizes.record(Instant(at), Change::Entered);
        }
        sizes.record(Instant(40), Change::Exited);
        assert_eq!(sizes.over_time(Instant(0), Instant(40), 4), (vec![3, 3, 4, 3], 4));
        assert_eq!(sizes.now(), 3);
        assert_eq!(sparkline(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn one_instant_is_a_range_too() {
        let mut sizes = Sizes::default();
        sizes.record(Instant(5), Change::Entered);
        assert_eq!(sizes.over_time(Instant(5), Instant(5), 3), (vec![1, 1, 1], 1));
    }
}
