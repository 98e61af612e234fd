//! Membership: assignments and revocations, fencing, and partitions without an owner.

mod assignment;
mod group_check;
mod owned;
pub(in crate::lane) mod ownership;
mod rejoin;
pub(in crate::lane) mod unowned_partitions;
