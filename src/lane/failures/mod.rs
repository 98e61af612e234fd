//! A partition that cannot go on, and everything that brokers refuse.

pub(in crate::lane) mod contain;
pub(in crate::lane) mod refused;
pub(in crate::lane) mod setback;
