//! Where words go: results to stdout, everything else to stderr.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::builder::StyledStr;

use crate::app::Failure;

/// Bytes of results collected before they are written.
const BUFFER: usize = 1 << 16;

/// Why writing results ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The reader has seen enough, as `head` does: no failure.
    Unread,
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Stopped {
    /// Of writing results; other errors are told apart where they happen.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(Failure::Running(format!("the results cannot be written: {error}"))),
        }
    }
}

/// Standard output, buffered; flush it at the end.
pub(super) fn results() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(BUFFER, io::stdout().lock())
}

/// Do the results stand on the same screen as everything else?
pub(super) fn results_are_on_screen() -> bool {
    io::stdout().is_terminal()
}

/// Is there someone to look at progress?
pub(super) fn has_spectators() -> bool {
    io::stderr().is_terminal()
}

/// A line, or a few, for people. That stderr is closed is no reason to stop.
pub(super) fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// What went wrong, in the form that every message has.
pub(super) fn complain(text: &str) {
    say(&format!("cohortd: {text}"));
}

/// Help that was asked for: a result.
pub(super) fn help(text: &StyledStr) {
    write!(io::stdout().lock(), "{}", coloured(text, results_are_on_screen())).ok();
}

/// A wrong command line, in clap's words and our form.
pub(super) fn usage(text: &StyledStr) {
    let text = coloured(text, false);
    complain(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
}

fn coloured(text: &StyledStr, screen: bool) -> String {
    if screen { text.ansi().to_string() } else { text.to_string() }
}
