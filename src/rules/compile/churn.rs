//! `[churn]`, and comparisons with scores.

use super::canonical::hash128;
use super::definitions::churn_canonical;
use super::names::{bare_names, cohorts_named};
use super::{Compiled, Compiler};
use crate::event::NameId;
use crate::fact::{A, FactIx, FactKind, PurchaseDays, UsageDays};
use crate::rules::ast::{Compare, CompareTest, Expr, Literal, Name, Op, Operand, Range};
use crate::rules::document::{ChurnModel, ChurnRule, Document, LOWEST_LEVEL, SignalRule};
use crate::rules::error::{ExprError, RuleError, nearest};
use crate::rules::measure::{Comparand, Measure, Score};
use crate::rules::ruleset::{Churn, Feed, PlainVisit, Signal};
use crate::rules::source::locate;

impl Score {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "alive" => Some(Self::Alive),
            "churn_level" => Some(Self::Level),
            "churn_risk" => Some(Self::Risk),
            "clv" => Some(Self::Value),
            "clv_if_active" => Some(Self::ValueIfActive),
            "value_at_risk" => Some(Self::ValueAtRisk),
            _ => None,
        }
    }
}

impl Compiler<'_> {
    /// The fact with the days of `churn.on`.
    pub(super) fn days_of(&mut self, rule: &ChurnRule) -> FactIx {
        let selector = self.selector(&rule.on);
        let kind: FactKind = match rule.model {
            ChurnModel::Usage => UsageDays.into(),
            ChurnModel::Purchases => {
                let amount = rule.amount.as_ref();
                let amount = amount.map(|amount| (self.name(&amount.event.text), self.property(&amount.property)));
                PurchaseDays { amount }.into()
            }
        };
        self.fact(kind, &selector, None)
    }

    pub(super) fn churn(&mut self, file: &str, text: &str, rule: &ChurnRule) -> Result<Churn, Vec<RuleError>> {
        let fact = self.days_of(rule);
        let (mut signals, mut errors) = (Vec::new(), Vec::new());
        for signal in &rule.signals {
            match self.signal(signal) {
                Ok(compiled) => signals.push(compiled),
                Err(error) => {
                    let range = locate(text, signal.when.literal.clone(), &signal.when.text, error.range);
                    errors.push(RuleError::at(file, text, range, "churn.signals.when", error.message, error.hint));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Churn {
            model: rule.model,
            fact,
            has_amounts: rule.amount.is_some(),
            currency: rule.currency.clone(),
            horizon: rule.horizon,
            levels: rule.levels.iter().map(|(name, _)| name.clone()).collect(),
            thresholds: rule.levels.iter().map(|(_, threshold)| *threshold).collect(),
            min_silence: rule.min_silence,
            signals,
            plain_visit: None,
            definition: format!("{:016x}", hash128(&churn_canonical(self.document, rule)) >> 64),
        })
    }

    /// `feeds`: by the numbers of the event names.
    pub(super) fn plain_visit(&self, churn: &Churn, feeds: &[Vec<Feed>]) -> Option<PlainVisit> {
        let is_plain = |name: NameId| {
            let mut roles = feeds[usize::from(name.0)].iter().filter(|feed| feed.fact == churn.fact);
            roles.any(|feed| feed.role.filters(A).is_some_and(<[_]>::is_empty))
        };
        let paid = match &self.facts[usize::from(churn.fact.0)].kind {
            FactKind::PurchaseDays(PurchaseDays { amount: Some((name, amount)) }) => {
                Some(PlainVisit { name: *name, amount: Some(*amount) })
            }
            _ => None,
        };
        let names = (0..feeds.len().saturating_sub(1)).filter_map(|name| u16::try_from(name).ok().map(NameId));
        let unpaid = names.map(|name| PlainVisit { name, amount: None });
        paid.into_iter().chain(unpaid).find(|visit| is_plain(visit.name))
    }

    fn signal(&mut self, rule: &SignalRule) -> Compiled<Signal> {
        if let Some(range) = score_in(self.document, &rule.when.expr) {
            return Err(
                ExprError::new(range, "a signal cannot use a score").hint("use what the customer did, or did not do")
            );
        }
        let mut named = Vec::new();
        cohorts_named(&rule.when.expr, &mut named);
        if let Some(name) = named.into_iter().find(|name| !self.document.cohorts.contains_key(&name.text)) {
            let error = ExprError::new(name.range, format!("there is no cohort `{}`", name.text));
            return Err(match nearest(&name.text, self.document.cohorts.keys().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("define it, or remove the reference"),
            });
        }
        let when = self.node(&rule.when.text, &rule.when.expr)?;
        Ok(Signal { when, points: rule.points, because: rule.because.clone() })
    }

    /// Scores change continuously and not linearly, so that only some comparisons have an instant that can be solved
    /// for.
    pub(super) fn score_fits(&self, compare: &Compare, measure: &Measure) -> Compiled<()> {
        let Measure::Score { score, .. } = measure else { return Ok(()) };
        let range = compare.measure.range;
        let moves = matches!(score, Score::Risk | Score::Alive);
        if *score == Score::Level {
            return self.level_fits(compare);
        }
        let number = |operand: &Operand| matches!(operand, Operand::Literal(_));
        match &compare.test {
            CompareTest::Known | CompareTest::Missing => Ok(()),
            _ if !moves => Ok(()),
            CompareTest::Compare(Op::Eq | Op::Ne, _) => {
                Err(ExprError::new(range, "this equals a number only for a moment").hint("compare with <, <=, > or >="))
            }
            CompareTest::Compare(_, operand) if number(operand) => Ok(()),
            CompareTest::Between(low, high) if number(low) && number(high) => Ok(()),
            _ => {
                Err(ExprError::new(range, "this can only be compared with a number").hint("such as `churn_risk >= 85`"))
            }
        }
    }

    fn level_fits(&self, compare: &Compare) -> Compiled<()> {
        let range = compare.measure.range;
        let (op, operand) = match &compare.test {
            CompareTest::Known | CompareTest::Missing => return Ok(()),
            CompareTest::Compare(op, operand) => (*op, operand),
            CompareTest::Between(low, _) => (Op::Ge, low),
        };
        let names = || {
            let levels = self.document.churn.iter().flat_map(|churn| &churn.levels);
            [LOWEST_LEVEL].into_iter().chain(levels.map(|(name, _)| name.as_str()))
        };
        match (op, operand) {
            (Op::Eq | Op::Ne, Operand::Literal(Literal::Text(name)) | Operand::Word(Name { text: name, .. }))
                if names().any(|known| known == name) =>
            {
                Ok(())
            }
            (Op::Eq | Op::Ne, Operand::Literal(Literal::Text(name)) | Operand::Word(Name { text: name, .. })) => {
                let error = ExprError::new(range, format!("there is no level `{name}`"));
                Err(match nearest(name, names()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("the levels are: {}", names().collect::<Vec<_>>().join(", "))),
                })
            }
            _ => Err(ExprError::new(range, "a level can only be compared with the name of a level")
                .hint("use = or !=: `churn_level = high`; or use `churn_risk`")),
        }
    }

    /// Scores that change continuously can be compared only with numbers.
    pub(super) fn comparand_fits(&self, with: &Comparand, range: Range) -> Compiled<()> {
        match with {
            Comparand::Measure { measure: Measure::Score { score: Score::Risk | Score::Alive, .. }, .. } => {
                Err(ExprError::new(range, "this can only be compared with a number")
                    .hint("write it on the left, and a number on the right: `churn_risk >= 85`"))
            }
            _ => Ok(()),
        }
    }
}

/// The location of a score in an expression, direct or by a named measure.
fn score_in(document: &Document, expr: &Expr) -> Option<Range> {
    bare_names(document, expr).into_iter().find(|(name, _)| Score::named(name).is_some()).map(|(_, range)| range)
}
