//! The room as a whole: published figures, independent computation, and what must hold for any customer.

mod cdnow;
mod published;
mod streaming;
