//! Effects and evidence as text in each language.
//!
//! `sentences_english` and `sentences_french` match every kind of value exhaustively, so that a value without a
//! translation does not compile. All texts are appended, so that those of output records need no memory of their own.

use super::pieces::push_all;
use super::reasons::Reasons;
use super::{sentences_english as english, sentences_french as french};
use crate::engine::effects::{Claim, Effect, EvidencePart, Factor, RiskCause, RiskEffect};
use crate::engine::machines::level_name;
use crate::event::{Change, ChangeReason, Digits};
use crate::rules::{Cohort, RuleSet};

/// A language of the product. Conditions are quoted from the rules file, so they are the same in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

fn written(write: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    write(&mut text);
    text
}

impl Effect {
    /// A sentence that gives the reason, and another one after an edit of the rules.
    #[must_use]
    pub fn sentence(&self, rules: &RuleSet, language: Language) -> String {
        written(|out| self.write_sentence(rules, language, out))
    }

    /// Appends the same.
    pub fn write_sentence(&self, rules: &RuleSet, language: Language, out: &mut String) {
        self.write_sentence_with(rules, language, |_, part, out| part.write_value(language, out), out);
    }

    /// As [`write_sentence`](Self::write_sentence); `value` appends the value of a part, whose number it gets.
    pub fn write_sentence_with(
        &self,
        rules: &RuleSet,
        language: Language,
        value: impl Fn(usize, &EvidencePart, &mut String),
        out: &mut String,
    ) {
        sentence(rules.cohort(self.cohort), self.change, (&self.why, value), rules, language, out);
        if self.reason == ChangeReason::DefinitionChanged {
            out.push(' ');
            out.push_str(edited(language));
        }
    }
}

impl RiskEffect {
    /// One sentence that gives the reason.
    #[must_use]
    pub fn sentence(&self, rules: &RuleSet, language: Language) -> String {
        written(|out| self.write_sentence(rules, language, out))
    }

    /// Appends the same.
    pub fn write_sentence(&self, rules: &RuleSet, language: Language, out: &mut String) {
        let level = level_name(rules, self.level);
        match language {
            Language::English => english::risk_opening(level, out),
            Language::French => french::risk_opening(level, out),
        }
        for (place, factor) in self.factors.iter().enumerate() {
            out.push_str(if place == 0 { "" } else { between(language) });
            factor.write_text(rules, language, out);
            if factor.points != 0 {
                let sign = if factor.points > 0 { "+" } else { "" };
                push_all(out, &[" (", sign, Digits::of(factor.points).as_str(), ")"]);
            }
        }
        out.push('.');
    }
}

impl Factor {
    #[must_use]
    pub fn text(self, rules: &RuleSet, language: Language) -> String {
        written(|out| self.write_text(rules, language, out))
    }

    /// Appends the same.
    pub fn write_text(self, rules: &RuleSet, language: Language, out: &mut String) {
        let signal = |index: usize| rules.churn.as_ref().and_then(|churn| churn.signals.get(index));
        match (self.cause, language) {
            (RiskCause::Signal(index), Language::English) => {
                out.push_str(signal(index).map_or("", |signal| &signal.because.en));
            }
            (RiskCause::Signal(index), Language::French) => {
                out.push_str(signal(index).map_or("", |signal| &signal.because.fr));
            }
            (cause, Language::English) => english::cause(cause, out),
            (cause, Language::French) => french::cause(cause, out),
        }
    }
}

/// One sentence from the parts that decided, and what appends the value of each.
fn sentence(
    cohort: &Cohort,
    change: Change,
    (parts, value): (&[EvidencePart], impl Fn(usize, &EvidencePart, &mut String)),
    rules: &RuleSet,
    language: Language,
    out: &mut String,
) {
    // For an entry, or an exit by `until`, the parts that hold; otherwise the parts that no longer hold.
    let wanted = change == Change::Entered || parts.iter().all(|part| part.holds);
    let reasons = if wanted { Reasons::Hold } else { Reasons::NoLongerHold };
    let mut before = match language {
        Language::English => {
            english::opening(&cohort.title.en, change, out);
            english::before_clauses(reasons)
        }
        Language::French => {
            french::opening(&cohort.title.fr, change, out);
            french::before_clauses(reasons)
        }
    };
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| part.holds == wanted) {
        out.push_str(before);
        before = between(language);
        part.write_condition(rules, language, out);
        let without_value = out.len();
        out.push_str(" (");
        let value_begins = out.len();
        value(number, part, out);
        match out.len() == value_begins {
            true => out.truncate(without_value),
            false => out.push(')'),
        }
    }
    out.push('.');
}

/// Between two clauses.
fn between(language: Language) -> &'static str {
    match language {
        Language::English => english::BETWEEN,
        Language::French => french::BETWEEN,
    }
}

/// The sentence about an edit of the rules.
fn edited(language: Language) -> &'static str {
    match language {
        Language::English => english::EDITED,
        Language::French => french::EDITED,
    }
}

impl EvidencePart {
    /// The condition as written in the rules.
    #[must_use]
    pub fn condition(&self, rules: &RuleSet, language: Language) -> String {
        written(|out| self.write_condition(rules, language, out))
    }

    /// Appends the same.
    pub fn write_condition(&self, rules: &RuleSet, language: Language, out: &mut String) {
        match (&self.claim, language) {
            (Claim::Condition { words, negated: false, .. }, _) => out.push_str(words),
            (Claim::Condition { words, negated: true, .. }, _) => negated(words, out),
            (Claim::AtMost(span), Language::English) => english::at_most(*span, out),
            (Claim::AtMost(span), Language::French) => french::at_most(*span, out),
            (Claim::Excluded { by }, _) => {
                let (first, group) = (&rules.cohort(*by).name, rules.cohort(*by).group.as_deref().unwrap_or_default());
                match language {
                    Language::English => english::excluded(first, group, out),
                    Language::French => french::excluded(first, group, out),
                }
            }
        }
    }

    /// The value that it was evaluated on, as text; empty where there is nothing to report.
    #[must_use]
    pub fn value(&self, language: Language) -> String {
        written(|out| self.write_value(language, out))
    }

    /// Appends the same.
    pub fn write_value(&self, language: Language, out: &mut String) {
        match language {
            Language::English => english::found(&self.found, out),
            Language::French => french::found(&self.found, out),
        }
    }
}

/// The opposite of a condition, in the language of rules.
fn negated(words: &str, out: &mut String) {
    match (words.strip_prefix("did not "), words.strip_prefix("did ")) {
        (Some(rest), _) => push_all(out, &["did ", rest]),
        (None, Some(rest)) => push_all(out, &["did not ", rest]),
        (None, None) => push_all(out, &["not ", words]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, sentence};
    use crate::engine::effects::{Claim, EvidencePart, Finding};
    use crate::event::{Change, Instant, Span};
    use crate::rules::{CohortIx, ConditionIx, load};

    #[test]
    fn a_sentence_keeps_its_signs_of_punctuation_on_their_line() {
        let text = "[cohorts.lapsed]\nwho = 'did pay'\nname = { en = 'Lapsed', fr = 'À reconquérir' }";
        let rules = load("r.toml", text).unwrap();
        let part = |words: &str, negated, found, holds| {
            let claim = Claim::Condition { index: ConditionIx(0), second: None, words: words.into(), negated };
            EvidencePart { claim, found, holds, until: Instant::MAX }
        };
        let parts = [
            part("silent for 3 days", false, Finding::Ago(Span(0)), false),
            part("did not pay", true, Finding::Nothing, false),
            part("did visit", false, Finding::Nothing, true),
        ];
        let of = |change, parts: &[EvidencePart], language| {
            let mut text = "…".to_owned();
            let value = |_: usize, part: &EvidencePart, out: &mut String| part.write_value(language, out);
            sentence(rules.cohort(CohortIx(0)), change, (parts, value), &rules, language, &mut text);
            text
        };
        assert_eq!(
            of(Change::Exited, &parts, Language::French),
            "…Sortie de «\u{a0}À reconquérir\u{a0}», car ceci n’est plus vrai\u{a0}: silent for 3 days (à l’instant)\u{a0}; did pay."
        );
        let english = of(Change::Exited, &parts, Language::English);
        assert_eq!(english, "…Left Lapsed, as this no longer holds: silent for 3 days (just now); did pay.");
        assert_eq!(of(Change::Entered, &parts, Language::English), "…Entered Lapsed: did visit.");
        assert_eq!(of(Change::Entered, &[], Language::French), "…Entrée dans «\u{a0}À reconquérir\u{a0}».");
    }
}
