//! Input and output values: events, changes, instants, numbers. No behaviour beyond construction, order and text.

mod change;
mod customer;
mod digits;
mod forecast;
mod instant;
mod number;
mod reason;
mod risk;
pub mod stored_hash;
mod utf8;
mod value;
mod vocabulary;

pub use change::{Cause, Change, CohortChange, CohortMember, Evidence, Localized};
pub use customer::{CUSTOMER_BYTES_MAX, CustomerEvent, LISTED_MAX, NAME_BYTES_MAX, Properties};
pub use digits::Digits;
pub use forecast::{CohortForecast, ExpectedChanges};
pub use instant::{Instant, IsoText, NotAnInstant, Span};
pub use number::Number;
pub(crate) use reason::named;
pub use reason::{ChangeReason, DeadLetterReason, SkipReason};
pub use risk::{ChurnRiskChange, CustomerValue, RiskFactor, RiskStanding};
pub(crate) use utf8::text;
pub use value::{Kept, Value};
pub use vocabulary::{NameId, PropertyId, Vocabulary};
