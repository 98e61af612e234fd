//! What was done and how long it took until all was well again, a line for each kind of fault.

use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
struct Line {
    /// Times that it was begun, and that it did happen.
    begun: usize,
    happened: usize,
    /// From the end of the fault to recovery, where no other was under way at the time.
    alone: Vec<Duration>,
    /// From the end of the last of several that overlapped.
    mixed: Vec<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Report {
    lines: BTreeMap<&'static str, Line>,
    skipped: BTreeMap<&'static str, String>,
    /// From a volley's end until every partition had an owner.
    owned: Vec<Duration>,
}

impl Report {
    pub(super) fn begun(&mut self, kind: &'static str) {
        self.lines.entry(kind).or_default().begun += 1;
    }

    pub(super) fn happened(&mut self, kind: &'static str) {
        self.lines.entry(kind).or_default().happened += 1;
    }

    /// It cannot be done on this machine. Printed once.
    pub(super) fn skipped(&mut self, kind: &'static str, reason: &str) {
        if self.skipped.insert(kind, reason.to_owned()).is_none() {
            println!("chaos: skipped: {kind}: {reason}");
        }
    }

    pub(super) fn recovered(&mut self, kinds: &[&'static str], owned: Duration, after: Duration) {
        self.owned.push(owned);
        for kind in kinds {
            let line = self.lines.entry(kind).or_default();
            if kinds.len() == 1 { line.alone.push(after) } else { line.mixed.push(after) }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{:<44} {:>5} {:>8} {:>22} {:>22}\n",
            "fault", "times", "happened", "alone: median, max s", "mixed: median, max s"
        );
        for (kind, line) in &self.lines {
            let (alone, mixed) = (spread(&line.alone), spread(&line.mixed));
            text.push_str(&format!("{kind:<44} {:>5} {:>8} {alone:>22} {mixed:>22}\n", line.begun, line.happened));
        }
        for (kind, reason) in &self.skipped {
            text.push_str(&format!("{kind:<44} skipped: {reason}\n"));
        }
        text.push_str(&format!("every partition owned, after each volley: median, max s {}\n", spread(&self.owned)));
        text
    }
}

/// Median and maximum, in seconds.
fn spread(times: &[Duration]) -> String {
    let mut times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    match times.last() {
        None => "-".into(),
        Some(max) => format!("{:.1}, {max:.1}", times[times.len() / 2]),
    }
}
