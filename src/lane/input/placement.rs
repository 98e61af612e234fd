//! Whether customers are in the partitions in which Kafka's default partitioner (murmur2) puts them.
//!
//! Nothing that is decided rests on that: a customer may be in any partition, as long as it is always the same one. But where
//! producers use different partitioners, or partitions were added, one customer is in two, and each knows half of them; and
//! whoever asks for a customer begins to look where murmur2 puts them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::kafka::partition_of;

/// New customers that are looked at before their places are called a mixture.
const NEWCOMERS: u64 = 400;

/// What was seen so far, in all partitions of this process.
#[derive(Debug, Default)]
pub(in crate::lane) struct Placement {
    said: AtomicBool,
    said_mixed: AtomicBool,
    newcomers: AtomicU64,
    newcomers_elsewhere: AtomicU64,
}

impl Placement {
    /// Looks at the place of an event's customer, says once if it is not murmur2's, and once if the places look like those of
    /// more than one partitioner. True: it is not murmur2's. `is_new`: nothing was known of the customer.
    pub(in crate::lane) fn is_elsewhere(&self, partition: i32, partitions: u32, customer: &str, is_new: bool) -> bool {
        let is_elsewhere = partition_of(customer.as_bytes(), partitions) != partition;
        // Read first: every event comes by here, of all lanes.
        if is_elsewhere && !self.said.load(Ordering::Relaxed) && !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                partition,
                "Customers are not in the partitions in which Kafka's default partitioner (murmur2) puts them. That is right as \
                 long as all producers use one partitioner; where they differ, or partitions were added, a customer is in two, \
                 and each knows half of them. For librdkafka set partitioner=murmur2_random."
            );
        }
        if is_new && partitions > 1 && !self.said_mixed.load(Ordering::Relaxed) {
            self.count(is_elsewhere, partitions);
        }
        is_elsewhere
    }

    fn count(&self, is_elsewhere: bool, partitions: u32) {
        let newcomers = self.newcomers.fetch_add(1, Ordering::Relaxed) + 1;
        let elsewhere =
            self.newcomers_elsewhere.fetch_add(u64::from(is_elsewhere), Ordering::Relaxed) + u64::from(is_elsewhere);
        if is_mixed(newcomers, elsewhere, partitions) && !self.said_mixed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                customers = newcomers,
                elsewhere,
                "Some customers are in the partitions in which murmur2 puts them and others are not, as if producers used \
                 different partitioners: customers of whom more than one writes are split, and their cohorts are wrong."
            );
        }
    }
}

/// Do as many customers stand where murmur2 puts them as no single other partitioner would bring there by chance, while others
/// do not?
#[must_use]
pub fn is_mixed(newcomers: u64, elsewhere: u64, partitions: u32) -> bool {
    let partitions = u64::from(partitions);
    // Of another partitioner's customers one in `partitions` is there by chance: a fifth fewer elsewhere than that.
    let by_chance = newcomers * (partitions - 1) * 8 / (partitions * 10);
    newcomers >= NEWCOMERS && elsewhere * 10 >= newcomers && elsewhere < by_chance
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::{Ordering, Placement, partition_of};

    /// So many customers by another partitioner, and others by murmur2: what is said, of all and of a mixture.
    fn said(partitions: u32, by_another: u32, by_murmur2: u32) -> (bool, bool) {
        let placement = Placement::default();
        for number in 0..by_another {
            let customer = format!("a{number}");
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&customer);
            let partition = i32::try_from(hash % u64::from(partitions)).unwrap();
            placement.is_elsewhere(partition, partitions, &customer, true);
        }
        for number in 0..by_murmur2 {
            let customer = format!("m{number}");
            placement.is_elsewhere(partition_of(customer.as_bytes(), partitions), partitions, &customer, true);
        }
        (placement.said.load(Ordering::Relaxed), placement.said_mixed.load(Ordering::Relaxed))
    }

    #[test]
    fn one_partitioner_is_told_from_another_and_from_a_mixture() {
        for partitions in [2, 3, 6, 64] {
            assert_eq!(said(partitions, 0, 5_000), (false, false), "{partitions}");
            assert_eq!(said(partitions, 5_000, 0), (true, false), "{partitions}");
            assert_eq!(said(partitions, 2_000, 3_000), (true, true), "{partitions}");
            assert_eq!(said(partitions, 100, 0), (true, false), "{partitions}: too few to tell");
        }
        assert_eq!(said(1, 1_000, 1_000), (false, false));
    }
}
