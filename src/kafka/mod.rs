//! The Kafka client: the only module that uses rdkafka. It knows bytes, partitions and offsets, but no events.
//!
//! A lane owns one [`Consumer`], one [`Producer`] and, during a restore, a [`Reader`]; [`Watermarks`], which requests
//! offsets, and [`EndOffsets`], which caches them, belong to the process. All calls are synchronous, and each documents
//! how long it may block. Dropping a client blocks for at most 2 s. Failures are named by what the caller does next
//! ([`Failure`]); whether brokers are reachable is shared by all clients of a process in [`Brokers`].

mod admin;
mod assigned;
mod brokers;
mod client;
mod config;
mod consumer;
mod delivery_reports;
mod diagnosis;
mod end_offsets;
mod failure;
mod follower;
mod group_description;
mod leaders;
mod mock;
mod murmur2;
mod native;
mod numbering;
mod permissions;
mod producer;
mod publisher;
mod reader;
mod record;
mod request_rebalance;
mod send;
mod send_all;
mod statistics;
mod timestamp;
mod watermarks;

pub use admin::{Admin, Created, Topic, TopicPlan};
pub use brokers::{BrokerState, Brokers};
pub use config::{Isolation, Sizes};
pub use consumer::{Committed, Consumer, Membership, Polled};
pub use diagnosis::{ConnectionProblem, diagnose};
pub use end_offsets::EndOffsets;
pub use failure::{Cause, Failure, Kind};
pub use follower::{Follower, FollowerEvent};
pub use group_description::{GroupMember, GroupState, GroupView};
pub use mock::{Injected, Mock, Request};
pub use murmur2::partition_of;
pub use numbering::Numbering;
pub use permissions::{Allowed, GRANT, Operation};
pub use producer::{Outcome, Producer};
pub use publisher::Publisher;
pub use reader::{Read, Reader, Round};
pub use record::{Headers, Outgoing, Record, Report, push_header, push_header_name};
pub use request_rebalance::{request_rebalance, retire};
pub use send_all::TOGETHER;
pub use statistics::{Connection, Traffic};
pub use timestamp::Timestamp;
pub use watermarks::Watermarks;
