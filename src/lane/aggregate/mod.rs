//! What depends on the customers of all partitions: ranks, parameters, surveys, summaries.

pub(in crate::lane) mod learning;
pub(in crate::lane) mod looking;
pub(in crate::lane) mod model;
pub(in crate::lane) mod publisher;
pub(in crate::lane) mod ranking;
pub(in crate::lane) mod ranks;
pub(in crate::lane) mod results;
pub(in crate::lane) mod summaries;
pub(in crate::lane) mod survey;
pub(in crate::lane) mod surveying;
