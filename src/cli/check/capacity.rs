//! The limits up to which measures are exact.

use crate::cli::format::grouped;
use crate::fact::{DISTINCT_MAX, SERIES_EXACT, TEXT_MAX, VALUES_MAX};
use crate::rules::Document;
use crate::rules::ast::{Expr, ExprKind, Function, Measure, MeasureKind, Operand, Window};

/// One sentence for each kind of storage that the measures in use share.
pub(super) fn of(document: &Document) -> Vec<String> {
    let mut storage = Storage::default();
    for rule in document.cohorts.values() {
        for written in [Some(&rule.who), rule.stay.as_ref(), rule.until.as_ref()].into_iter().flatten() {
            storage.expr(document, &written.expr);
        }
    }
    let distinct = grouped(DISTINCT_MAX as u64);
    let sums = format!("{SERIES_EXACT} events of a window: counts, sums and averages; older ones leave it by the day");
    let middles = format!(
        "{SERIES_EXACT} numbers: `median`, and `min` and `max` of a window; older ones as the average of their day"
    );
    let values =
        format!("{VALUES_MAX} values: `most_common`, and `first` and `last` of a window; older ones are forgotten");
    let distinct = format!(
        "{distinct} different values: `distinct`; over `between ... ago`, `within ...` and in `change in`, events"
    );
    let texts = format!("{TEXT_MAX} bytes of a text: what comes after them is not compared");
    let answers =
        format!("{VALUES_MAX} events within `time.max_lateness`: `time from` and `steps from` where one comes late");
    let changes = format!("{SERIES_EXACT} events since then: what a measure was, for `change in`");
    let sentences = [
        (storage.sums, sums),
        (storage.middles, middles),
        (storage.values, values),
        (storage.distinct, distinct),
        (storage.texts, texts),
        (storage.answers, answers),
        (storage.changes, changes),
    ];
    sentences.into_iter().filter(|(storage, _)| *storage).map(|(_, sentence)| sentence).collect()
}

#[derive(Default)]
struct Storage {
    sums: bool,
    middles: bool,
    values: bool,
    distinct: bool,
    texts: bool,
    answers: bool,
    changes: bool,
}

impl Storage {
    fn expr(&mut self, document: &Document, expr: &Expr) {
        match &expr.kind {
            ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| self.expr(document, part)),
            ExprKind::Not(inner) => self.expr(document, inner),
            ExprKind::Compare(compare) => {
                self.measure(document, &compare.measure);
                for operand in compare.test.operands() {
                    match operand {
                        Operand::Measure(_, measure) => self.measure(document, measure),
                        Operand::Word(name) if document.measures.contains_key(&name.text) => {
                            self.measure(document, &document.measures[&name.text].measure);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn measure(&mut self, document: &Document, measure: &Measure) {
        match &measure.kind {
            MeasureKind::Count(_, window) => self.sums |= is_windowed(window),
            MeasureKind::Of { function, window, .. } => match function {
                Function::Sum | Function::Average => self.sums |= is_windowed(window),
                Function::Median => self.middles = true,
                Function::Min | Function::Max => self.middles |= is_windowed(window),
                Function::Distinct => self.distinct = true,
                Function::First | Function::Last => {
                    self.texts = true;
                    self.values |= !matches!(window, Window::Ever);
                }
                Function::MostCommon => (self.texts, self.values) = (true, true),
            },
            MeasureKind::TimeFrom { .. } | MeasureKind::Steps { .. } => self.answers = true,
            MeasureKind::Change(inner, _) => {
                self.changes = true;
                self.measure(document, inner);
            }
            MeasureKind::Ratio(above, below) => {
                self.measure(document, above);
                self.measure(document, below);
            }
            MeasureKind::Named(name) => match document.measures.get(&name.text) {
                Some(defined) => self.measure(document, &defined.measure),
                None => self.texts = true,
            },
            MeasureKind::ActiveDays(..) | MeasureKind::TimeSince(..) | MeasureKind::UsualGap(_) => {}
        }
    }
}

/// `ever` and `since` a date take a single sum.
fn is_windowed(window: &Window) -> bool {
    !matches!(window, Window::Ever | Window::SinceDate(_))
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::rules::read;

    fn sentences(who: &str) -> usize {
        let text = format!("[measures]\nm = 'median(a_.b)'\n[cohorts.c]\nwho = '{who}'");
        of(&read("r.toml", &text).unwrap()).len()
    }

    #[test]
    fn what_has_a_limit_is_named_once() {
        assert_eq!(sentences("m > 1 and median(c.d) > 2"), 1);
        assert_eq!(sentences("change in last(a_.b) over 1 day > 1 x distinct(a_.b)"), 3);
        assert_eq!(sentences("sum(a_.b) > 1 and min(a_.b) > 1 and time since last a_ > 1 day"), 0);
    }
}
