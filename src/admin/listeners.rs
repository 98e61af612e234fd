//! Listening sockets: TCP, with or without TLS, and Unix sockets.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};

use super::Error;

/// The backlog of connections waiting to be accepted. The system may allow fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;

/// A socket that is bound.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The peer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    /// A process of this machine, by its user; `None` where the system does not say.
    Unix(Option<u32>),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(user)) => write!(f, "unix socket, user {user}"),
            Self::Unix(None) => f.write_str("unix socket"),
        }
    }
}

impl Listener {
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// An address that cannot be taken; `key` is the setting that names it.
    pub(super) fn tcp(key: &'static str, address: SocketAddr) -> Result<Self, Error> {
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restart must not wait for connections of the previous process.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        listen().map(Self::Tcp).map_err(|error| {
            let problem =
                format!("cannot listen on {address} ({error}); stop what listens there, or choose another port");
            Error { key, problem }
        })
    }

    /// A socket for this user and root only. The file of a process that has ended is replaced. Must be called within a
    /// runtime.
    ///
    /// # Errors
    /// A path that cannot be taken, such as one where somebody listens.
    pub(super) fn unix(key: &'static str, path: &Path) -> Result<Self, Error> {
        let refusal = |(reason, remedy): (String, &str)| Error {
            key,
            problem: format!("cannot listen on {} ({reason}); {remedy}", path.display()),
        };
        remove_stale(path).map_err(refusal)?;
        let listen = || {
            let socket = UnixSocket::new_stream()?;
            socket.bind(path)?;
            // Before it listens: nobody can connect until then.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)
        };
        let listener =
            listen().map_err(|error| refusal((error.to_string(), "choose a path in a folder of this user")))?;
        Ok(Self::Unix(listener, path.to_owned()))
    }

    /// The address, its port known even if 0 was asked for.
    ///
    /// # Errors
    /// If the system does not say.
    pub(super) fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(listener.local_addr()?.to_string()),
            Self::Unix(_, path) => Ok(format!("unix:{}", path.display())),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                Ok((Stream::Unix(stream), Peer::Unix(user)))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A leftover file is replaced by the next process.
            fs::remove_file(path).ok();
        }
    }
}

/// Removes the socket of a process that has ended. The error says why the path cannot be used, and what helps.
fn remove_stale(path: &Path) -> Result<(), (String, &'static str)> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err((error.to_string(), "choose another path")),
    };
    if !found.file_type().is_socket() {
        return Err(("there is a file that is not a socket".to_owned(), "remove it, or choose another path"));
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| (format!("a socket that is left there cannot be removed: {error}"), "remove it")),
        Ok(_) => Err(("a process listens there".to_owned(), "stop it, or choose another path")),
        Err(error) => Err((error.to_string(), "choose another path")),
    }
}
