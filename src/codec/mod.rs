//! Decodes events and encodes changes: Avro, its framings, the sources of schemas, and files.
//!
//! For a record of a topic, [`Framing::split`] gives the key of its schema, [`Schemas::lookup`] finds the [`Reader`] of
//! that schema, and [`Reader::decode`] reads the event without allocating. For records of other shapes, [`Schemas`]
//! finds the [`WriterSchema`] itself. [`Encoder`] writes the outputs.

mod address;
mod answer;
mod cache;
mod compressed;
mod container;
mod cursor;
mod encoder;
mod envelope;
mod error;
mod fetcher;
mod files;
mod foreign;
mod framing;
mod from_schema;
mod ids;
mod json;
mod keep;
mod line;
mod output;
mod owned;
mod program;
mod reach;
mod reader;
mod records;
mod references;
mod registry;
mod schema;
mod schemas;
mod sent;
mod skip;
mod table;
mod unread;
mod write;

pub use cache::{SchemaCache, write_whole};
pub use compressed::BadBlock;
pub use container::BadContainer;
pub use encoder::Encoder;
pub use error::{Incompatible, Undecodable};
pub use files::EventFile;
pub use foreign::{EXAMPLE, Foreign};
pub use framing::{Framing, SchemaKey};
pub use from_schema::FromSchema;
pub use line::BadLine;
pub use output::Output;
pub use owned::{OwnedEvent, OwnedValue};
pub use reach::Access;
pub use reader::{MAX_DEPTH, Reader, recycle};
pub use records::{FileError, RecordFile, stream};
pub use references::SchemaText;
pub use registry::{Registry, RegistryError, Standing};
pub use schema::WriterSchema;
pub use schemas::{Lookup, SchemaFileError, Schemas};
pub use sent::{EventEncoder, SentEvent};
pub use table::{BadHeader, Csv};
pub use unread::Unread;

// For readers of other shapes than `CustomerEvent`.
pub(crate) use cursor::Cursor;
pub(crate) use json::{Array, Document, Json, NotJson, Object};
pub(crate) use schema::{Field, LogicalType, Type, TypeId};
pub(crate) use skip::{SkipCompiler, SkipId, Skips};

#[cfg(test)]
mod tests;
