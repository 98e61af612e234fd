//! Times in the wrong unit or zone, in the future, or too late.

use super::{Flaw, Found, records, share, text};
use crate::audit::moments::Form;
use crate::audit::report::{TimeReport, TopicReport};

/// A share of late records that is worth a word.
const LATE_MIN: f64 = 0.001;

pub(super) fn add(found: &mut Found<'_>) {
    let report = found.report;
    for topic in &report.topics {
        let chosen = topic.time.as_ref().map(|time| time.path.as_str());
        let Some(time) = topic.times.iter().find(|time| Some(time.path.as_str()) == chosen) else { continue };
        forms(found, topic, time);
        slips(found, topic, time);
        distances(found, topic, time);
    }
}

fn forms(found: &mut Found<'_>, topic: &TopicReport, time: &TimeReport) {
    let (name, path) = (topic.topic.as_str(), time.path.as_str());
    let form = |word: &str| Form::ALL.iter().find(|form| form.as_str() == word).copied();
    let mut forms: Vec<(Form, u64)> =
        time.forms.iter().filter_map(|(word, count)| Some((form(word)?, *count))).collect();
    forms.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let Some((main, of_main)) = forms.first().copied() else { return };
    let all: u64 = forms.iter().map(|(_, count)| count).sum();
    let units: Vec<(Form, u64)> = forms.iter().copied().filter(|(form, _)| form.unit().is_some()).collect();
    if let [(first, _), (second, _), ..] = units[..] {
        let others: u64 = units[1..].iter().map(|(_, count)| count).sum();
        let ((s, p), (one, other)) = (share(others as f64 / all as f64), (first.as_str(), second.as_str()));
        let texts = (
            text(
                format!("`{path}` of {name} counts {one}, but {other} in {s} of the records."),
                format!(
                    "`{path}` de {name} est en {}, mais en {} dans {p} des messages.",
                    french(first),
                    french(second)
                ),
            ),
            text(
                "Have every sender use milliseconds; the others are refused, or land in 1970.",
                "Demandez des millisecondes à tous les outils\u{a0}; les autres messages sont refusés, ou datés de 1970.",
            ),
        );
        found.add(Flaw::MixedUnits, &[name], others, texts);
    } else if let Some(unit) = main.unit().filter(|_| main != Form::Millis) {
        let texts = (
            text(
                format!("`{path}` of {name} counts {unit}, not milliseconds."),
                format!("`{path}` de {name} est en {}, pas en millisecondes.", french(main)),
            ),
            text(
                format!("Map it as time = {{ field = \"{path}\", unit = \"{unit}\" }}."),
                format!("Déclarez time = {{ field = \"{path}\", unit = \"{unit}\" }} dans sources.toml."),
            ),
        );
        found.add(Flaw::Unit, &[name], of_main, texts);
    }
    let local: u64 =
        forms.iter().filter(|(form, _)| form.needs_zone() && *form != Form::Date).map(|(_, count)| count).sum();
    if local > 0 {
        let texts = (
            text(
                format!("`{path}` of {name} has no time zone: events may be hours off, and on the wrong day."),
                format!(
                    "`{path}` de {name} n’a pas de fuseau horaire\u{a0}: des heures d’écart, et parfois le mauvais jour."
                ),
            ),
            text(
                "Set time_zone for the source; better, have the offset sent (2026-01-31T08:00:00+01:00).",
                "Indiquez time_zone pour la source\u{a0}; mieux, faites envoyer le décalage (2026-01-31T08:00:00+01:00).",
            ),
        );
        found.add(Flaw::NoZone, &[name], local, texts);
    }
}

fn french(form: Form) -> &'static str {
    match form {
        Form::Seconds => "secondes",
        Form::Millis => "millisecondes",
        Form::Micros => "microsecondes",
        Form::Nanos => "nanosecondes",
        _ => "texte",
    }
}

fn slips(found: &mut Found<'_>, topic: &TopicReport, time: &TimeReport) {
    let (name, path) = (topic.topic.as_str(), time.path.as_str());
    // Of several slips the one with the largest share says the most.
    let Some(slip) = time.slips.iter().max_by(|one, other| one.share.total_cmp(&other.share)) else { return };
    let hours: Vec<String> = slip.hours.iter().map(|hours| format!("{hours:+}")).collect();
    let all: u64 = time.forms.values().sum();
    let ((s, p), hours, against) = (share(slip.share), hours.join(" / "), slip.against.as_str());
    let (than, que) = match against {
        "@timestamp" => ("the time of writing".to_owned(), "l’heure d’envoi".to_owned()),
        other => (format!("`{other}`"), format!("`{other}`")),
    };
    let texts = (
        text(
            format!(
                "In {s} of {name}, `{path}` is off by whole hours ({hours} h) from {than}: a local time taken for UTC."
            ),
            format!(
                "Dans {p} de {name}, `{path}` s’écarte d’heures pleines ({hours}\u{a0}h) de {que}\u{a0}: une heure locale prise pour de l’UTC."
            ),
        ),
        text(
            "Have the sender convert to UTC, or send the offset with the time.",
            "Faites convertir en UTC à l’envoi, ou envoyer le décalage avec l’heure.",
        ),
    );
    found.add(Flaw::ZoneSlip, &[name], (slip.share * all as f64).round() as u64, texts);
}

fn distances(found: &mut Found<'_>, topic: &TopicReport, time: &TimeReport) {
    let (name, path) = (topic.topic.as_str(), time.path.as_str());
    if time.future > 0 {
        let (n, m) = records(time.future);
        let texts = (
            text(
                format!("{n} of {name} are in the future by `{path}`; they are refused."),
                format!("{m} de {name} sont datés dans le futur (`{path}`)\u{a0}; ils sont refusés."),
            ),
            text(
                "Look for a wrong clock, or for a date that is planned and has not happened.",
                "Cherchez une horloge déréglée, ou une date prévue plutôt que passée.",
            ),
        );
        found.add(Flaw::Future, &[name], time.future, texts);
    }
    // A file need not be in the order in which its records were made.
    let share_late = time.too_late as f64 / topic.records.max(1) as f64;
    if topic.partitions > 0 && share_late >= LATE_MIN {
        let (s, p) = share(share_late);
        let texts = (
            text(
                format!("{s} of {name} come so long after newer ones that they no longer count."),
                format!("{p} de {name} arrivent si longtemps après de plus récents qu’ils ne comptent plus."),
            ),
            text(
                "Send them as they happen, or raise time.max_lateness.",
                "Faites-les envoyer au fil de l’eau, ou augmentez time.max_lateness.",
            ),
        );
        found.add(Flaw::TooLate, &[name], time.too_late, texts);
    }
}
