//! Warnings about rules that are valid but probably not intended. They avoid false positives: a rule that may well be
//! intended gets none.

mod contradiction;
mod likeness;
mod names;
mod stays;
mod traps;

use std::fmt;

use self::likeness::Words;
use super::ast::{Expr, ExprKind, Range};
use super::document::{Document, Written};
use super::error::RuleError;
use super::source::locate;

/// A warning, displayed like an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(RuleError);

impl Warning {
    /// From 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// From 1, in characters.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.0)
    }
}

/// A rules file and the document that was read from it.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub document: &'a Document,
}

impl Page<'_> {
    /// A warning about a part of an expression.
    #[must_use]
    pub fn warning(
        &self,
        (cohort, key, written): (&str, &str, &Written),
        range: Range,
        message: String,
        hint: &str,
    ) -> Warning {
        let range = locate(self.text, written.literal.clone(), &written.text, range);
        let key = format!("cohorts.{cohort}.{key}");
        Warning(RuleError::at(self.file, self.text, range, &key, message, Some(hint.to_owned())))
    }
}

impl Page<'_> {
    /// A warning about a part of a named measure.
    #[must_use]
    pub fn warning_of_measure(&self, name: &str, range: Range, message: String, hint: &str) -> Option<Warning> {
        let defined = self.document.measures.get(name)?;
        let range = locate(self.text, defined.literal.clone(), &defined.text, range);
        Some(Warning(RuleError::at(
            self.file,
            self.text,
            range,
            &format!("measures.{name}"),
            message,
            Some(hint.to_owned()),
        )))
    }
}

impl Page<'_> {
    /// A warning about a part of `churn.on`.
    #[must_use]
    pub fn warning_of_coming_back(&self, range: Range, message: String, hint: &str) -> Option<Warning> {
        let churn = self.document.churn.as_ref()?;
        let range = locate(self.text, churn.on_literal.clone(), &churn.on_text, range);
        Some(Warning(RuleError::at(self.file, self.text, range, "churn.on", message, Some(hint.to_owned()))))
    }

    /// A warning about `churn.amount`.
    #[must_use]
    pub fn warning_of_amount(&self, range: Range, message: String, hint: &str) -> Option<Warning> {
        let churn = self.document.churn.as_ref()?;
        let range = locate(self.text, churn.amount_literal.clone(), &churn.amount_text, range);
        Some(Warning(RuleError::at(self.file, self.text, range, "churn.amount", message, Some(hint.to_owned()))))
    }

    /// A warning about a part of a signal.
    #[must_use]
    pub fn warning_of_signal(&self, when: &Written, range: Range, message: String, hint: &str) -> Warning {
        let range = locate(self.text, when.literal.clone(), &when.text, range);
        Warning(RuleError::at(self.file, self.text, range, "churn.signals.when", message, Some(hint.to_owned())))
    }
}

/// All warnings that need only the rules, in the order of the file. `known`: does the caller check by other means
/// whether there are such events?
#[must_use]
pub fn warnings(page: &Page<'_>, known: impl Fn(&str) -> bool) -> Vec<Warning> {
    let mut found = Vec::new();
    stays::nobody_leaves(page, &mut found);
    contradiction::nobody_enters(page, &mut found);
    names::nearly_equal(page, known, &mut found);
    traps::all(page, &mut found);
    in_order(&mut found);
    found
}

/// Sorts warnings by location, and removes duplicates.
pub fn in_order(warnings: &mut Vec<Warning>) {
    warnings.sort_by_key(|warning| (warning.0.line, warning.0.column));
    warnings.dedup();
}

/// The parts of a conjunction, nested ones included.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::And(parts) => parts.iter().flat_map(conjuncts).collect(),
        _ => vec![expr],
    }
}

/// Calls `look` for the expression and every expression inside it, outer ones first.
fn each_part<'e>(expr: &'e Expr, look: &mut impl FnMut(&'e Expr)) {
    look(expr);
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| each_part(part, look)),
        ExprKind::Not(inner) => each_part(inner, look),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, warnings};
    use crate::rules::{load, read};

    /// The warnings about a file, a line each, with the location.
    fn of(text: &str) -> Vec<String> {
        let document = read("r.toml", text).unwrap();
        let messages = warnings(&Page { file: "r.toml", text, document: &document }, |_| false);
        messages
            .iter()
            .map(|warning| format!("{}:{} {}", warning.line(), warning.column(), warning.message()))
            .collect()
    }

    fn who(who: &str) -> Vec<String> {
        of(&format!("[cohorts.c]\nwho = '''{who}'''\nat_most = \"90 days\"\n"))
    }

    #[test]
    fn a_cohort_that_nobody_ever_leaves_is_pointed_out() {
        let messages = |rest: &str| of(&format!("[cohorts.c]\n{rest}"));
        let expected = ["2:8 nobody ever leaves: once this holds, it holds for good"];
        assert_eq!(
            messages("who = 'did purchase at least 3 times ever and time since first purchase > 1 year'"),
            expected
        );
        assert_eq!(messages("who = 'did purchase more than 30 days ago'"), expected);
        assert_eq!(messages("who = 'did purchase ever'\nat_least = '3 days'"), expected);
        assert_eq!(messages("who = 'e then f within 3 days'"), expected);
        for fine in [
            "who = 'did purchase ever'\nat_most = '30 days'",
            "who = 'did purchase ever'\nuntil = 'did refund ever'",
            "who = 'did purchase ever'\nreenter = 'never'",
            "who = 'did purchase ever and did not refund ever'",
            "who = 'did purchase in the last 3 days'",
            "who = 'did purchase since last visit'",
            "who = 'did purchase ever'\nstay = 'did visit in the last 30 days'",
            "who = 'did purchase ever'\n[cohorts.d]\nwho = 'in c and silent for 30 days'",
        ] {
            assert_eq!(messages(fine), [""; 0], "{fine}");
        }
        assert_eq!(
            messages("who = 'did purchase in the last 3 days'\nstay = 'did purchase ever'"),
            ["3:9 nobody ever leaves: once this holds, it holds for good"]
        );
    }

    #[test]
    fn a_cohort_that_nobody_can_enter_is_pointed_out() {
        for rule in [
            "did e in the last 3 days and not did e in the last 3 days",
            "did e in the last 3 days and did f ever and (did not e in the last 7 days)",
            "did e ever and not (in d) and in d",
            "silent for 365 days and not silent for 90 days",
            "count(e in the last 30 days) > 5 and count(e in the last 30 days) < 5",
            "count(e in the last 30 days) between 5 and 3",
            "did e at least 5 times in the last 3 days and did e at most 4 times in the last 3 days",
            "time since last e > 3 days and time since last e <= 72 hours",
        ] {
            let text = format!(
                "activity = ['visit', 'login']\n[cohorts.d]\nwho = 'did z in the last 3 days'\n[cohorts.c]\nwho = '{rule}'\n"
            );
            let messages = of(&text);
            assert_eq!(messages.len(), 1, "{rule}: {messages:?}");
            assert!(messages[0].starts_with("5:") && messages[0].contains("nobody can enter"), "{rule}: {messages:?}");
        }
        for fine in [
            "did e in the last 30 days and did not e in the last 3 days",
            "silent for 90 days and not silent for 365 days",
            "count(e in the last 30 days) > 3 and count(e in the last 7 days) < 3",
            "did e where n = 1 in the last 3 days and did not e where n = 2 in the last 3 days",
            "did e at least 3 times in the last 3 days and did e at most 4 times in the last 3 days",
            "time since last e >= 3 days and time since last e <= 72 hours",
            "did e in the last 3 days or did not e in the last 3 days",
            "silent for 30 days and did any of (visit, login) in the last 10 days",
        ] {
            assert_eq!(who(fine), [""; 0], "{fine}");
        }
    }

    #[test]
    fn until_that_holds_whenever_who_does_lets_nobody_in() {
        let messages = |until: &str| {
            of(&format!("[cohorts.c]\nwho = 'did e in the last 7 days and silent for 1 day'\nuntil = '{until}'"))
        };
        let expected = ["3:10 nobody can enter: this holds whenever `who` does"];
        assert_eq!(messages("did e ever"), expected);
        assert_eq!(messages("did e in the last 30 days"), expected);
        assert_eq!(
            messages("did f ever or did e in the last 7 days"),
            ["3:24 nobody can enter: this holds whenever `who` does"]
        );
        assert_eq!(messages("did e in the last 1 day"), [""; 0]);
        assert_eq!(messages("did f ever"), [""; 0]);
    }

    #[test]
    fn a_cohort_that_is_switched_off_has_no_members_for_others() {
        let text = "[cohorts.k]\nwho = 'did e in the last 3 days'\nenabled = false\n[cohorts.l]\nwho = 'in k'\n";
        assert_eq!(of(text), ["5:8 nobody can enter: `k` is not enabled, so nobody is ever in it"]);
    }

    #[test]
    fn names_that_differ_by_a_slip_are_pointed_out_at_the_rarer_one() {
        let messages = |other: &str| {
            of(&format!(
                "[cohorts.a]\nwho = 'did purchase in the last 3 days'\n[cohorts.b]\nwho = 'did purchase in the last 9 days and did {other} in the last 5 days'\n"
            ))
        };
        for other in ["purchases", "purchased", "\"Purchase\"", "purchasse"] {
            assert_eq!(messages(other).len(), 1, "{other}");
            assert!(messages(other)[0].starts_with("4:48 "), "{:?}", messages(other));
        }
        for other in ["visit", "purchase", "purchase_cancelled"] {
            assert_eq!(messages(other), [""; 0], "{other}");
        }
        assert_eq!(who("did step_1 in the last 3 days and did step_2 in the last 3 days"), [""; 0]);
        assert_eq!(who("did email_sent in the last 3 days and did email_seen in the last 3 days"), [""; 0]);
        assert_eq!(who("did login in the last 3 days and did logon in the last 3 days").len(), 1);
    }

    /// Each with a part of the message, and with the rule after each of the hint's proposals is applied.
    const TRAPS: [(&str, &str, &[&str]); 17] = [
        ("did not purchase", "has no window", &["did not purchase in the last 30 days", "did not purchase ever"]),
        (
            "did visit ever and not did purchase",
            "has no window",
            &["did visit ever and not did purchase in the last 30 days", "did visit ever and not did purchase ever"],
        ),
        (
            "not (time since last purchase > 3 days)",
            "also holds where",
            &["time since last purchase is known and not (time since last purchase > 3 days)"],
        ),
        (
            "not (time since last any of (buy, \"Order Completed\") > 3 days)",
            "also holds where",
            &[
                "time since last any of (buy, \"Order Completed\") is known and not (time since last any of (buy, \"Order \
               Completed\") > 3 days)",
            ],
        ),
        ("not (plan = pro)", "also holds where", &["plan is known and not (plan = pro)"]),
        (
            "did visit in the last 3 days or not (plan = pro)",
            "also holds where",
            &["did visit in the last 3 days or plan is known and not (plan = pro)"],
        ),
        ("did visit in the last 3 days and did visit in the last 3  days", "repeats", &[]),
        ("count(visit in the last 30 days) > \"nan\"", "never holds", &[]),
        (
            "time since last purchase = 358 days",
            "for one millisecond",
            &["time since last purchase between 358 days and 359 days", "time since last purchase >= 358 days"],
        ),
        (
            "time since first purchase = 358 days",
            "for one millisecond",
            &["time since first purchase between 358 days and 359 days", "time since first purchase >= 358 days"],
        ),
        (
            "time since first purchase = 1 week",
            "for one millisecond",
            &["time since first purchase between 7 days and 8 days", "time since first purchase >= 1 week"],
        ),
        (
            "(time since first purchase = 1.5 hours)",
            "for one millisecond",
            &["time since first purchase >= 1.5 hours", "time since first purchase <= 1.5 hours"],
        ),
        (
            "did signup in the last 7 days and did not purchase in the last 7 days",
            "known for only",
            &[
                "signup then no purchase within 7 days",
                "did signup in the last 7 days and did not purchase in the last 7 days even if new",
            ],
        ),
        (
            "did signup for the first time in the last 7 days and did not buy in the last 9 days",
            "known for only",
            &[
                "signup then no buy within 9 days",
                "did signup for the first time in the last 7 days and did not buy in the last 9 days even if new",
            ],
        ),
        (
            "did \"Account Opened\" for the first time in the last 20 minutes and not did any of (buy, \"for\") in the last \
             20 minutes",
            "known for only",
            &[
                "\"Account Opened\" then no any of (buy, \"for\") within 20 minutes",
                "did \"Account Opened\" for the first time in the last 20 minutes and not did any of (buy, \"for\") in the \
                 last 20 minutes even if new",
            ],
        ),
        (
            "did signup where plan = pro in the last 7 days and did not buy where kind in (dvd, book), paid > 3 in the last 7 days",
            "known for only",
            &[
                "signup where plan = pro then no buy where kind in (dvd, book), paid > 3 within 7 days",
                "did signup where plan = pro in the last 7 days and did not buy where kind in (dvd, book), paid > 3 in the last 7 \
                 days even if new",
            ],
        ),
        ("did visit at least 0 times in the last 3 days", "holds for everybody", &[]),
    ];

    /// The errors and warnings of a rule that was corrected as a hint proposed.
    fn wrong(mended: &str) -> Vec<String> {
        let text =
            format!("[cohorts.c]\nwho = '''{mended}'''\nat_most = \"90 days\"\n[profile]\nplan = \"signup.plan\"\n");
        match load("r.toml", &text) {
            Ok(_) => of(&text),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_a_hint_proposes_is_a_rule_and_is_not_warned_about() {
        let mut found = Vec::new();
        for (rule, _, mended) in TRAPS {
            let text = format!("[cohorts.c]\nwho = '''{rule}'''\nat_most = \"90 days\"\n");
            let document = read("r.toml", &text).unwrap();
            let messages = warnings(&Page { file: "r.toml", text: &text, document: &document }, |_| false);
            let hint = messages[0].0.hint.as_ref().unwrap();
            // Every second part of it is between backticks.
            let proposed: Vec<&str> = hint.split('`').skip(1).step_by(2).collect();
            if proposed.len() != mended.len() || proposed.iter().zip(mended).any(|(part, rule)| !rule.contains(part)) {
                found.push(format!("{rule}: the hint is {hint:?}"));
            }
            found.extend(mended.iter().flat_map(|mended| wrong(mended)));
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn what_lies_in_wait_is_pointed_out_once() {
        for (rule, words, _) in TRAPS {
            let messages = who(rule);
            assert_eq!(messages.len(), 1, "{rule}: {messages:?}");
            assert!(messages[0].contains(words), "{rule}: {messages:?}");
        }
        for fine in [
            "did not purchase ever",
            "did not purchase in the last 3 days",
            "did not purchase since last visit",
            "did purchase ever and not (time since last purchase > 3 days)",
            "plan is known and not (plan = pro)",
            "did visit in the last 3 days or plan is known and (did e in the last 3 days or not (plan = pro))",
            "not (count(visit in the last 3 days) > 3)",
            "did visit in the last 3 days or did visit in the last 4 days",
            "plan = nan",
            "time since last purchase between 358 days and 359 days",
            "did signup in the last 9 days and did not purchase in the last 7 days",
            "did signup in the last 7 days and did not purchase in the last 7 days even if new",
            "did visit in the last 7 days and did not purchase in the last 7 days",
        ] {
            assert_eq!(who(fine), [""; 0], "{fine}");
        }
    }

    #[test]
    fn the_default_cohorts_give_no_reason_for_any() {
        let text = include_str!("../../../config/rules.toml");
        assert_eq!(of(text), [""; 0]);
    }
}
