//! One change as text: when, who, in or out of which cohort, and why.

use std::io::{self, Write};

use crate::app::demo::Seen;
use crate::cli::output;
use crate::event::{Change, Instant};
use crate::rules::RuleSet;

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Columns before the arrow; and where a reason begins that has a line of its own, below the customer.
const BEFORE_ARROW: usize = 26;
const INDENT: usize = 14;
/// A reason is on the line of its change only if there is this much room for it.
const BESIDE_MIN: usize = 60;

/// Standard output with its width and colours.
pub(super) struct Screen {
    columns: usize,
    coloured: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { columns: output::columns(), coloured: output::results_are_coloured() }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    pub(super) fn change(&self, seen: &Seen, rules: &RuleSet) -> io::Result<()> {
        let cohort = rules.cohorts.iter().find(|cohort| cohort.name == seen.cohort);
        let title = cohort.map_or(seen.cohort.as_str(), |cohort| &cohort.title.en);
        let titles = rules.cohorts.iter().map(|cohort| cohort.title.en.chars().count()).max().unwrap_or(0);
        let (arrow, colour) = match seen.change {
            Change::Entered => ("→ in ", GREEN),
            Change::Exited => ("← out", YELLOW),
        };
        let head = format!("{}  {:<10}", moment(seen.at), seen.customer);
        let beside = self.columns.saturating_sub(BEFORE_ARROW + "→ in  ".chars().count() + titles + 2);
        let (pad, room, space) = if beside >= BESIDE_MIN {
            (titles, beside, "  ".to_owned())
        } else {
            (0, self.columns - INDENT, format!("\n{:INDENT$}", ""))
        };
        let why = reason(seen, room);
        let text = if self.coloured {
            format!("{head} {colour}{arrow} {title:pad$}{PLAIN}{space}{DIM}{why}{PLAIN}")
        } else {
            format!("{head} {arrow} {title:pad$}{space}{why}")
        };
        self.say(text.trim_end())
    }
}

/// The most informative condition: for an entry one that became true, preferably by time; for an exit one that no
/// longer holds, or else the one that ended it. Its value is kept if not everything fits.
fn reason(seen: &Seen, room: usize) -> String {
    let entered = seen.change == Change::Entered;
    let wanted = entered || seen.why.iter().all(|part| part.holds);
    let parts = || seen.why.iter().filter(|part| part.holds == wanted);
    let passing = ["time since", "silent for", " then no "];
    let of_time = || parts().find(|part| passing.iter().any(|words| part.condition.contains(words)));
    let part = if entered && seen.by_time { of_time().or_else(|| parts().next()) } else { parts().next() };
    let Some(part) = part else { return String::new() };
    let no_longer = if wanted { "" } else { "no longer: " };
    let value = match part.value.as_str() {
        "" => String::new(),
        value => format!(" ({value})"),
    };
    let condition = cut(&format!("{no_longer}{}", part.condition), room.saturating_sub(value.chars().count()));
    format!("{condition}{value}")
}

/// At most `room` characters, with an ellipsis if shortened.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// `14 Mar 2026`, in UTC.
pub(super) fn date(at: Instant) -> String {
    formatted(at, "%d %b %Y")
}

/// `14 Mar 09:12`.
fn moment(at: Instant) -> String {
    formatted(at, "%d %b %H:%M")
}

fn formatted(at: Instant, form: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(stamp) => stamp.strftime(form).to_string(),
        Err(_) => at.to_string(),
    }
}
