//! Explanations as text in each language.

use super::explanation::{Explanation, Term};
use super::localized::Language;
use super::remedy::Remedy;
use super::{english, french};
use crate::event::Instant;
use crate::rules::RuleSet;

impl Explanation {
    /// Whether the customer is a member, since when, and how many times they entered.
    #[must_use]
    pub fn standing(&self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::standing(self, &rules.time_zone),
            Language::French => french::standing(self, &rules.time_zone),
        }
    }

    /// What comes next without further events.
    #[must_use]
    pub fn next_change(&self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::next_change(self.next_change, &rules.time_zone),
            Language::French => french::next_change(self.next_change, &rules.time_zone),
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

impl Remedy {
    /// As text; never empty.
    #[must_use]
    pub fn text(&self, rules: &RuleSet, language: Language) -> String {
        match language {
            Language::English => english::remedy(self, rules),
            Language::French => french::remedy(self, rules),
        }
    }
}
