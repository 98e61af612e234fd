//! What every member of a consumer group does that writes transactions, whatever it reads and writes.
//!
//! | file | what it is |
//! |---|---|
//! | `dead_letter` | rejected records, with reason and origin, cut to what their topic takes |
//! | `dead_letter_log` | logging them: the first of each kind, and how many more |
//! | `error` | why a member cannot go on |
//! | `fresh` | whether a topic holds what it is read for, by its first records |
//! | `fencing` | how often a member was fenced lately, and replacing its consumer |
//! | `schema_waits` | partitions whose next record waits for its schemas |
//! | `transactions` | a producer's transactions, initialized at the start and after a failure |

pub(crate) mod dead_letter;
pub(crate) mod dead_letter_log;
pub(crate) mod error;
pub(crate) mod fencing;
pub(crate) mod fresh;
pub(crate) mod schema_waits;
pub(crate) mod transactions;
