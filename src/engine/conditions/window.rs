//! Which of a list of ascending times lie in a window at an instant, and when that next changes.

use std::ops::Range;

use super::view::{CustomerView, upto};
use crate::event::Instant;
use crate::rules::ast::Edge;
use crate::rules::{CountTest, Window};

/// The part of `times` that lies in a window; `None` where the window itself does not exist (no F for `within D of
/// first F`).
pub(in crate::engine) fn within(times: &[Instant], window: Window, scene: &CustomerView<'_>) -> Option<Range<usize>> {
    let times = upto(times, scene.at);
    let all = times.len();
    let later_than = |edge: Instant| times.partition_point(|t| *t <= edge);
    let from = |edge: Instant| times.partition_point(|t| *t < edge);
    Some(match window {
        Window::Ever => 0..all,
        Window::Last(span) => later_than(scene.at - span)..all,
        Window::Calendar { periods, unit } => from(scene.first_midnight(periods, unit))..all,
        Window::Between { far, near } => {
            let start = later_than(scene.at - far);
            start..later_than(scene.at - near).max(start)
        }
        Window::MoreThan(span) => 0..later_than(scene.at - span),
        Window::Since { fact, edge, inclusive } => match scene.edge(fact, edge) {
            Some(anchor) if inclusive => from(anchor)..all,
            Some(anchor) => later_than(anchor)..all,
            None => 0..all,
        },
        Window::SinceDate(date) => from(date)..all,
        Window::WithinFirst { fact, span } => {
            let first = scene.edge(fact, Edge::First)?;
            let start = from(first);
            start..later_than(first + span).max(start)
        }
    })
}

/// When an instant now in the window leaves it, if time alone makes it so.
pub(in crate::engine) fn leaves(time: Instant, window: Window, scene: &CustomerView<'_>) -> Instant {
    match window {
        Window::Last(span) | Window::Between { far: span, .. } => time + span,
        Window::Calendar { periods, unit } => {
            scene.calendar.start(scene.calendar.period(time, unit) + i64::from(periods), unit)
        }
        _ => Instant::MAX,
    }
}

/// When an instant not in the window enters it, if time alone makes it so; one later than now does so when it comes.
fn enters(time: Instant, window: Window, scene: &CustomerView<'_>) -> Instant {
    match window {
        Window::MoreThan(span) | Window::Between { near: span, .. } => time + span,
        _ if time > scene.at => time,
        _ => Instant::MAX,
    }
}

/// The next instant after `scene.at` at which the part of `times` in the window changes by time alone.
pub(in crate::engine) fn next_change(
    times: &[Instant],
    part: &Range<usize>,
    window: Window,
    scene: &CustomerView<'_>,
) -> Instant {
    let leaving = times[part.clone()].first().map_or(Instant::MAX, |time| leaves(*time, window, scene));
    let entering = times.get(part.end).map_or(Instant::MAX, |time| enters(*time, window, scene));
    leaving.min(entering).min(anchor_moves(window, scene))
}

/// Does one instant lie in the window? Not if the window does not exist.
pub(in crate::engine) fn is_in(at: Instant, window: Window, scene: &CustomerView<'_>) -> bool {
    within(&[at], window, scene).is_some_and(|part| !part.is_empty())
}

/// As `next_change` of one instant, in the window or not.
pub(in crate::engine) fn next_of_one(time: Instant, held: bool, window: Window, scene: &CustomerView<'_>) -> Instant {
    let change = if held { leaves(time, window, scene) } else { enters(time, window, scene) };
    let change = if change > scene.at { change } else { Instant::MAX };
    change.min(anchor_moves(window, scene))
}

/// When the event comes that moves the beginning of a window; only where the scene lies in the past.
fn anchor_moves(window: Window, scene: &CustomerView<'_>) -> Instant {
    match window {
        Window::Since { fact, .. } | Window::WithinFirst { fact, .. } => scene.edge_moves(fact),
        _ => Instant::MAX,
    }
}

/// The next instant at which a count of times in the window passes a boundary of the test.
pub(in crate::engine) fn next_crossing(
    times: &[Instant],
    part: &Range<usize>,
    window: Window,
    test: CountTest,
    scene: &CustomerView<'_>,
) -> Instant {
    let count = part.len() as u64;
    match window {
        // The count only falls: it passes the boundary when the event that just reaches it leaves.
        Window::Last(_) | Window::Calendar { .. } => test
            .boundary_at_or_below(count)
            .and_then(|boundary| usize::try_from(boundary).ok())
            .map_or(Instant::MAX, |boundary| leaves(times[part.end - boundary], window, scene)),
        // The count only rises.
        Window::MoreThan(_) => test
            .boundary_above(count)
            .and_then(|boundary| times.get(usize::try_from(boundary).ok()? - 1))
            .map_or(Instant::MAX, |time| enters(*time, window, scene)),
        _ => next_change(times, part, window, scene),
    }
}

/// From when on "nothing found" counts: the customer must have been known, and what is looked for observed, for the window's
/// length.
pub(in crate::engine) fn known_from(window: Window, observed_from: Instant, scene: &CustomerView<'_>) -> Instant {
    let known_since = scene.known_since.max(observed_from);
    match window {
        Window::Last(span) | Window::Between { far: span, .. } => known_since + span,
        Window::Calendar { periods, unit } => {
            // Known since before the first midnight: from the start of the `periods`-th period after that of the start.
            let known = scene.calendar.period(known_since, unit);
            scene.calendar.start(known + i64::from(periods), unit)
        }
        Window::WithinFirst { fact, span } => {
            // What came between the first F and the beginning is not known.
            let seen = scene.edge(fact, Edge::First).filter(|first| *first >= observed_from);
            seen.map_or(Instant::MAX, |first| first + span)
        }
        _ => Instant::MIN,
    }
}
