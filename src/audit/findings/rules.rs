//! Events that no rule uses, and rules that no event feeds.

use super::{Flaw, Found, quoted, share, text};
use crate::audit::names::spelling;
use crate::audit::report::RulesReport;
use crate::audit::text::{Language, listed, size};

pub(super) fn add(found: &mut Found<'_>) {
    let Some(rules) = found.report.rules.clone() else { return };
    unused(found, &rules);
    other_names(found, &rules);
    unfed(found, &rules);
}

fn unused(found: &mut Found<'_>, rules: &RulesReport) {
    /// A share of the bytes that is worth a word.
    const SHARE_MIN: f64 = 0.01;
    let of_bytes = rules.unused_bytes as f64 / found.report.bytes.max(1) as f64;
    if rules.unused_events.is_empty() || of_bytes < SHARE_MIN {
        return;
    }
    let names: Vec<String> = rules.unused_events.iter().map(|event| quoted(&event.event)).collect();
    let (s, p) = share(of_bytes);
    let texts = (
        text(
            format!(
                "No rule uses {}: {}, {s} of the bytes.",
                listed(&names, Language::English),
                size(rules.unused_bytes, Language::English)
            ),
            format!(
                "Aucune règle n’utilise {}\u{a0}: {}, {p} du volume.",
                listed(&names, Language::French),
                size(rules.unused_bytes, Language::French)
            ),
        ),
        text(
            "Write a rule that needs them, or stop sending them.",
            "Collectez moins, mais collectez utile\u{a0}: une règle qui s’en sert, ou cessez de les envoyer.",
        ),
    );
    found.add(Flaw::UnusedEvents, &[], rules.unused_records, texts);
}

/// A rule that asks for a name of which there is another spelling.
fn other_names(found: &mut Found<'_>, rules: &RulesReport) {
    let is_spelling =
        |(name, near): &&(String, Option<String>)| near.as_ref().is_some_and(|near| spelling(near) == spelling(name));
    let others: Vec<&(String, Option<String>)> = rules.missing_events.iter().filter(is_spelling).collect();
    let Some((name, Some(near))) = others.first() else { return };
    let records = |near: &str| -> u64 {
        let events = found.report.topics.iter().flat_map(|topic| &topic.events);
        events.filter(|event| event.event == near).map(|event| event.records).sum()
    };
    let all = others.iter().filter_map(|(_, near)| near.as_deref()).map(records).sum();
    let (more, autres) = match others.len() - 1 {
        0 => (String::new(), String::new()),
        more => (format!(" So it is with {more} more."), format!(" {more} autres sont dans ce cas.")),
    };
    let texts = (
        text(
            format!("The rules ask for `{name}`, and the events are called `{near}`.{more}"),
            format!("Les règles attendent `{name}`, mais l’événement s’appelle `{near}`.{autres}"),
        ),
        text(
            format!("Map the name: names = {{ \"{near}\" = \"{name}\" }}, or write `{near}` in the rules."),
            format!(
                "Traduisez le nom\u{a0}: names = {{ \"{near}\" = \"{name}\" }}, ou écrivez `{near}` dans les règles."
            ),
        ),
    );
    found.add(Flaw::OtherNames, &[], all, texts);
}

fn unfed(found: &mut Found<'_>, rules: &RulesReport) {
    if rules.unfed.is_empty() {
        return;
    }
    let names: Vec<String> = rules.unfed.iter().map(|name| quoted(name)).collect();
    let missing: Vec<String> = rules.unfed_events.iter().map(|name| quoted(name)).collect();
    let texts = (
        text(
            format!("No event feeds {}: nobody will ever enter.", listed(&names, Language::English)),
            format!(
                "Aucun événement n’alimente {}\u{a0}: personne n’y entrera jamais.",
                listed(&names, Language::French)
            ),
        ),
        text(
            format!("Have {} sent, or map the event that means it.", listed(&missing, Language::English)),
            format!("Faites envoyer {}, ou associez-y l’événement équivalent.", listed(&missing, Language::French)),
        ),
    );
    // As if all records were missing for the share of rules that are not fed.
    let share = rules.unfed.len() as f64 / rules.rules.max(1) as f64;
    found.add(Flaw::UnfedRules, &[], (share * found.report.records as f64).round() as u64, texts);
}
