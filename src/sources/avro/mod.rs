//! Reads records of Avro by the paths of a mapping, compiled once for each writer's schema.

mod compile;
mod read;

pub(super) use compile::Program;
