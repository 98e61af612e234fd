//! Explanations in the words of a language.

use super::explanation::{Explanation, Term};
use super::remedy::Turn;
use super::words::Language;
use super::{english, french};
use crate::event::Instant;
use crate::rules::RuleSet;

impl Explanation {
    /// In or not, since when, how often.
    #[must_use]
    pub fn standing(&self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::standing(self, &rules.time_zone),
            Language::French => french::standing(self, &rules.time_zone),
        }
    }

    /// What comes next in silence.
    #[must_use]
    pub fn outlook(&self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::outlook(self.next_change, &rules.time_zone),
            Language::French => french::outlook(self.next_change, &rules.time_zone),
        }
    }
}

impl Term {
    #[must_use]
    pub fn text(self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::term(self, rules),
            Language::French => french::term(self, rules),
        }
    }
}

/// An instant as people of a language write it, in the rules' time zone, to the minute or as exactly as it must be.
#[must_use]
pub fn instant(at: Instant, rules: &RuleSet, language: Language) -> String {
    match language {
        Language::English => english::instant(at, &rules.time_zone),
        Language::French => french::instant(at, &rules.time_zone),
    }
}

impl Turn {
    /// In words; never empty.
    #[must_use]
    pub fn text(&self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::turn(self, rules),
            Language::French => french::turn(self, rules),
        }
    }
}
