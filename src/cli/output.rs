//! Where words go: results to stdout, everything else to stderr.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Command, Stdio};

use clap::builder::StyledStr;

use crate::app::Failure;

/// Bytes of results collected before they are written.
const BUFFER: usize = 1 << 16;

/// Why writing results ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The reader has seen enough, as `head` does: no failure.
    Unread,
    /// The command line asks for what does not exist.
    Usage(String),
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

/// May results be coloured? On a screen, unless it cannot, or its owner does not want it (no-color.org).
pub(super) fn results_are_coloured() -> bool {
    // These belong to the terminal, not to our settings.
    let asked = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    results_are_on_screen() && asked("NO_COLOR").is_none() && asked("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of the screen that results are on; 100 where they are on none, or nobody says.
pub(super) fn columns() -> usize {
    /// A narrower screen breaks lines by itself.
    const LEAST: usize = 80;
    const UNKNOWN: usize = 100;
    if !results_are_on_screen() {
        return UNKNOWN;
    }
    // Asks the terminal that is standard input: `rows columns`.
    let asked = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let columns = asked.ok().and_then(|said| {
        let said = String::from_utf8(said.stdout).ok()?;
        said.split_whitespace().nth(1)?.parse::<usize>().ok()
    });
    columns.filter(|columns| *columns > 0).map_or(UNKNOWN, |columns| columns.max(LEAST))
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
