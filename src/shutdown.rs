//! Stop requests: by SIGTERM, SIGINT, or a failed part of the process.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Clones share one request. Lanes check it in each iteration; async code waits for it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
    changed: watch::Sender<bool>,
}

impl Shutdown {
    /// Not requested yet, and without signals: see [`Shutdown::on_signals`].
    #[must_use]
    pub fn new() -> Self {
        Self { requested: Arc::new(AtomicBool::new(false)), changed: watch::Sender::new(false) }
    }

    /// Requested by the first SIGTERM or SIGINT. The second ends the process at once with code 1, which is always safe:
    /// an interrupted transaction is aborted, and the next start recovers.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn on_signals(runtime: &Handle) -> io::Result<Self> {
        let shutdown = Self::new();
        let _runtime = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ours = shutdown.clone();
        runtime.spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if ours.is_requested() {
                    tracing::warn!(signal = name, "Stopping at once.");
                    process::exit(1);
                }
                tracing::info!(signal = name, "Stopping; once more to stop at once.");
                ours.request();
            }
        });
        Ok(shutdown)
    }

    /// Asks every part to stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.changed.send_replace(true);
    }

    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// The flag itself, for loops without signals.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    /// Resolves once requested; at once if it was before.
    pub async fn requested(&self) {
        // Fails only without a sender, and this is one.
        self.changed.subscribe().wait_for(|requested| *requested).await.ok();
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Shutdown;

    #[tokio::test]
    async fn a_request_reaches_every_clone_and_those_who_come_later() {
        let shutdown = Shutdown::new();
        let (flag, waiting) = (shutdown.flag(), shutdown.clone());
        let waiting = tokio::spawn(async move { waiting.requested().await });
        shutdown.request();
        waiting.await.unwrap();
        shutdown.clone().requested().await;
        assert!(flag.load(std::sync::atomic::Ordering::Acquire));
    }
}
