//! The range of a window at an instant, and how long it must have been observed before a count of zero counts.

use cohortd::event::{Instant, Span};
use cohortd::rules::ast::{Edge, Events, Window};

use super::condition::Moment;

/// A window at one instant, with both ends included. Empty if the second is earlier.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Held {
    pub(crate) fn holds(self, instant: Instant) -> bool {
        self.from <= instant && instant <= self.to
    }
}

/// Of what a window speaks: after `since E`, an event must be later than E, a membership change may be at its instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    OfEvents,
    OfMembership,
}

impl Moment<'_> {
    /// What `window` holds now; `None` for `within D of first F` without an F.
    pub(crate) fn held(&self, window: &Window, speaks: Speaks) -> Option<Held> {
        let now = self.now;
        // Instants are whole milliseconds, so "later than t" is "from t + 1 ms on".
        let (from, to) = match window {
            Window::Ever => (Instant::MIN, now),
            Window::Last(span) => ((now - span.span).next(), now),
            Window::LastByCalendar { periods, unit } => {
                (self.rules.calendar.start(self.rules.calendar.period(*unit, now, periods - 1)), now)
            }
            Window::Between(far, near) => ((now - far.span).next(), now - near.span),
            Window::MoreThan(span) => (Instant::MIN, now - span.span),
            Window::Since(edge, events) => match (self.edge(*edge, events), speaks) {
                (None, _) => (Instant::MIN, now),
                (Some(at), Speaks::OfEvents) => (at.next(), now),
                (Some(at), Speaks::OfMembership) => (at, now),
            },
            Window::SinceDate(date) => {
                (self.rules.calendar.start(jiff::civil::date(date.year, date.month, date.day)), now)
            }
            Window::WithinFirst(span, name) => {
                let first = self.first_named(&name.text)?;
                (first, now.min(first + span.span))
            }
        };
        Some(Held { from, to })
    }

    /// Has the customer been known, and the log been read, for as long as the window is? Asked where nothing was found
    /// in it.
    pub(crate) fn known_long_enough(&self, window: &Window) -> bool {
        let known_since = self.customer.known_since().max(self.rules.observed_from);
        let known_for = |span: Span| self.now >= known_since + span;
        match window {
            Window::Last(span) | Window::Between(span, _) => known_for(span.span),
            Window::LastByCalendar { periods, unit } => {
                let midnight = self.rules.calendar.start(self.rules.calendar.period(*unit, self.now, periods - 1));
                known_since < midnight
            }
            Window::WithinFirst(span, name) => {
                let first = self.first_named(&name.text);
                first.is_some_and(|first| first >= self.rules.observed_from && self.now >= first + span.span)
            }
            // These have no length.
            Window::Ever | Window::MoreThan(_) | Window::Since(..) | Window::SinceDate(_) => true,
        }
    }

    fn edge(&self, edge: Edge, events: &Events) -> Option<Instant> {
        let times = self.so_far().filter(|event| super::condition::is_one_of(event, events)).map(|event| event.at);
        match edge {
            Edge::First => times.min(),
            Edge::Last => times.max(),
        }
    }

    fn first_named(&self, name: &str) -> Option<Instant> {
        self.so_far().filter(|event| event.name == name).map(|event| event.at).min()
    }
}
