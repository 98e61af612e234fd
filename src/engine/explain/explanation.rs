//! A customer's membership in one cohort at an instant, the reasons for it, and what would change it.

use super::remedy::Remedy;
use crate::engine::conditions::{CustomerView, Verdict};
use crate::engine::customer::CustomerState;
use crate::engine::decide::Engine;
use crate::engine::effects::{Claim, EvidencePart};
use crate::engine::evidence::{Sign, leaves};
use crate::engine::machines::{Lookahead, excluder};
use crate::event::{Change, Instant};
use crate::rules::CohortIx;

/// A customer's membership in one cohort at one instant, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub cohort: CohortIx,
    pub member: bool,
    /// May enter, as far as earlier stays allow.
    pub armed: bool,
    /// When this stay began, or, for a former member, when the last one ended; `None`: never entered.
    pub since: Option<Instant>,
    pub times_entered: u32,
    /// The conditions of `who`, `stay` and `until`, in the order written.
    pub clauses: Vec<Clause>,
    pub terms: Vec<Term>,
    /// What changes next without further events; `None`: nothing within the lookahead.
    pub next_change: Option<(Instant, Change)>,
}

/// One condition, and what would change its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    pub of: RulePart,
    pub part: EvidencePart,
    pub remedy: Remedy,
}

/// The expression of a cohort that a condition belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePart {
    Who,
    Stay,
    Until,
}

impl RulePart {
    /// The key in the rules file.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Stay => "stay",
            Self::Until => "until",
        }
    }
}

/// What beside the conditions keeps a customer in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The cohort is not enabled.
    Disabled,
    /// Stays until then, unless `until` or the group ends it.
    AtLeast(Instant),
    /// Leaves then at the latest.
    AtMost(Instant),
    /// Left while `who` held, which must become false before the next entry.
    Disarmed,
    /// May not enter again before then.
    Cooldown(Instant),
    /// Was in once, and may not enter again.
    Once,
    /// The customer is in this cohort of the group, which has a higher priority.
    Excluded { by: CohortIx },
}

/// Explains a membership at an instant up to which all deadlines of the customer are decided.
#[must_use]
pub fn explain(engine: &Engine, state: &CustomerState, index: CohortIx, at: Instant) -> Explanation {
    let rules = engine.rules();
    let view = engine.view(state, at);
    let (cohort, membership) = (rules.cohort(index), view.membership(index));
    let mut clauses = Vec::new();
    for (of, node) in [
        (RulePart::Who, Some(&cohort.who)),
        (RulePart::Stay, cohort.stay.as_ref()),
        (RulePart::Until, cohort.until.as_ref()),
    ] {
        let mut parts = Vec::new();
        node.into_iter().for_each(|node| leaves(node, Sign::Plain, &view, &mut parts));
        clauses.extend(parts.into_iter().map(|mut part| {
            part.until = changes_at(&part, &view);
            Clause { of, remedy: Remedy::of(&part, &view), part }
        }));
    }
    let since = if membership.member { membership.entered_at } else { membership.exited_at };
    Explanation {
        cohort: index,
        member: membership.member,
        armed: membership.armed,
        since: Some(since).filter(|since| *since > Instant::MIN),
        times_entered: membership.times_entered,
        clauses,
        terms: terms(index, &view),
        next_change: Lookahead::new(rules).next_change(view, index),
    }
}

/// How many instants at which a condition may change are tried before it is taken to stay as it is.
const LOOKED_AHEAD: usize = 64;

/// When a condition does change by time alone: `until` says only when it may, so it is evaluated from one bound to the
/// next. `MAX`: not within the lookahead.
fn changes_at(part: &EvidencePart, view: &CustomerView<'_>) -> Instant {
    let Claim::Condition { index, second, .. } = &part.claim else { return part.until };
    let verdict = |at: Instant| {
        let then = CustomerView { at, ..*view };
        let both = std::iter::once(*index).chain(*second).map(|index| then.condition(index));
        both.fold(Verdict::always(true), |one, other| Verdict {
            holds: one.holds && other.holds,
            until: one.until.min(other.until),
        })
    };
    let now = verdict(view.at);
    let mut next = now.until;
    for _ in 0..LOOKED_AHEAD {
        if next == Instant::MAX {
            break;
        }
        let then = verdict(next);
        if then.holds != now.holds {
            return next;
        }
        next = then.until;
    }
    Instant::MAX
}

fn terms(index: CohortIx, view: &CustomerView<'_>) -> Vec<Term> {
    let (cohort, membership) = (view.rules.cohort(index), view.membership(index));
    let ahead = |instant: &Instant| *instant > view.at;
    let mut terms = Vec::new();
    if !cohort.enabled {
        terms.push(Term::Disabled);
    } else if membership.member {
        let after = |span| membership.entered_at + span;
        terms.extend(cohort.at_least.map(after).filter(ahead).map(Term::AtLeast));
        terms.extend(cohort.at_most.map(after).map(Term::AtMost));
    } else if cohort.once && membership.times_entered > 0 {
        terms.push(Term::Once);
    } else {
        terms.extend((!membership.armed).then_some(Term::Disarmed));
        let left = Some(membership.exited_at).filter(|left| *left > Instant::MIN);
        let cooled = cohort.cooldown.zip(left).map(|(span, left)| left + span);
        terms.extend(cooled.filter(ahead).map(Term::Cooldown));
        terms.extend(excluder(cohort, view).map(|by| Term::Excluded { by }));
    }
    terms
}
