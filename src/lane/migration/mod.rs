//! Migrating partitions from one version of the rules to the next.

mod apply;
mod backfill;
mod backfill_store;
pub(in crate::lane) mod rules_migration;
mod sweep;
