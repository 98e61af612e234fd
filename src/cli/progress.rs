//! Progress of long operations, drawn on stderr if it is a screen.

use std::io::Read;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// Redraws a second, at most.
const REDRAWS: u8 = 10;

/// A bar, or a counter if the end is unknown; nothing if stderr is not a screen.
#[derive(Debug, Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// For reading: `bytes` is the total size, if known.
    pub(super) fn of_reading(bytes: Option<u64>) -> Self {
        let template = match bytes {
            Some(_) => "reading   {wide_bar} {bytes} of {total_bytes}, {eta} left",
            None => "reading   {spinner} {bytes}",
        };
        Self::new(bytes, template)
    }

    /// For evaluating events.
    pub(super) fn of_deciding(events: usize) -> Self {
        Self::new(Some(events as u64), "deciding  {wide_bar} {human_pos} of {human_len} events, {eta} left")
    }

    /// For reading records of a topic.
    pub(super) fn of_records(records: u64) -> Self {
        Self::new(Some(records), "reading   {wide_bar} {human_pos} of {human_len} records, {eta} left")
    }

    /// Hidden if results are written to the same screen meanwhile.
    pub(super) fn beside_results(self) -> Self {
        if output::results_are_on_screen() { Self::hidden() } else { self }
    }

    /// For simulating days, with the text of [`Progress::show`].
    pub(super) fn of_living(days: u64) -> Self {
        Self::new(Some(days), "{msg}  {wide_bar}")
    }

    /// For waiting, with the text of [`Progress::show`].
    pub(super) fn of_waiting() -> Self {
        Self::new(None, "{spinner} {msg}  {elapsed}")
    }

    /// Nothing is drawn.
    pub(super) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        if !output::has_spectators() {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// A stream whose bytes are counted as they are read.
    pub(super) fn watch(&self, stream: impl Read + Send + 'static) -> impl Read + Send + 'static {
        self.0.wrap_read(stream)
    }

    pub(super) fn advance(&self, by: usize) {
        self.0.inc(by as u64);
    }

    /// Sets the position.
    pub(super) fn set(&self, to: u64) {
        self.0.set_position(to);
    }

    pub(super) fn show(&self, text: String) {
        self.0.set_message(text);
    }

    /// Writes something to the screen without tearing the bar.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Prints a message without tearing the bar.
    pub(super) fn complain(&self, text: &str) {
        self.0.suspend(|| output::complain(text));
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
