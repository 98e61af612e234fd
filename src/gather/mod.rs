//! Gathering: the records of several topics, in any schema and under any key, become events of one log, in the order of
//! their times, each exactly once.
//!
//! ```text
//! source topics ─► poll ─► reading: schema, mapping ─► merge: the earliest next ─► batch ─► one Kafka transaction
//!                          record to events                                          events · dead letters · marks · offsets
//! ```
//!
//! # The guarantee
//!
//! Each record of a source has its events exactly once in what a `read_committed` reader of `topics.events` sees. A
//! gathering thread keeps nothing that the marks and committed offsets do not say: after any failure, and whenever the
//! outcome of a transaction is not known, a new producer ends what is open, and every partition begins anew where its mark
//! says. So no outcome is ever guessed.
//!
//! A mark is written with the events up to it ([`crate::marks`]). The offset that is committed with them says the same; one
//! that another program has set holds the partition until an operator has decided.
//!
//! # Order
//!
//! Of the records at hand always the one with the earliest time is written next (`merge`). A partition that may have
//! unread records and of which none is at hand holds up all others, one that was read to its end holds up nobody. So two
//! years of orders come out in order beside the clicks of this minute. Threads that gather other partitions are waited
//! for by their marks: a record later than what the slowest of them has read waits.
//!
//! # Reading order
//!
//! `gatherer` is a thread, its parts and its loop; `poll` reads, `mapper` maps a record, `reading` makes of it
//! what is written, `merge` orders them,
//! `batch` is what one transaction writes, `write` writes it; `start` finds where a partition begins, `progress` says how
//! far it is, `quiet` which sources are waited for; `rejoin` is what a fenced thread does; `topics` is what is known of the source
//! topics.

mod batch;
mod gatherer;
mod mapper;
mod merge;
mod poll;
mod progress;
mod quiet;
mod reading;
mod rejoin;
mod sources;
mod start;
mod starting;
mod topics;
mod write;

pub(crate) use gatherer::{Gatherer, Start, kafka_of};
pub(crate) use mapper::{Bounds, Mapper, RecordOf, Refused, needed};
pub(crate) use sources::Sources;
pub(crate) use topics::{SourceTopic, SourceTopics, way_on};
