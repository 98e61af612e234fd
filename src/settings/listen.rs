//! Where the admin API listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Off,
    Tcp(SocketAddr),
    /// A socket of this path, for this user alone.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
