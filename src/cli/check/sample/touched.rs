//! The number of customers that each condition holds for.

use crate::cli::format::grouped;
use crate::engine::{Shard, Slot};
use crate::event::Instant;
use crate::rules::{Node, RuleSet};

/// A heading and one line for each condition, by cohort.
pub(super) fn lines(rules: &RuleSet, shard: &Shard, at: Instant) -> Vec<String> {
    if shard.is_empty() {
        return vec!["has no events".to_owned()];
    }
    // No customer was evicted, so the slots are the numbers below the count.
    let customers: Vec<Slot> =
        (0..shard.len()).map(|slot| Slot(u32::try_from(slot).expect("slots are numbered in 32 bits"))).collect();
    let count = |holds: &dyn Fn(Slot) -> bool| customers.iter().filter(|slot| holds(**slot)).count() as u64;
    let mut lines = Vec::new();
    for (index, cohort) in rules.cohorts.iter().enumerate() {
        let members = count(&|slot| shard.state(slot).memberships[index].member);
        let ever = count(&|slot| shard.state(slot).memberships[index].times_entered > 0);
        if index > 0 {
            lines.push(String::new());
        }
        lines.push(format!("{}: {} in, {} ever", cohort.name, grouped(members), grouped(ever)));
        let parts = [("who", Some(&cohort.who)), ("stay", cohort.stay.as_ref()), ("until", cohort.until.as_ref())];
        for (key, node) in parts {
            let Some(node) = node else { continue };
            for (node, denied, words) in conditions(node) {
                let holds = count(&|slot| shard.engine().holds(&shard.state(slot), node, at) != denied);
                let not = if denied { "not " } else { "" };
                lines.push(format!("  {key:<5}  {:>9}  {not}{words}", grouped(holds)));
            }
        }
    }
    lines
}

/// The conditions in the order written, each with whether a `not` stands before it.
fn conditions(node: &Node) -> Vec<(&Node, bool, &str)> {
    match node {
        Node::Leaf(_, words) => vec![(node, false, &**words)],
        Node::Not(inner) => conditions(inner).into_iter().map(|(node, denied, words)| (node, !denied, words)).collect(),
        Node::And(parts) | Node::Or(parts) => match one_condition(parts) {
            Some(words) => vec![(node, false, words)],
            None => parts.iter().flat_map(conditions).collect(),
        },
    }
}

/// The words of a condition that takes several tests, such as `between 2 and 5`.
fn one_condition(parts: &[Node]) -> Option<&str> {
    let mut all = parts.iter().map(|part| match part {
        Node::Leaf(_, words) => Some(&**words),
        _ => None,
    });
    let first = all.next()??;
    (parts.len() > 1 && all.all(|words| words == Some(first))).then_some(first)
}
