//! The broker's edge: the only room that names rdkafka. It knows bytes, partitions and offsets, and no events.
//!
//! A lane owns one [`Consumer`], one [`Producer`] and, while it restores, a [`Reader`]; [`Watermarks`], which asks, and
//! [`Ends`], which remembers, are the process's. All calls are synchronous, and each says how long it may block. A client
//! that is dropped keeps nobody for longer than 2 s. Failures are named by what the caller does next
//! ([`Failure`]); whether brokers answer at all is seen in [`Brokers`], shared by all clients of a process.

mod admin;
mod brokers;
mod client;
mod config;
mod consumer;
mod deliveries;
mod diagnosis;
mod ends;
mod failure;
mod follower;
mod group;
mod leaders;
mod mock;
mod murmur2;
mod native;
mod permissions;
mod producer;
mod publisher;
mod reader;
mod record;
mod round;
mod send;
mod statistics;
mod watermarks;

pub use admin::{Admin, Created, Topic, TopicPlan};
pub use brokers::{BrokerState, Brokers};
pub use config::Sizes;
pub use consumer::{Committed, Consumer, Membership, Polled};
pub use diagnosis::{Trouble, trouble};
pub use ends::Ends;
pub use failure::{Cause, Failure, Kind};
pub use follower::{Followed, Follower};
pub use group::{GroupMember, GroupState, GroupView};
pub use mock::{Injected, Mock, Request};
pub use murmur2::partition_of;
pub use permissions::{Allowed, GRANT, Operation};
pub use producer::{Outcome, Producer};
pub use publisher::Publisher;
pub use reader::{Read, Reader};
pub use record::{Outgoing, Record, Stamp};
pub use round::{request_round, retire};
pub use statistics::{Connection, Traffic};
pub use watermarks::Watermarks;
