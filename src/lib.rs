//! `cohortd` reads customer events from Kafka, remembers about each customer what the rules need, and says, as events
//! back on Kafka, when a customer enters or leaves a cohort.
//!
//! # The way of an event
//!
//! ```text
//! customer-events ─► kafka ─► codec ─► engine(rules, state, instant) ─► one Kafka transaction ─► store ─► next batch
//!                                        ▲ due timers (store)              └─► changes · members · dead letters
//!                                                                              changelog · input offsets
//! ```
//!
//! `lane` is the loop that goes this way, once for each batch. A process runs several lanes; each is one thread with its
//! own consumer, producer, partitions and databases, and shares nothing with the others on that way.
//!
//! # Modules, in reading order
//!
//! Each uses only modules above it, and each external crate is used by one module; `tests/it/architecture.rs` holds the
//! table.
//!
//! | module | what it is | what it does not know |
//! |---|---|---|
//! | [`event`] | what comes in and goes out: events, changes, instants, exact numbers | everything else |
//! | [`calendar`], [`bytes`] | days, weeks and months in a time zone; numbers and texts in stored values | who uses them |
//! | [`mod@prefetch`] | asking for memory before its use | everything else |
//! | [`churn`] | how likely it is that a customer does not come back, and what is lost then: probability models | everything else |
//! | [`fact`] | what is remembered about a customer so that rules can be decided: one file for each kind | customers, cohorts, when anything is decided |
//! | [`rules`] | the rules file: parsed, checked, compiled; errors with their places | state, time, Kafka |
//! | [`engine`] | the decision: state, event and instant in; new state, effects and next deadline out | clocks, threads, disk, bytes, Kafka |
//! | [`summary`] | counters that merge by addition: sizes, flows, histograms, thresholds of ranks | partitions, Kafka, bytes |
//! | [`settings`] | the settings: typed, validated, each with its origin | who uses it |
//! | [`clock`] | the only reader of the wall clock | what time decides |
//! | [`tls`] | certificates and keys in files; the only module that uses rustls | the protocols over it |
//! | [`codec`] | decoding events and encoding changes; schemas and their registry | rules, state, topics |
//! | [`sources`] | records of any topic mapped to events by `sources.toml` | state, Kafka |
//! | [`audit`] | what is in topics of any shape: records in, a report and a proposed mapping out | Kafka, files, clocks |
//! | [`store`] | one RocksDB database for each partition: customers, timers, META; the byte layout | Kafka, what a fact means |
//! | [`residents`] | the customers of one partition between memory and its database: loading, deadlines, flushing, eviction | lanes, Kafka |
//! | [`kafka`] | consumer, transactional producer, offsets, rebalances; the only module that uses rdkafka | events: it knows bytes only |
//! | [`metrics`] | counters, gauges and health | who updates them |
//! | `member` | what every member of a group does that writes transactions: schemas that are waited for, dead letters | the engine, what is written |
//! | [`marks`] | how far each partition of each source has been gathered | who gathers, who waits |
//! | `gather` | the second loop: records of any topics to events of one log, in the order of their times | the engine, state |
//! | [`inquiry`] | requests of operators about one customer, from HTTP to a lane and back, and their text | HTTP, bytes |
//! | [`mod@lane`] | the loop: restore, batch, commit, resolve, rebalance; **the guarantee stands above it** | settings files, HTTP |
//! | [`admin`] | two HTTP servers: metrics and health, and the admin API | decisions |
//! | [`telemetry`], [`shutdown`], [`backoff`] | the log; stop requests; pauses between retries | |
//! | [`app`] | builds all of this from settings, runs it, drains it; the demo's shop and broker | the command line |
//! | [`cli`] | the commands, and everything that a person reads on a terminal | |
//!
//! To understand the product read [`engine`], beginning with `verdict`: every condition knows until when it holds, so the
//! whole rules file gives one next deadline for each customer. To trust it read [`mod@lane`].
//!
//! # What always holds
//!
//! - A customer's changes are a function of their partition's log, its recorded inputs (advances of time, thresholds,
//!   parameters, versions of the rules), and the rules. Batch size, restarts, rebuilds and speed change no output.
//! - RocksDB is never ahead of Kafka: a batch is written to disk only once its transaction is known to count.
//! - The outcome of a transaction is never guessed: where it is unknown, the committed offsets and the changelog show it.
//! - A deadline is decided only when everything before it was read, and decided at its own instant.
//! - `records_consumed = events_applied + events_skipped + dead_letters`.
//! - A state's facts are bounded, and do not depend on the order of arrival.
//! - Nothing personal stands in logs, metrics or error texts.

pub mod admin;
pub mod app;
pub mod audit;
pub mod backoff;
pub mod bytes;
pub mod calendar;
pub mod churn;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod engine;
pub mod event;
pub mod fact;
mod gather;
pub mod inquiry;
pub mod kafka;
pub mod lane;
pub mod marks;
mod member;
pub mod metrics;
pub mod prefetch;
pub mod residents;
pub mod rules;
pub mod settings;
pub mod shutdown;
pub mod sources;
pub mod store;
pub mod summary;
pub mod telemetry;
pub mod tls;
