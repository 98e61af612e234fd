//! How records of any topic, in any schema, become events: `sources.toml`, parsed, checked and compiled.
//!
//! ```text
//! sources.toml ─► document: what is written, with its preset ─► mapping: paths as a tree, each with a slot
//!                                                                  │
//!                              writer's schema ─► avro: a program ─┤
//!                                                                  ▼
//!                                     record ─► slots: what the paths find ─► evaluate: events, or why there are none
//! ```
//!
//! In reading order: `path` and `filter` are the two small languages, `document` the file; `tree` is all paths of a
//! source at once, `slots` what they find, `avro` and `json` find it; `field` is one value and what is made of it, with
//! `decimal` and `time`; `evaluate` gives the events.
//!
//! What is read is bounded: nesting by 64, elements of a list by 10,000, everything else by the length of the record.

mod avro;
mod decimal;
mod document;
mod evaluate;
mod event;
mod field;
mod filter;
mod json;
mod mapping;
mod path;
mod preset;
mod record;
mod show;
mod slots;
mod time;
mod tree;

pub use document::{Became, Document, EventName, Format, Kind, NoCustomer, Property, Source, Times, read};
pub use event::{MappedEvent, Origin, Outcome, PropertyValue, Refusal, RefusalReason, Skip};
pub use field::As;
pub use filter::{Filter, Test};
pub use mapping::{AbsentPath, AvroReader, Mapping};
pub use path::{Path, Root, Step, header_path};
pub use preset::Preset;
pub use record::{Payload, Place, Record};
pub use time::Unit;

// For readers of records whose shape is not known.
pub(crate) use json::parse as parse_json;
pub(crate) use time::{TextTime, time_of_text};
