//! Conditions that exclude each other in practice: a high risk and a high value, where the risk reduces the value.

use crate::engine::{Shard, Slot};
use crate::event::Instant;
use crate::rules::ast::{Expr, ExprKind, MeasureKind, Op, Range};
use crate::rules::{Condition, Measure, Node, Page, RuleSet, Score, Warning};

/// A warning for each cohort that requires a level of risk and a value which no customer of the sample has together.
pub(super) fn warnings(page: &Page<'_>, rules: &RuleSet, shard: &Shard, at: Instant) -> Vec<Warning> {
    let slots: Vec<Slot> = shard.residents().collect();
    let mut found = Vec::new();
    for (index, cohort) in rules.cohorts.iter().enumerate() {
        let Node::And(parts) = &cohort.who else { continue };
        let asks = |wanted: Score, fits: fn(Op) -> bool| parts.iter().find(|part| is_score(part, wanted, fits, rules));
        let level = asks(Score::Level, |op| op == Op::Eq);
        let value = asks(Score::Value, |op| matches!(op, Op::Gt | Op::Ge));
        let Some((level, value)) = level.zip(value) else { continue };
        let holds = |node: &Node, slot: &Slot| shard.engine().holds(&shard.state(*slot), node, at);
        let ever = slots.iter().any(|slot| shard.state(*slot).memberships[index].times_entered > 0);
        let both = slots.iter().any(|slot| holds(level, slot) && holds(value, slot));
        let each = [level, value].iter().all(|node| slots.iter().any(|slot| holds(node, slot)));
        if ever || both || !each {
            continue;
        }
        let written = &page.document.cohorts[&cohort.name].who;
        let message = format!(
            "`{}` and `{}` never meet in the sample: `clv` already counts how likely it is that somebody is gone",
            words(level),
            words(value)
        );
        let hint = "use `clv_if_active`, what they would be worth if they were not, or `value_at_risk`";
        found.push(page.warning((&cohort.name, "who", written), place(&written.expr), message, hint));
    }
    found
}

fn is_score(node: &Node, wanted: Score, fits: fn(Op) -> bool, rules: &RuleSet) -> bool {
    let Node::Leaf(condition, _) = node else { return false };
    match rules.condition(*condition) {
        Condition::Compare { measure: Measure::Score { score, .. }, op, .. } => *score == wanted && fits(*op),
        _ => false,
    }
}

fn words(node: &Node) -> &str {
    match node {
        Node::Leaf(_, words) => words,
        _ => "",
    }
}

/// Where the value is asked for.
fn place(who: &Expr) -> Range {
    let ExprKind::And(parts) = &who.kind else { return who.range };
    let asks = |part: &&Expr| match &part.kind {
        ExprKind::Compare(compare) => matches!(&compare.measure.kind, MeasureKind::Named(name) if name.text == "clv"),
        _ => false,
    };
    parts.iter().find(asks).map_or(who.range, |part| part.range)
}
