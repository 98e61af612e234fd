//! From one version of the rules to the next, partition by partition.

pub(in crate::lane) mod adopt;
pub(in crate::lane) mod migrating;
pub(in crate::lane) mod report;
pub(in crate::lane) mod rulebook;
