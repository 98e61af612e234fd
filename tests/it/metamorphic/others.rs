//! A customer alone in a log in time order is decided as among others.
//!
//! Others move stream time, which decides when deadlines are decided, what is late, and what is forgotten; in a log in
//! time order nothing is late, and the rest is seen in no output.

use cohortd::engine::{CustomerState, Membership, Sparse};
use cohortd::event::Instant;

use super::{any_case, decisions, in_time_order, lines, same};
use crate::engine_under_test::run_to_states;
use crate::generate::Property;
use crate::naive::Case;

pub(super) const PROPERTY: Property = Property {
    test: "metamorphic::other_customers_change_nothing_of_a_customer_while_the_log_is_in_time_order",
    cases: 3_000,
    make: any_case,
    check,
};

fn check(case: &Case, _: u64) -> Result<(), String> {
    let case = in_time_order(case);
    let (together, states) = run_to_states(&case)?;
    for (customer, state) in &states {
        let own = |position: &usize| case.events[*position].customer == *customer;
        let numbers: Vec<usize> = (0..case.events.len()).filter(own).collect();
        let events = numbers.iter().map(|position| case.events[*position].clone()).collect();
        let alone = Case { events, ..case.clone() };
        let (mut expected, found) = (together.clone(), run_to_states(&alone)?);
        expected.changes.retain(|change| change.customer == *customer);
        same(&decisions(expected, |position| position), &decisions(found.0, |position| numbers[position]), &alone)?;
        let after = &found.1[customer];
        if decided(state) != decided(after) {
            return Err(format!("the state of {customer} differs\n- {state:?}\n+ {after:?}\n{}", lines(&alone)));
        }
    }
    Ok(())
}

/// What decisions have made of a customer: all but facts and ids, which stream time lets go of.
fn decided(state: &CustomerState) -> (Instant, Instant, u64, Sparse<Membership>) {
    let mut memberships = state.memberships.clone();
    let wishes = memberships.values_mut().filter_map(|membership| membership.pending.as_mut());
    wishes.filter_map(|pending| pending.cause.as_mut()).for_each(|cause| cause.position = 0);
    (state.known_since, state.clock, state.sequence, memberships)
}
