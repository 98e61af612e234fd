//! From the topic to an accepted event: what is read now, what waits, and what is rejected.

mod clock_gate;
pub(in crate::lane) mod ingest;
mod lag;
pub(in crate::lane) mod poll;
pub(in crate::lane) mod reading;
