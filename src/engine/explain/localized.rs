//! Effects and evidence as text in each language.
//!
//! `sentences_english` and `sentences_french` match every kind of value exhaustively, so that a value without a
//! translation does not compile.

use super::reasons::Reasons;
use super::{sentences_english as english, sentences_french as french};
use crate::engine::effects::{Claim, Effect, EvidencePart, Factor, RiskCause, RiskEffect};
use crate::engine::machines::level_name;
use crate::event::{Change, ChangeReason, Evidence};
use crate::rules::{Cohort, RuleSet};

/// A language of the product. Conditions are quoted from the rules file, so they are the same in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

impl Effect {
    /// The parts of the rule that decided, as in output records: in English.
    #[must_use]
    pub fn evidence(&self, rules: &RuleSet) -> Vec<Evidence> {
        in_english(&self.why, rules)
    }

    /// A sentence that gives the reason, and another one after an edit of the rules.
    #[must_use]
    pub fn sentence(&self, rules: &RuleSet, language: Language) -> String {
        let mut text = sentence(rules.cohort(self.cohort), self.change, &self.why, rules, language);
        if self.reason == ChangeReason::DefinitionChanged {
            text.push(' ');
            text.push_str(edited(language));
        }
        text
    }
}

impl RiskEffect {
    /// One sentence that gives the reason.
    #[must_use]
    pub fn sentence(&self, rules: &RuleSet, language: Language) -> String {
        risk(level_name(rules, self.level), &self.factors, rules, language)
    }
}

impl Factor {
    #[must_use]
    pub fn text(self, rules: &RuleSet, language: Language) -> String {
        factor(self, rules, language)
    }
}

/// Parts as in output records: in English.
fn in_english(parts: &[EvidencePart], rules: &RuleSet) -> Vec<Evidence> {
    let english = |part: &EvidencePart| Evidence {
        condition: part.condition(rules, Language::English),
        value: part.value(Language::English),
        holds: part.holds,
    };
    parts.iter().map(english).collect()
}

/// One sentence from the parts that decided.
fn sentence(cohort: &Cohort, change: Change, parts: &[EvidencePart], rules: &RuleSet, language: Language) -> String {
    // For an entry, or an exit by `until`, the parts that hold; otherwise the parts that no longer hold.
    let wanted = change == Change::Entered || parts.iter().all(|part| part.holds);
    let clauses: Vec<String> = (parts.iter())
        .filter(|part| part.holds == wanted)
        .map(|part| match part.value(language).as_str() {
            "" => part.condition(rules, language),
            value => format!("{} ({value})", part.condition(rules, language)),
        })
        .collect();
    let reasons = if wanted { Reasons::Hold(clauses) } else { Reasons::NoLongerHold(clauses) };
    match language {
        Language::English => english::sentence(&cohort.title.en, change, &reasons),
        Language::French => french::sentence(&cohort.title.fr, change, &reasons),
    }
}

/// The sentence about an edit of the rules.
fn edited(language: Language) -> &'static str {
    match language {
        Language::English => english::EDITED,
        Language::French => french::EDITED,
    }
}

/// A factor of risk as text.
fn factor(factor: Factor, rules: &RuleSet, language: Language) -> String {
    let signal = |index: usize| rules.churn.as_ref().and_then(|churn| churn.signals.get(index));
    match (factor.cause, language) {
        (RiskCause::Signal(index), Language::English) => {
            signal(index).map_or("", |signal| &signal.because.en).to_owned()
        }
        (RiskCause::Signal(index), Language::French) => {
            signal(index).map_or("", |signal| &signal.because.fr).to_owned()
        }
        (cause, Language::English) => english::cause(cause),
        (cause, Language::French) => french::cause(cause),
    }
}

/// One sentence about a level of risk.
fn risk(level: &str, factors: &[Factor], rules: &RuleSet, language: Language) -> String {
    let words = |one: &Factor| match (factor(*one, rules, language), one.points) {
        (words, 0) => words,
        (words, points) => format!("{words} ({points:+})"),
    };
    let factors: Vec<String> = factors.iter().map(words).collect();
    match language {
        Language::English => english::risk(level, &factors),
        Language::French => french::risk(level, &factors),
    }
}

impl EvidencePart {
    /// The condition as written in the rules.
    #[must_use]
    pub fn condition(&self, rules: &RuleSet, language: Language) -> String {
        match &self.claim {
            Claim::Condition { words, negated: false, .. } => words.to_string(),
            Claim::Condition { words, negated: true, .. } => negated(words),
            Claim::AtMost(span) => match language {
                Language::English => english::at_most(*span),
                Language::French => french::at_most(*span),
            },
            Claim::Excluded { by } => {
                let (first, group) = (&rules.cohort(*by).name, rules.cohort(*by).group.as_deref().unwrap_or_default());
                match language {
                    Language::English => english::excluded(first, group),
                    Language::French => french::excluded(first, group),
                }
            }
        }
    }

    /// The value that it was evaluated on, as text; empty where there is nothing to report.
    #[must_use]
    pub fn value(&self, language: Language) -> String {
        match language {
            Language::English => english::found(&self.found),
            Language::French => french::found(&self.found),
        }
    }
}

/// The opposite of a condition, in the language of rules.
fn negated(words: &str) -> String {
    match (words.strip_prefix("did not "), words.strip_prefix("did ")) {
        (Some(rest), _) => format!("did {rest}"),
        (None, Some(rest)) => format!("did not {rest}"),
        (None, None) => format!("not {words}"),
    }
}
