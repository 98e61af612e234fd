//! Where a record lies that is tried.

use std::fmt;

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    File { file: &'a str, number: u64 },
    Topic { topic: &'a str, partition: i32, offset: i64 },
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, number } => write!(f, "record {number} of {file}"),
            Self::Topic { topic, partition, offset } => write!(f, "offset {offset} of {topic}/{partition}"),
        }
    }
}
