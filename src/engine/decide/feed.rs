//! Feeds an event to the facts that it matches.

use super::context::Context;
use super::scratch::Scratch;
use crate::engine::customer::CustomerState;
use crate::engine::effects::Counts;
use crate::event::{CustomerEvent, Instant};
use crate::fact::{Fact, FactIx, FeedContext};
use crate::rules::Input;

/// Feeds the `wanted` facts, and marks everything that reads one that changed.
pub(super) fn feed(
    context: &Context,
    scratch: &mut Scratch,
    state: &mut CustomerState,
    event: &CustomerEvent<'_>,
    settled_before: Instant,
    wanted: impl Fn(FactIx) -> bool,
    counts: &mut Counts,
) {
    let rules = &context.rules;
    for feed in rules.feeds(event.name_id).iter().filter(|feed| wanted(feed.fact)) {
        let number = usize::from(feed.fact.0);
        let parts = feed.role.parts(event);
        let kind = &rules.facts[number].kind;
        let floor = kind.floor_fact().and_then(|fact| state.facts.get(usize::from(fact.0)));
        let edge = floor.and_then(Fact::edge_times);
        let approximated = &mut counts.approximated;
        let mut feed_context = FeedContext { settled_before, edge, calendar: &context.calendar, approximated };
        let changed = match state.facts.get_mut(number) {
            Some(fact) => {
                fact.forget(kind, edge, settled_before);
                let changed = parts != 0 && fact.feed(kind, event, parts, &mut feed_context);
                if fact.is_empty() {
                    state.facts.remove(number);
                }
                changed
            }
            None if parts != 0 => {
                let mut fact = Fact::empty(kind);
                let changed = fact.feed(kind, event, parts, &mut feed_context);
                if !fact.is_empty() {
                    state.facts.put(number, fact);
                }
                changed
            }
            None => false,
        };
        if changed {
            scratch.add_readers(rules, Input::Fact(feed.fact));
        }
    }
}
