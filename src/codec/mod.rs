//! Bytes to events and changes to bytes: Avro, its framings, where schemas come from, and files.
//!
//! A record of a topic takes this way: [`Framing::split`] says which schema it was written with, [`Schemas::lookup`] finds
//! that schema's [`Reader`], and [`Reader::decode`] reads the event, allocating nothing. Out goes what [`Encoder`] writes.

mod address;
mod answer;
mod cache;
mod compressed;
mod container;
mod cursor;
mod error;
mod fetcher;
mod files;
mod foreign;
mod framing;
mod ids;
mod json;
mod line;
mod output;
mod owned;
mod program;
mod reach;
mod reader;
mod references;
mod registry;
mod schema;
mod schemas;
mod sent;
mod unread;

pub use cache::{SchemaCache, write_whole};
pub use compressed::BadBlock;
pub use container::BadContainer;
pub use error::{Incompatible, Undecodable};
pub use files::{EventFile, FileError};
pub use foreign::{EXAMPLE, Foreign};
pub use framing::{Framing, SchemaKey};
pub use line::BadLine;
pub use output::{Encoder, Output};
pub use owned::{OwnedEvent, OwnedValue};
pub use reach::Access;
pub use reader::{MAX_DEPTH, Reader, recycle};
pub use references::SchemaText;
pub use registry::{Registry, RegistryError, Standing};
pub use schemas::{Lookup, SchemaFileError, Schemas};
pub use sent::{EventEncoder, SentEvent};
pub use unread::Unread;

#[cfg(test)]
mod tests;
