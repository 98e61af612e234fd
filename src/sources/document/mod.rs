//! `sources.toml` as a document: read key by key, so that all errors are found at once, with their locations.

mod draft;
mod events;
mod reading;
mod source;
mod values;

pub use reading::{Document, read};
pub use source::{Became, EventName, Format, Kind, NoCustomer, Property, Source, Times};
