//! What is remembered about one customer, decoded. Data only: it knows neither conditions nor how anything is decided, and
//! its bytes are the store's business.

mod membership;
mod recent_ids;
mod risk;
mod shrink;
mod sparse;
mod standing;
mod state;

pub use membership::{EventCause, Membership, Wish};
pub use recent_ids::RecentId;
pub(super) use recent_ids::{is_duplicate, remember};
pub use risk::Risk;
pub use sparse::Sparse;
pub use standing::{Places, Standing, Thresholds};
pub use state::{CustomerState, Deadlines};
