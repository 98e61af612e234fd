//! The one integration-test binary: linking RocksDB and librdkafka takes longer than most tests.

mod architecture;
mod cli;
mod e2e;
mod engine_under_test;
mod generate;
mod kafka_room;
mod naive;
mod scenarios;
mod settings;

#[path = "../support"]
mod support {
    pub(crate) mod broker;
}
