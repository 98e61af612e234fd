//! `cohortd` reads customer events from Kafka, remembers about each customer what the rules need, and says, as events
//! back on Kafka, when a customer enters or leaves a cohort.

pub mod codec;
pub mod engine;
pub mod event;
pub mod rules;
pub mod store;
