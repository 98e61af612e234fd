//! The two doors: HTTP for Prometheus and health checks, and HTTP for operators.
//!
//! The metrics door may be open to the network and shows nothing about a customer. The operators' door stays on the
//! loopback; where a customer stands, and why, is told behind it. Neither door logs or counts by path: ids stand there.

mod cohorts;
mod customers;
mod limits;
mod posted;
mod routes;

use std::future::{Future, IntoFuture};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::inquiry::{Board, Desk};
use crate::metrics::{Health, Metrics};
use crate::settings;

pub use posted::{Posted, Ruling};

/// How long answers in progress may take once the doors are closing.
pub const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Both doors, bound but not yet answering: connections wait in the system's queue.
#[derive(Debug)]
pub struct Doors {
    metrics: TcpListener,
    admin: TcpListener,
}

/// What the doors show.
#[derive(Debug, Clone)]
pub struct Views {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    /// Where lanes are asked about customers.
    pub desk: Arc<Desk>,
    /// Where the newest overview of all cohorts hangs.
    pub board: Arc<Board>,
    /// Takes rules that are posted; `None`: nobody does here.
    pub rules: Option<mpsc::Sender<Posted>>,
}

/// An address that cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({source}); stop what listens there, or choose another port")]
pub struct Error {
    /// The setting that names the address.
    pub key: &'static str,
    pub address: SocketAddr,
    pub source: io::Error,
}

impl Doors {
    /// Binds both addresses. Before anything else is opened: a second process with the same settings stops here.
    ///
    /// # Errors
    /// The first address that cannot be taken.
    pub fn open(metrics: &settings::Metrics, admin: &settings::Admin) -> Result<Self, Error> {
        Ok(Self { metrics: bind("metrics.listen", metrics.listen)?, admin: bind("admin.listen", admin.listen)? })
    }

    /// Where the metrics door is, its port known even if 0 was asked for.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn metrics_address(&self) -> io::Result<SocketAddr> {
        self.metrics.local_addr()
    }

    /// Where the operators' door is.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Answers on `runtime` until `closing` resolves, then finishes the answers in progress within [`CLOSE_TIME_MAX`].
    /// The task that is returned ends when the doors are shut.
    ///
    /// # Errors
    /// If the runtime cannot take the sockets.
    pub fn serve(
        self,
        runtime: &Handle,
        views: Views,
        closing: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let _runtime = runtime.enter();
        let (open, opened) = watch::channel(());
        // The sender is dropped when it is time to close, which ends every wait for it.
        let closed = async |mut opened: watch::Receiver<()>| while opened.changed().await.is_ok() {};
        let metrics = axum::serve(limits::Door::new(self.metrics)?, routes::metrics(views.clone()))
            .with_graceful_shutdown(closed(opened.clone()))
            .into_future();
        let admin = axum::serve(limits::Door::new(self.admin)?, routes::admin(views))
            .with_graceful_shutdown(closed(opened))
            .into_future();
        Ok(runtime.spawn(async move {
            // Serving does not fail: errors of a connection end that connection.
            let answering = async { tokio::join!(metrics, admin) };
            tokio::select! {
                _ = answering => {}
                () = async { closing.await; drop(open); sleep(CLOSE_TIME_MAX).await } => {}
            }
        }))
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|source| Error { key, address, source })
}

#[cfg(test)]
mod tests;
