//! Where a customer stands in one cohort at an instant, why, and what would change it.

use super::remedy::Turn;
use crate::engine::conditions::{CustomerView, Verdict};
use crate::engine::customer::CustomerState;
use crate::engine::decide::Engine;
use crate::engine::effects::{Claim, Part};
use crate::engine::evidence::{Sign, leaves};
use crate::engine::machines::{Foresight, excluder};
use crate::event::{Change, Instant};
use crate::rules::CohortIx;

/// A customer's standing in one cohort at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub cohort: CohortIx,
    pub member: bool,
    /// May enter, as far as earlier stays go.
    pub armed: bool,
    /// When this stay began, or, for who is not a member, when the last one ended; `None`: never entered.
    pub since: Option<Instant>,
    pub times_entered: u32,
    /// The conditions in the order written: of `who`, `stay`, `until`.
    pub clauses: Vec<Clause>,
    pub terms: Vec<Term>,
    /// What changes next if the customer stays silent; `None`: nothing, as far as was looked ahead.
    pub next_change: Option<(Instant, Change)>,
}

/// One condition, and what would turn it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    pub of: Of,
    pub part: Part,
    pub turn: Turn,
}

/// Where in a cohort a condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Who,
    Stay,
    Until,
}

impl Of {
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

/// What besides the conditions holds a customer in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The cohort is not enabled.
    Disabled,
    /// Stays until then, but for `until` and the group.
    AtLeast(Instant),
    /// Leaves then at the latest.
    AtMost(Instant),
    /// Left while `who` held, which must fail before the next entry.
    Disarmed,
    /// May not enter again before then.
    Cooldown(Instant),
    /// Was in once, which is as often as anyone may.
    Once,
    /// This cohort of the group is held.
    Excluded { by: CohortIx },
}

/// Explains a standing at an instant up to which all deadlines of the customer are decided.
#[must_use]
pub fn explain(engine: &Engine, state: &CustomerState, index: CohortIx, at: Instant) -> Explanation {
    let rules = engine.rules();
    let scene = engine.view(state, at);
    let (cohort, membership) = (rules.cohort(index), scene.membership(index));
    let mut clauses = Vec::new();
    for (of, node) in
        [(Of::Who, Some(&cohort.who)), (Of::Stay, cohort.stay.as_ref()), (Of::Until, cohort.until.as_ref())]
    {
        let mut parts = Vec::new();
        node.into_iter().for_each(|node| leaves(node, Sign::Plain, &scene, &mut parts));
        clauses.extend(parts.into_iter().map(|mut part| {
            part.until = turns_at(&part, &scene);
            Clause { of, turn: Turn::of(&part, &scene), part }
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
        terms: terms(index, &scene),
        next_change: Foresight::new(rules).next_change(scene, index),
    }
}

/// How many instants at which a condition may change are looked at before it is taken to stay as it is.
const LOOKED_AHEAD: usize = 64;

/// When a condition does turn in silence, not only may: it is run ahead from one bound to the next. `MAX`: not as far as was
/// looked ahead.
fn turns_at(part: &Part, scene: &CustomerView<'_>) -> Instant {
    let Claim::Condition { index, second, .. } = &part.claim else { return part.until };
    let verdict = |at: Instant| {
        let then = CustomerView { at, ..*scene };
        let both = std::iter::once(*index).chain(*second).map(|index| then.condition(index));
        both.fold(Verdict::always(true), |one, other| Verdict {
            holds: one.holds && other.holds,
            until: one.until.min(other.until),
        })
    };
    let now = verdict(scene.at);
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

fn terms(index: CohortIx, scene: &CustomerView<'_>) -> Vec<Term> {
    let (cohort, membership) = (scene.rules.cohort(index), scene.membership(index));
    let ahead = |instant: &Instant| *instant > scene.at;
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
        terms.extend(excluder(cohort, scene).map(|by| Term::Excluded { by }));
    }
    terms
}
