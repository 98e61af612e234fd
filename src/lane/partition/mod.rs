//! One partition at work: its customers, its clock, what is due, and what a batch does to it.

pub(in crate::lane) mod apply;
pub(in crate::lane) mod deadlines;
pub(in crate::lane) mod due;
pub(in crate::lane) mod emit;
pub(in crate::lane) mod flush;
pub(in crate::lane) mod progress;
pub(in crate::lane) mod state;
pub(in crate::lane) mod surge;
