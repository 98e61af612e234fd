//! The broker's edge: the only room that names rdkafka. It knows bytes, partitions and offsets, and no events.
//!
//! A lane owns one [`Consumer`], one [`Producer`], one [`Watermarks`] and, while it restores, a [`Reader`]. All calls
//! are synchronous, and each says how long it may block. Failures are named by what the caller does next
//! ([`Failure`]); whether brokers answer at all is seen in [`Brokers`], shared by all clients of a process.

mod admin;
mod brokers;
mod client;
mod config;
mod consumer;
mod deliveries;
mod failure;
mod mock;
mod murmur2;
mod native;
mod producer;
mod publisher;
mod reader;
mod record;
mod send;
mod watermarks;

pub use admin::{Admin, Created, Topic, TopicPlan};
pub use brokers::{BrokerState, Brokers};
pub use consumer::{Committed, Consumer, Membership, Polled};
pub use failure::{Cause, Failure, Kind};
pub use mock::{Injected, Mock, Request};
pub use murmur2::partition_of;
pub use producer::{Outcome, Producer};
pub use publisher::Publisher;
pub use reader::{Read, Reader};
pub use record::{Outgoing, Record, Stamp};
pub use watermarks::Watermarks;
