//! What is compiled from a writer's schema.

use super::Incompatible;
use super::schema::WriterSchema;

/// What reads the records of one writer's schema, compiled from it once and then shared.
pub trait FromSchema: Sized + Send + Sync + 'static {
    /// Compiles a schema that was parsed, with its references.
    ///
    /// # Errors
    /// When no record written with it can be read.
    fn from_schema(writer: WriterSchema) -> Result<Self, Incompatible>;
}

/// The schema itself, for those who lay something over it.
impl FromSchema for WriterSchema {
    fn from_schema(writer: WriterSchema) -> Result<Self, Incompatible> {
        Ok(writer)
    }
}
