//! Pauses that end when the process is stopped.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::shutdown::Shutdown;

/// The first pause; doubled from then on, with jitter.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause: about what it takes to notice that a broker is back.
const LONGEST: Duration = Duration::from_secs(5);
/// How long a pause may delay a stop.
const SLICE: Duration = Duration::from_millis(100);

pub(super) fn backoff() -> Backoff {
    Backoff::new(FIRST, LONGEST)
}

/// Waits until the next retry. False: stopped.
pub(super) fn pause(backoff: &mut Backoff, shutdown: &Shutdown) -> bool {
    pause_for(backoff.pause(), shutdown)
}

/// Waits so long. False: stopped.
pub(super) fn pause_for(length: Duration, shutdown: &Shutdown) -> bool {
    let until = Instant::now() + length;
    while Instant::now() < until && !shutdown.is_requested() {
        std::thread::sleep(SLICE);
    }
    !shutdown.is_requested()
}
