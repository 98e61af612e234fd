//! Which of the five events that decisions begin with are missing.

use super::{Flaw, Found, quoted, text};
use crate::audit::critical::Critical;
use crate::audit::text::{Language, listed};

pub(super) fn add(found: &mut Found<'_>) {
    let report = found.report;
    let missing: Vec<&str> =
        report.critical_events.iter().filter(|event| event.names.is_empty()).map(|event| event.event).collect();
    // Where no name is known, none is missing.
    if missing.is_empty() || report.records == 0 {
        return;
    }
    let of = |words: fn(Critical) -> &'static str| -> Vec<String> {
        Critical::ALL
            .iter()
            .filter(|critical| missing.contains(&critical.as_str()))
            .map(|critical| words(*critical).to_owned())
            .collect()
    };
    let (names, noms) = (listed(&of(english), Language::English), listed(&of(french), Language::French));
    let keys: Vec<String> = missing.iter().map(|name| quoted(name)).collect();
    let (key, clef) = (listed(&keys, Language::English), listed(&keys, Language::French));
    let count = 5;
    let texts = (
        text(
            format!(
                "Of the five events that decisions begin with, {} found: {names}.",
                if missing.len() == 1 { "one is not" } else { "these are not" }
            ),
            format!(
                "Parmi les cinq événements critiques, {}\u{a0}: {noms}.",
                if missing.len() == 1 { "il en manque un" } else { "il manque" }
            ),
        ),
        text(
            format!(
                "Look in which tool they happen and have them sent, as {key}; no cohort can be built on what is not there."
            ),
            format!(
                "Cherchez l’outil où ils se produisent et faites-les envoyer ({clef})\u{a0}: sans eux, pas de cohorte."
            ),
        ),
    );
    let records = report.records * missing.len() as u64 / count;
    found.add(Flaw::CriticalMissing, &[], records, texts);
}

fn english(critical: Critical) -> &'static str {
    match critical {
        Critical::Signup => "sign-up",
        Critical::Purchase => "purchase",
        Critical::CartAbandoned => "abandoned cart",
        Critical::OnboardingCompleted => "completed onboarding",
        Critical::Unsubscribed => "unsubscription",
    }
}

fn french(critical: Critical) -> &'static str {
    match critical {
        Critical::Signup => "inscription",
        Critical::Purchase => "achat",
        Critical::CartAbandoned => "abandon de panier",
        Critical::OnboardingCompleted => "fin d’onboarding",
        Critical::Unsubscribed => "désabonnement",
    }
}
