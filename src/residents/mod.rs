//! The customers of one partition between memory and its database.
//!
//! A customer is loaded for an event or a deadline of theirs, decided in memory, flushed some time later, and evicted
//! when memory is short. The database's timer index says which stored customers are due next.
//!
//! [`Residents`] knows the engine and the store. It knows neither where events come from nor what else a batch writes,
//! so the lane and the engine's benchmark run the same code: the lane publishes a batch on Kafka before its database
//! takes it, the benchmark writes it at once.
//!
//! A batch, in order:
//!
//! | call | what it does |
//! |---|---|
//! | `begin` | what changes from here on is dirty since this log position |
//! | `load` | reads the states of customers who are not in memory |
//! | `apply_event`, `advance` | decides an event; moves stream time |
//! | `decide_some` | decides the deadlines before stream time, of customers in memory and stored |
//! | `flush_next` | flushes customers who have been dirty for long |
//! | `make_room`, `flush_one` | chooses the customers to evict, and flushes those of them who are dirty |
//! | `take_writes` | what the database is to write |
//! | `committed` | once it is written: evicts those customers |

mod deadlines;
mod due;
mod eviction;
mod flush;
mod inputs;
#[expect(clippy::module_inception, reason = "the module is named after what it holds")]
mod residents;
#[cfg(test)]
mod tests;

pub use deadlines::Decided;
pub use eviction::BatchCounts;
pub use flush::{Flushed, Shrunk};
pub use residents::Residents;
