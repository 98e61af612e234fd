//! The report as text.

use super::page::Page;
use super::topic;
use crate::audit::{Language, Report, counted, listed, number, percent, size};

/// The most lines of a list.
const LINES_MAX: usize = 8;

/// The whole report.
pub(super) fn text(report: &Report, language: Language) -> String {
    let mut page = Page::new(language);
    let (one, more) = page.say(("source", "sources"), ("source", "sources"));
    let topics = counted(report.topics.len() as u64, one, more, language);
    let (one, more) = page.say(("record", "records"), ("message", "messages"));
    let records = counted(report.records, one, more, language);
    let sample = match report.sample {
        share if share < 1.0 => {
            let share = percent(share, language);
            page.say(format!(", a sample of {share}"), format!(", échantillon de {share}"))
        }
        _ => String::new(),
    };
    let of = page.say("Audit of", "Audit de");
    page.line(&format!("{of} {topics}: {records}, {}{sample}", size(report.bytes, language)));
    report.topics.iter().for_each(|found| topic::topic(&mut page, found));
    in_common(&mut page, report);
    names(&mut page, report);
    critical(&mut page, report);
    rules(&mut page, report);
    findings(&mut page, report);
    page.finish()
}

fn in_common(page: &mut Page, report: &Report) {
    if report.customers_in_common.is_empty() {
        return;
    }
    let heading = page.say("Customers in common", "Clients en commun");
    page.heading(heading);
    for common in report.customers_in_common.iter().take(LINES_MAX * 2) {
        let ([a, b], [x, y]) = (&common.topics, &common.paths);
        let [s, t] = common.shares.map(|share| percent(share, page.language));
        let better = common.better.as_ref().map(|better| {
            let ([x, y], [s, t]) = (&better.paths, better.shares.map(|share| percent(share, page.language)));
            page.say(format!("; by {x} and {y}: {s} and {t}"), format!("\u{a0}; par {x} et {y}\u{a0}: {s} et {t}"))
        });
        let line = page.say(
            format!("{s} of those of {a} are in {b}, {t} of those of {b} in {a}, by {x} and {y}"),
            format!("{s} de ceux de {a} sont dans {b}, {t} de ceux de {b} dans {a}, par {x} et {y}"),
        );
        page.wrapped("  ", 4, &(line + &better.unwrap_or_default()));
    }
}

fn names(page: &mut Page, report: &Report) {
    if report.events_alike.is_empty() && report.properties_alike.is_empty() && report.two_types.is_empty() {
        return;
    }
    let heading = page.say("Names", "Noms");
    page.heading(heading);
    let labels = page.say(("events", "fields", "two types"), ("événements", "champs", "deux types"));
    for (label, alike) in [(labels.0, &report.events_alike), (labels.1, &report.properties_alike)] {
        for one in alike.iter().take(LINES_MAX) {
            let spelled: Vec<String> = one
                .names
                .iter()
                .map(|spelled| format!("{} ({})", spelled.name, number(spelled.records, page.language)))
                .collect();
            page.row(label, &spelled.join(", "));
        }
        more(page, alike.len());
    }
    for two in report.two_types.iter().take(LINES_MAX) {
        let types: Vec<String> = (two.types.iter())
            .map(|of| format!("{} {} {} ({})", of.of, of.topic, of.path, number(of.records, page.language)))
            .collect();
        page.row(labels.2, &format!("{}: {}", two.name, types.join(", ")));
    }
    more(page, report.two_types.len());
}

fn more(page: &mut Page, count: usize) {
    if count > LINES_MAX {
        let more = count - LINES_MAX;
        let text = page.say(format!("and {more} more"), format!("et {more} autres"));
        page.row("", &text);
    }
}

fn critical(page: &mut Page, report: &Report) {
    let heading = page.say("The five events that decisions begin with", "Les cinq événements critiques");
    page.heading(heading);
    for event in &report.critical_events {
        let names: Vec<String> = (event.names.iter())
            .map(|spelled| {
                let topics = listed(&spelled.topics, page.language);
                format!("{} ({}, {topics})", spelled.name, number(spelled.records, page.language))
            })
            .collect();
        let none = page.say("not found", "introuvable").to_owned();
        let names = if names.is_empty() { none } else { names.join(", ") };
        let first = format!("  {:<22}", event.event);
        page.wrapped(&first, 24, &names);
    }
}

fn rules(page: &mut Page, report: &Report) {
    let Some(rules) = &report.rules else { return };
    let heading = page.say("Rules", "Règles");
    page.heading(heading);
    let unused: Vec<String> = (rules.unused_events.iter().take(LINES_MAX))
        .map(|event| format!("{} ({})", event.event, size(event.bytes, page.language)))
        .collect();
    if !unused.is_empty() {
        let all = size(rules.unused_bytes, page.language);
        let others = rules.unused_events.len().saturating_sub(LINES_MAX);
        let others = if others == 0 {
            String::new()
        } else {
            page.say(format!(", and {others} more"), format!(", et {others} autres"))
        };
        let text = page.say(
            format!("no rule uses {}{others}: {all} in all", unused.join(", ")),
            format!("aucune règle n’utilise {}{others}\u{a0}: {all} au total", unused.join(", ")),
        );
        page.wrapped("  ", 4, &text);
    }
    let missing: Vec<String> = (rules.missing_events.iter())
        .map(|(name, near)| match near {
            Some(near) => page.say(format!("{name} (there is {near})"), format!("{name} (il y a {near})")),
            None => name.clone(),
        })
        .collect();
    if !missing.is_empty() {
        let text = page.say(
            format!("no topic has {}", missing.join(", ")),
            format!("aucun topic ne contient {}", missing.join(", ")),
        );
        page.wrapped("  ", 4, &text);
    }
    if !rules.unfed.is_empty() {
        let text = page.say(
            format!("no event feeds {}", rules.unfed.join(", ")),
            format!("aucun événement n’alimente {}", rules.unfed.join(", ")),
        );
        page.wrapped("  ", 4, &text);
    }
    if unused.is_empty() && missing.is_empty() {
        let text =
            page.say("every event is used, and every rule is fed", "chaque événement sert, chaque règle est alimentée");
        page.wrapped("  ", 4, text);
    }
}

fn findings(page: &mut Page, report: &Report) {
    if report.findings.is_empty() {
        let heading = page.say("Nothing is wrong that an audit could find.", "Rien à signaler.");
        return page.heading(heading);
    }
    let heading = page.say("What to do first", "Par quoi commencer");
    page.heading(heading);
    for (place, finding) in report.findings.iter().enumerate() {
        page.wrapped(&format!("  {}. ", place + 1), 5, finding.what.in_language(page.language));
        page.wrapped("     → ", 7, finding.to_do.in_language(page.language));
    }
}
