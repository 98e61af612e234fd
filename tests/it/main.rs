//! The one integration-test binary: linking RocksDB and librdkafka takes longer than most tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod architecture;
mod audit;
mod check;
mod churn;
mod cli;
mod commands;
mod damaged;
mod dashboards;
mod dates;
mod demo;
mod deployment;
mod e2e;
mod engine_under_test;
mod evidence;
mod exit_codes;
mod faults_table;
mod forecast;
mod generate;
mod guide;
mod kafka_client;
mod level_stability;
mod metamorphic;
mod mistakes;
mod naive;
mod released;
mod scenarios;
mod schema;
mod settings;
mod sizing;
mod sources;
mod store;
mod torture;

#[path = "../support"]
mod support {
    pub(crate) mod allocations;
    pub(crate) mod apicurio;
    pub(crate) mod broker;
    pub(crate) mod certificates;
    pub(crate) mod ends;
    pub(crate) mod fronts;
    pub(crate) mod limit;
    pub(crate) mod preload;
    #[allow(dead_code, reason = "the tests at random use all of it")]
    pub(crate) mod proxy;
    pub(crate) mod python;
}
