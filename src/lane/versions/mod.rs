//! The versions of the rules that this process knows.

pub(in crate::lane) mod edit_report;
pub(in crate::lane) mod missing_names;
pub(in crate::lane) mod rulebook;
