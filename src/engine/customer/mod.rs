//! One customer's state and its bytes. Data only: it knows neither conditions nor how anything is decided.

mod checkpoint;
mod deadlines;
mod membership;
mod recent_ids;
mod risk;
mod shrink;
mod spares;
mod sparse;
mod standing;
mod state;
mod state_bytes;

pub(super) use checkpoint::Checkpoint;
pub use deadlines::Deadlines;
pub use membership::{EventCause, Membership, PendingChange};
pub use recent_ids::RecentId;
pub(super) use recent_ids::{is_duplicate, remember};
pub use risk::Risk;
pub use spares::Spares;
pub use sparse::Sparse;
pub use standing::{RankedValues, Standing, Thresholds};
pub use state::CustomerState;
pub(super) use state_bytes::is_new;
pub use state_bytes::{as_of, decode_state, encode_state, next_deadline, places, read_state};
