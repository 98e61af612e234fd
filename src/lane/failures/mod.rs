//! Failed partitions, and access that brokers deny.

mod await_access;
mod contain;
pub(in crate::lane) mod denied_access;
pub(in crate::lane) mod partition_failures;
