//! One address: accepts connections, and answers on each until it ends.
//!
//! The cost of an unknown client is bounded: connections by [`ConnectionSlots`], the time of a handshake, of headers,
//! of an answer and of reading it, and the size of headers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::listeners::{Listener, Peer, Stream};
use super::slots::{ConnectionSlot, ConnectionSlots};
use super::tls::Tls;

/// Timeout of the headers of a request, counted from the connection or the last answer; so also the idle timeout of a
/// connection.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(10);
/// Timeout of the TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// No answer takes long to compute; one that does is stuck.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Timeout of reading an answer, and of idling after it.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(30);
/// Size limit of a request's first line and headers: each byte of a customer id may take three.
const HEADERS_BYTES_MAX: usize = 16 << 10;
/// Pause when the system has no file handle left for a connection.
const PAUSE_WITHOUT_FILES: Duration = Duration::from_millis(20);

/// The service at one address.
pub(super) struct Server {
    pub(super) listener: Listener,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) slots: Arc<ConnectionSlots>,
    pub(super) router: Router,
}

impl Server {
    /// Accepts connections until it is dropped. `watching` knows them all, and can close them gracefully.
    pub(super) async fn run(self, watching: Arc<GracefulShutdown>) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Otherwise only that connection has failed.
                    if !is_of_the_connection(&error) {
                        tracing::debug!(%error, "Accepting a connection failed.");
                        sleep(PAUSE_WITHOUT_FILES).await;
                    }
                    continue;
                }
            };
            match self.slots.enter() {
                Some(slot) => {
                    let serving = Serving { peer, slot, router: self.router.clone(), watcher: watching.watcher() };
                    tokio::spawn(serving.run(stream, self.tls.clone()));
                }
                None => drop(stream),
            }
            // Between two, existing connections get their turn.
            yield_now().await;
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One connection.
struct Serving {
    peer: Peer,
    slot: Arc<ConnectionSlot>,
    router: Router,
    watcher: Watcher,
}

impl Serving {
    async fn run(self, stream: Stream, tls: Option<Arc<Tls>>) {
        let slot = Arc::clone(&self.slot);
        let served = async {
            match (stream, tls) {
                (Stream::Unix(stream), _) => self.serve(stream).await,
                (Stream::Tcp(stream), None) => self.serve(stream).await,
                (Stream::Tcp(stream), Some(tls)) => {
                    // A client without TLS, or one that is too slow, gets no answer.
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME_MAX, tls.acceptor().accept(stream)).await {
                        self.serve(stream).await;
                    }
                }
            }
        };
        tokio::select! {
            () = served => {}
            () = slot.lost() => {}
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, slot, router, watcher } = self;
        let answers = TowerToHyperService::new(router);
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let answering = slot.answering();
            request.extensions_mut().insert(peer);
            let answer = answers.call(request);
            async move {
                let answer = answer.await;
                drop(answering);
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_TIME_MAX)
            .max_buf_size(HEADERS_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), answer);
        // Errors are the client's: an invalid request, or an aborted one.
        watcher.watch(connection).await.ok();
    }
}
