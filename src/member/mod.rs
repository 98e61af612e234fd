//! What every member of a consumer group does that writes transactions, whatever it reads and writes.
//!
//! | file | what it is |
//! |---|---|
//! | `schema_waits` | partitions whose next record waits for its schemas |

pub(crate) mod schema_waits;
