//! Which of a list of ascending times lie in a window at an instant, and when that next changes.

use std::ops::Range;

use super::verdict::Verdict;
use super::view::{CustomerView, up_to};
use crate::event::Instant;
use crate::rules::ast::Edge;
use crate::rules::{CountTest, Window};

/// The part of `times` that lies in a window; `None` where the window itself does not exist (no F for `within D of
/// first F`).
pub(in crate::engine) fn within(times: &[Instant], window: Window, view: &CustomerView<'_>) -> Option<Range<usize>> {
    let times = up_to(times, view.at);
    let all = times.len();
    let later_than = |edge: Instant| times.partition_point(|t| *t <= edge);
    let from = |edge: Instant| times.partition_point(|t| *t < edge);
    Some(match window {
        Window::Ever => 0..all,
        Window::Last(span) => later_than(view.at - span)..all,
        Window::Calendar { periods, unit } => from(view.first_midnight(periods, unit))..all,
        Window::Between { far, near } => {
            let start = later_than(view.at - far);
            start..later_than(view.at - near).max(start)
        }
        Window::MoreThan(span) => 0..later_than(view.at - span),
        Window::Since { fact, edge, inclusive } => match view.edge(fact, edge) {
            Some(anchor) if inclusive => from(anchor)..all,
            Some(anchor) => later_than(anchor)..all,
            None => 0..all,
        },
        Window::SinceDate(date) => from(date)..all,
        Window::WithinFirst { fact, span } => {
            let first = view.edge(fact, Edge::First)?;
            let start = from(first);
            start..later_than(first + span).max(start)
        }
    })
}

/// When an instant that is in the window leaves it by time alone.
pub(in crate::engine) fn leaves(time: Instant, window: Window, view: &CustomerView<'_>) -> Instant {
    match window {
        Window::Last(span) | Window::Between { far: span, .. } => time + span,
        Window::Calendar { periods, unit } => {
            view.calendar.start(view.calendar.period(time, unit) + i64::from(periods), unit)
        }
        _ => Instant::MAX,
    }
}

/// When an instant that is not in the window enters it by time alone; a future one does so when it is reached.
fn enters(time: Instant, window: Window, view: &CustomerView<'_>) -> Instant {
    match window {
        Window::MoreThan(span) | Window::Between { near: span, .. } => time + span,
        _ if time > view.at => time,
        _ => Instant::MAX,
    }
}

/// The next instant after `view.at` at which the part of `times` in the window changes by time alone.
pub(in crate::engine) fn next_change(
    times: &[Instant],
    part: &Range<usize>,
    window: Window,
    view: &CustomerView<'_>,
) -> Instant {
    let leaving = times[part.clone()].first().map_or(Instant::MAX, |time| leaves(*time, window, view));
    let entering = times.get(part.end).map_or(Instant::MAX, |time| enters(*time, window, view));
    leaving.min(entering).min(anchor_changes_at(window, view))
}

/// Does one instant lie in the window? Not if the window does not exist.
pub(in crate::engine) fn is_in(at: Instant, window: Window, view: &CustomerView<'_>) -> bool {
    within(&[at], window, view).is_some_and(|part| !part.is_empty())
}

/// Does the window exist? One from a first F on does not without an F.
pub(in crate::engine) fn exists(window: Window, view: &CustomerView<'_>) -> bool {
    within(&[], window, view).is_some()
}

/// As `is_in`, with the instant at which that next changes by time alone.
pub(in crate::engine) fn one_within(time: Instant, window: Window, view: &CustomerView<'_>) -> Verdict {
    let holds = is_in(time, window, view);
    let change = if holds { leaves(time, window, view) } else { enters(time, window, view) };
    let change = if change > view.at { change } else { Instant::MAX };
    Verdict { holds, until: change.min(anchor_changes_at(window, view)) }
}

/// The time of the event that next moves the beginning of a window; there is one only in a view of the past.
fn anchor_changes_at(window: Window, view: &CustomerView<'_>) -> Instant {
    match window {
        Window::Since { fact, .. } | Window::WithinFirst { fact, .. } => view.edge_changes_at(fact),
        _ => Instant::MAX,
    }
}

/// The next instant at which the count of times in the window crosses a bound of the test.
pub(in crate::engine) fn next_crossing(
    times: &[Instant],
    part: &Range<usize>,
    window: Window,
    test: CountTest,
    view: &CustomerView<'_>,
) -> Instant {
    let count = part.len() as u64;
    match window {
        // The count only falls: it crosses the bound when the event that just reaches it leaves.
        Window::Last(_) | Window::Calendar { .. } => test
            .boundary_at_or_below(count)
            .and_then(|boundary| usize::try_from(boundary).ok())
            .map_or(Instant::MAX, |boundary| leaves(times[part.end - boundary], window, view)),
        // The count only rises.
        Window::MoreThan(_) => test
            .boundary_above(count)
            .and_then(|boundary| times.get(usize::try_from(boundary).ok()? - 1))
            .map_or(Instant::MAX, |time| enters(*time, window, view)),
        _ => next_change(times, part, window, view),
    }
}

/// From when on a count of zero counts: the customer must have been known, and the events observed, for the window's
/// length.
pub(in crate::engine) fn known_from(window: Window, observed_from: Instant, view: &CustomerView<'_>) -> Instant {
    let known_since = view.known_since.max(observed_from);
    match window {
        Window::Last(span) | Window::Between { far: span, .. } => known_since + span,
        Window::Calendar { periods, unit } => {
            // The customer must have been known before the window's first midnight.
            let known = view.calendar.period(known_since, unit);
            view.calendar.start(known + i64::from(periods), unit)
        }
        Window::WithinFirst { fact, span } => {
            // Events between the first F and the beginning of observation are unknown.
            let seen = view.edge(fact, Edge::First).filter(|first| *first >= observed_from);
            seen.map_or(Instant::MAX, |first| first + span)
        }
        _ => Instant::MIN,
    }
}
