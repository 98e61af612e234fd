//! The log: one line for each entry on stderr, as text for people or JSON for machines.
//!
//! Includes entries of libraries that use the `log` crate, such as librdkafka. Customer ids and payloads are never
//! logged.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Log, LogFormat};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Concerns the key `log.filter`.
    #[error(
        "{filter:?} is not a valid filter ({reason}); write a level, such as \"info\", or \"info,cohortd::lane=debug\""
    )]
    Filter { filter: String, reason: String },
    /// A logger is set already.
    #[error("the log cannot be started: {0}")]
    Started(String),
}

/// Starts logging for the whole process, once.
///
/// # Errors
/// A filter that cannot be read, or a log that was started before.
pub fn start(log: &Log) -> Result<(), Error> {
    let filter = read_filter(&log.filter)?;
    let entries = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match log.format {
        // Colour codes are not wanted in a file; on a terminal NO_COLOR turns them off.
        LogFormat::Text if !io::stderr().is_terminal() => entries.with_ansi(false).finish().try_init(),
        LogFormat::Text => entries.finish().try_init(),
        LogFormat::Json => entries.json().flatten_event(true).with_ansi(false).finish().try_init(),
    };
    started.map_err(|error| Error::Started(error.to_string()))
}

/// RUST_LOG is ignored: settings are read in one place.
fn read_filter(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|reason| Error::Filter { filter: filter.to_owned(), reason: reason.to_string() })
}

#[cfg(test)]
mod tests {
    use super::read_filter;

    #[test]
    fn a_filter_is_a_level_or_levels_by_part() {
        assert!(read_filter("info,cohortd::lane=debug").is_ok());
        assert!(
            read_filter("info,lane=loud")
                .unwrap_err()
                .to_string()
                .starts_with("\"info,lane=loud\" is not a valid filter (")
        );
    }
}
