//! Pauses between retries: exponential, with jitter.

use std::time::Duration;

/// The pauses before the next retries.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at about `first` and doubles up to about `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The next pause, up to a quarter shorter or longer at random, so that processes that failed together do not retry
    /// together.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        pause.mul_f64(0.75 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn pauses_double_up_to_a_limit_with_jitter() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let pauses: Vec<f64> = (0..10).map(|_| backoff.pause().as_secs_f64()).collect();
        for (pause, about) in pauses.iter().zip([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]) {
            assert!((about * 0.75..about * 1.25).contains(pause), "{pauses:?}");
        }
        assert!(pauses[6..].windows(2).any(|two| two[0] != two[1]), "there is jitter");
    }
}
