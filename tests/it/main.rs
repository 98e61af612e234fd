//! The one integration-test binary: linking RocksDB and librdkafka takes longer than most tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod architecture;
mod check;
mod cli;
mod demo;
mod e2e;
mod engine_under_test;
mod generate;
mod guide;
mod kafka_room;
mod naive;
mod scenarios;
mod schema;
mod settings;
mod store;

#[path = "../support"]
mod support {
    pub(crate) mod broker;
}
