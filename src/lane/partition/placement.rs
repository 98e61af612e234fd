//! Whether customers are in the partitions in which Kafka's default partitioner (murmur2) puts them.
//!
//! Decisions do not depend on it: a customer may be in any partition, as long as it is always the same one. But if
//! producers use different partitioners, or partitions were added, a customer is in two partitions, each with half of
//! the history; and customer lookups start in the partition that murmur2 chooses.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::kafka::partition_of;

/// New customers that are counted before a mixture of partitioners is reported.
const NEW_CUSTOMERS: u64 = 400;

/// Whether a customer was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Seen {
    First,
    Before,
}

/// What was seen so far in all partitions of this process.
#[derive(Debug, Default)]
pub(in crate::lane) struct Placement {
    warned: AtomicBool,
    warned_mixed: AtomicBool,
    new_customers: AtomicU64,
    new_customers_elsewhere: AtomicU64,
}

impl Placement {
    /// Compares the partition of an event's customer with murmur2's. Warns once of the first that differs, and once if
    /// there seem to be several partitioners. True: it differs.
    pub(in crate::lane) fn is_elsewhere(&self, partition: i32, partitions: u32, customer: &str, seen: Seen) -> bool {
        let is_elsewhere = partition_of(customer.as_bytes(), partitions) != partition;
        // Read before it is written: this runs for every event of all lanes.
        if is_elsewhere && !self.warned.load(Ordering::Relaxed) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                partition,
                "Customers are not in the partitions in which Kafka's default partitioner (murmur2) puts them. That is right as \
                 long as all producers use one partitioner; where they differ, or partitions were added, a customer is in two, \
                 and each knows half of them. For librdkafka set partitioner=murmur2_random."
            );
        }
        if seen == Seen::First && partitions > 1 && !self.warned_mixed.load(Ordering::Relaxed) {
            let new_customers = self.new_customers.fetch_add(1, Ordering::Relaxed) + 1;
            let elsewhere = u64::from(is_elsewhere);
            let elsewhere = self.new_customers_elsewhere.fetch_add(elsewhere, Ordering::Relaxed) + elsewhere;
            self.warn_if_mixed(new_customers, elsewhere, partitions);
        }
        is_elsewhere
    }

    fn warn_if_mixed(&self, new_customers: u64, elsewhere: u64, partitions: u32) {
        if is_mixed(new_customers, elsewhere, partitions) && !self.warned_mixed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                customers = new_customers,
                elsewhere,
                "Some customers are in the partitions in which murmur2 puts them and others are not, as if producers used \
                 different partitioners: customers of whom more than one writes are split, and their cohorts are wrong."
            );
        }
    }
}

/// Are more customers in murmur2's partition than another partitioner would put there by chance, while others are not?
#[must_use]
pub fn is_mixed(new_customers: u64, elsewhere: u64, partitions: u32) -> bool {
    let partitions = u64::from(partitions);
    // With another partitioner one customer in `partitions` is there by chance; mixed is a fifth fewer elsewhere than
    // that.
    let by_chance = new_customers * (partitions - 1) * 8 / (partitions * 10);
    new_customers >= NEW_CUSTOMERS && elsewhere * 10 >= new_customers && elsewhere < by_chance
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::{Ordering, Placement, Seen, partition_of};

    /// The warnings for so many customers placed by another partitioner and by murmur2: that any differ, that both
    /// occur.
    fn warnings(partitions: u32, by_another: u32, by_murmur2: u32) -> (bool, bool) {
        let placement = Placement::default();
        for number in 0..by_another {
            let customer = format!("a{number}");
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&customer);
            let partition = i32::try_from(hash % u64::from(partitions)).unwrap();
            placement.is_elsewhere(partition, partitions, &customer, Seen::First);
        }
        for number in 0..by_murmur2 {
            let customer = format!("m{number}");
            placement.is_elsewhere(partition_of(customer.as_bytes(), partitions), partitions, &customer, Seen::First);
        }
        (placement.warned.load(Ordering::Relaxed), placement.warned_mixed.load(Ordering::Relaxed))
    }

    #[test]
    fn one_partitioner_is_distinguished_from_another_and_from_a_mixture() {
        for partitions in [2, 3, 6, 64] {
            assert_eq!(warnings(partitions, 0, 5_000), (false, false), "{partitions}");
            assert_eq!(warnings(partitions, 5_000, 0), (true, false), "{partitions}");
            assert_eq!(warnings(partitions, 2_000, 3_000), (true, true), "{partitions}");
            assert_eq!(warnings(partitions, 100, 0), (true, false), "{partitions}: too few to tell");
        }
        assert_eq!(warnings(1, 1_000, 1_000), (false, false));
    }
}
