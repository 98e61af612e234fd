//! From the topic to an accepted event: what is read now, what waits, and what is set aside.

pub(in crate::lane) mod clock_gate;
pub(in crate::lane) mod intake;
pub(in crate::lane) mod lag;
pub(in crate::lane) mod pace;
pub(in crate::lane) mod placement;
pub(in crate::lane) mod poll;
pub(in crate::lane) mod reading;
pub(in crate::lane) mod refusals;
pub(in crate::lane) mod schema_waits;
