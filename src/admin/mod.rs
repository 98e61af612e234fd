//! Two HTTP servers: metrics and health, for Prometheus and probes; and the admin API, for operators.
//!
//! The first may be reachable from the network and shows nothing about single customers. The admin API stays on this
//! machine, or needs TLS and a token (`guard`); reads of customers are logged (`audit`). Neither logs or counts paths,
//! which contain ids.
//!
//! Slow and hostile clients use a bounded part of the process and block no other client (`server`, `slots`).

mod audit;
mod cohorts;
mod customers;
mod guard;
mod listeners;
mod posted;
mod preview;
mod routes;
mod server;
mod slots;
mod tls;
mod tokens;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::inquiry::{Latest, RequestRouter};
use crate::metrics::{Health, Metrics};
use crate::settings::{self, Listen};
use crate::tls::Unusable;
use guard::{Guard, Hosts};
use listeners::Listener;
use server::{IDLE_MAX, Server};
use slots::ConnectionSlots;
use tls::Tls;
use tokens::Tokens;

pub use posted::{PostOutcome, Posted};

/// How long answers in progress may take once the servers are closing.
pub const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Connections to the admin API.
const ADMIN_CONNECTIONS: usize = 64;
/// The maximum number of connections to metrics and health, and the minimum if few files may be open: the more, the
/// longer a slow probe may take to send its request before it is closed.
const METRICS_CONNECTIONS: std::ops::RangeInclusive<u64> = 64..=512;

/// The number of connections to metrics and health, by the limit of open files.
#[must_use]
pub fn metrics_connections() -> u64 {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    (files / 16).clamp(*METRICS_CONNECTIONS.start(), *METRICS_CONNECTIONS.end())
}

/// Both servers, bound but not yet answering: connections wait in the system's queue.
#[derive(Debug)]
pub struct Servers {
    metrics: Listener,
    admin: Option<Admin>,
}

#[derive(Debug)]
struct Admin {
    listener: Listener,
    tls: Option<Arc<Tls>>,
    tokens: Option<Tokens>,
    hosts: Hosts,
}

/// The data that is shown.
#[derive(Debug, Clone)]
pub struct Views {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    /// Where lanes are asked about customers.
    pub router: Arc<RequestRouter>,
    /// The newest overview of all cohorts, and the rules in force.
    pub latest: Arc<Latest>,
    /// Receives posted rules; `None`: they are not accepted.
    pub rules: Option<mpsc::Sender<Posted>>,
}

/// A setting that cannot be used: an address in use, a missing file.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct Error {
    pub key: &'static str,
    problem: String,
}

impl From<Unusable> for Error {
    fn from(file: Unusable) -> Self {
        Self { key: file.key, problem: file.problem }
    }
}

impl Servers {
    /// Binds both addresses, and reads tokens and certificate. Before anything else is opened: a second process with the same
    /// settings stops here.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn bind(runtime: &Handle, metrics: &settings::Metrics, admin: &settings::Admin) -> Result<Self, Error> {
        let _runtime = runtime.enter();
        let metrics = Listener::tcp("metrics.listen", metrics.listen)?;
        let listener = match &admin.listen {
            Listen::Off => return Ok(Self { metrics, admin: None }),
            Listen::Tcp(address) => Listener::tcp("admin.listen", *address)?,
            Listen::Unix(path) => Listener::unix("admin.listen", path)?,
        };
        let tls = match (&admin.tls_certificate_file, &admin.tls_key_file) {
            (Some(certificate), Some(key)) => Some(Arc::new(Tls::load(certificate, key)?)),
            _ => None,
        };
        let hosts = match &admin.listen {
            Listen::Tcp(address) if address.ip().is_loopback() => Hosts::Loopback,
            _ => Hosts::Any,
        };
        let admin = Admin { listener, tls, tokens: Tokens::of(admin)?, hosts };
        Ok(Self { metrics, admin: Some(admin) })
    }

    /// Where metrics and health are, the port known even if 0 was asked for.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn metrics_address(&self) -> io::Result<SocketAddr> {
        match &self.metrics {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Unix(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where the admin API is, as in the setting; `off` if it is off.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn admin_address(&self) -> io::Result<String> {
        self.admin.as_ref().map_or_else(|| Ok(Listen::Off.to_string()), |admin| admin.listener.address())
    }

    /// Answers on `runtime` until `closing` resolves, then finishes the answers in progress within [`CLOSE_TIME_MAX`]. The task
    /// that is returned ends when all is closed.
    pub fn serve(
        self,
        runtime: &Handle,
        views: Views,
        closing: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let metrics = Server {
            listener: self.metrics,
            tls: None,
            slots: ConnectionSlots::new(usize::try_from(metrics_connections()).unwrap_or(ADMIN_CONNECTIONS), IDLE_MAX),
            router: routes::metrics(views.clone()),
        };
        let admin = self.admin.map(|admin| Server {
            listener: admin.listener,
            tls: admin.tls,
            slots: ConnectionSlots::new(ADMIN_CONNECTIONS, IDLE_MAX),
            router: routes::admin(views, Guard::new(admin.tokens, admin.hosts)),
        });
        runtime.spawn(async move {
            let watching = Arc::new(GracefulShutdown::new());
            let serving = async {
                let admin = async {
                    match admin {
                        Some(admin) => admin.run(Arc::clone(&watching)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::join!(metrics.run(Arc::clone(&watching)), admin)
            };
            tokio::select! {
                _ = serving => {}
                () = closing => {}
            }
            if let Some(watching) = Arc::into_inner(watching) {
                // Answers that clients have not read by then are lost.
                timeout(CLOSE_TIME_MAX, watching.shutdown()).await.ok();
            }
        })
    }
}

#[cfg(test)]
mod tests;
