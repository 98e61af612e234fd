//! Permissions of this user, as far as the brokers report them.

use std::collections::BTreeSet;
use std::fmt;

/// What to do about a missing permission.
pub const GRANT: &str = "grant it (docs/kafka.md lists all that is needed)";

/// An operation of Kafka's access lists that this program needs somewhere. `Describe` is implied by `Read` and `Write`,
/// and if it is missing the request itself fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    DescribeConfigs,
}

/// The operations allowed on one topic or group.
pub type Allowed = BTreeSet<Operation>;

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::DescribeConfigs => "DescribeConfigs",
        })
    }
}
