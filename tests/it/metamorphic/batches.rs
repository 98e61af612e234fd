//! A lane may end a batch after any event, flush, put customers out of memory, or start again there.

use crate::engine_under_test::{BatchEnd, run_in_batches};
use crate::generate::{Generated, Property, Random};
use crate::naive::Case;

pub(super) const PROPERTY: Property =
    Property { test: "metamorphic::where_batches_end_changes_no_output", cases: 3_000, make, check };

/// Every fifth case is one in which churn is watched.
fn make(seed: u64) -> Option<Generated> {
    Some(if seed.is_multiple_of(5) { Generated::with_churn(seed) } else { Generated::new(seed) })
}

fn check(case: &Case, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let whole = run_in_batches(case, || None)?;
    for often in [5, 25, 100] {
        let ends = || {
            random.percent(often).then(|| match random.below(6) {
                0 | 1 => BatchEnd::Plain,
                2 => BatchEnd::Flush(1),
                3 => BatchEnd::Flush(usize::MAX),
                4 => BatchEnd::Evict,
                _ => BatchEnd::Restart,
            })
        };
        let split = run_in_batches(case, ends)?;
        for (customer, decisions) in &whole {
            let again = split.get(customer).map_or(&[][..], Vec::as_slice);
            let alike = decisions.iter().zip(again).take_while(|(one, other)| one == other).count();
            if alike < decisions.len() || alike < again.len() {
                let (one, other) = (decisions.get(alike), again.get(alike));
                return Err(format!("of {customer}, batches ending after {often} %:\n- {one:?}\n+ {other:?}"));
            }
        }
        if split.len() != whole.len() {
            return Err("changes of more customers than without batches".into());
        }
    }
    Ok(())
}
