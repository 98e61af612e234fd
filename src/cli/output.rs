//! Output: results to stdout, everything else to stderr.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Command, Stdio};

use clap::builder::StyledStr;

use crate::app::Failure;

/// Bytes of results collected before they are written.
const BUFFER: usize = 1 << 16;

/// Why writing results ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The reader has closed stdout, as `head` does: not a failure.
    Unread,
    /// The command line names something that does not exist.
    Usage(String),
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Stopped {
    /// An error while writing results; other errors are handled where they happen.
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

/// Are the results written to the same screen as everything else?
pub(super) fn results_are_on_screen() -> bool {
    io::stdout().is_terminal()
}

/// Is stderr a screen, for progress?
pub(super) fn has_spectators() -> bool {
    io::stderr().is_terminal()
}

/// Should results be coloured? On a screen that supports it, unless disabled (no-color.org).
pub(super) fn results_are_coloured() -> bool {
    // These belong to the terminal, not to the settings.
    let asked = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    results_are_on_screen() && asked("NO_COLOR").is_none() && asked("TERM").is_none_or(|term| term != "dumb")
}

/// The width of the screen for results; 100 if there is none, or it is unknown.
pub(super) fn columns() -> usize {
    /// A narrower screen wraps lines itself.
    const MIN: usize = 80;
    const UNKNOWN: usize = 100;
    if !results_are_on_screen() {
        return UNKNOWN;
    }
    // Queries the terminal on standard input: `rows columns`.
    let stty = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let columns = stty.ok().and_then(|output| {
        let size = String::from_utf8(output.stdout).ok()?;
        size.split_whitespace().nth(1)?.parse::<usize>().ok()
    });
    columns.filter(|columns| *columns > 0).map_or(UNKNOWN, |columns| columns.max(MIN))
}

/// A message for people. A closed stderr is not a reason to stop.
pub(super) fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// An error, in the form that every message has.
pub(super) fn complain(text: &str) {
    say(&format!("cohortd: {text}"));
}

/// Requested help: a result.
pub(super) fn help(text: &StyledStr) {
    write!(io::stdout().lock(), "{}", coloured(text)).ok();
}

/// An error in the command line, with clap's text in our form.
pub(super) fn usage(text: &StyledStr) {
    let text = text.to_string();
    complain(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
}

fn coloured(text: &StyledStr) -> String {
    if results_are_on_screen() { text.ansi().to_string() } else { text.to_string() }
}
