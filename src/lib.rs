//! `cohortd` reads customer events from Kafka, remembers about each customer what the rules need, and says, as events
//! back on Kafka, when a customer enters or leaves a cohort.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod engine;
pub mod event;
pub mod kafka;
pub mod lane;
pub mod metrics;
pub mod rules;
pub mod settings;
pub mod shutdown;
pub mod store;
pub mod telemetry;
