//! How far each partition of each source has been gathered: the records of `topics.marks`, written by `gather` and followed
//! by all processes of a group.
//!
//! Beside them lies which topics an operator has told the group not to wait for.
//!
//! A mark is written in the same transaction as the events up to it. So who has read a mark, and then reads the log of
//! events to the end that it has at that moment, has everything before the mark's time. That is how lanes know how far
//! time has passed for customers of whom nothing comes.

mod follow;
mod mark;
mod view;

pub use follow::follow;
pub use mark::{Ignored, Mark, Place};
pub use view::{Marks, Saying, View};
