//! One customer's state, decoded. Data only: it knows neither conditions nor how anything is decided, and the store
//! defines its bytes.

mod membership;
mod recent_ids;
mod risk;
mod shrink;
mod sparse;
mod standing;
mod state;

pub use membership::{EventCause, Membership, PendingChange};
pub use recent_ids::RecentId;
pub(super) use recent_ids::{is_duplicate, remember};
pub use risk::Risk;
pub use sparse::Sparse;
pub use standing::{RankedValues, Standing, Thresholds};
pub use state::{CustomerState, Deadlines};
