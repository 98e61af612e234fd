//! From an assignment to a partition at work.

pub(in crate::lane) mod hold;
pub mod identity;
pub(in crate::lane) mod restoring;
pub(in crate::lane) mod stages;
