//! Names that are spelled in several ways, or have values of two types.

use std::collections::BTreeSet;

use super::{Flaw, Found, quoted, text};
use crate::audit::report::{Alike, TwoTypes};
use crate::audit::text::{Language, listed};

pub(super) fn add(found: &mut Found<'_>) {
    let report = found.report;
    events(found, &report.events_alike);
    properties(found, &report.properties_alike);
    types(found, &report.two_types);
}

/// `a` and `b`; the first spelling is the one to keep.
fn spellings(alike: &Alike) -> (String, String) {
    let names: Vec<String> = alike.names.iter().map(|spelled| quoted(&spelled.name)).collect();
    (listed(&names, Language::English), listed(&names, Language::French))
}

fn topics(alike: &[Alike]) -> Vec<&str> {
    let all: BTreeSet<&str> =
        alike.iter().flat_map(|alike| &alike.names).flat_map(|spelled| &spelled.topics).map(String::as_str).collect();
    all.into_iter().collect()
}

fn events(found: &mut Found<'_>, alike: &[Alike]) {
    let Some(first) = alike.iter().max_by_key(|alike| rarer(alike)) else { return };
    let (names, noms) = spellings(first);
    let (more, autres) = match alike.len() - 1 {
        0 => (String::new(), String::new()),
        more => (format!(" So are {more} more."), format!(" Et {more} autres.")),
    };
    let keep = first.names.first().map_or("", |spelled| &spelled.name);
    let texts = (
        text(
            format!("The events {names} are probably one, under several names.{more}"),
            format!("Événements mal nommés\u{a0}: {noms} sont sans doute le même.{autres}"),
        ),
        text(
            format!("Choose one name, such as `{keep}`, and map the others to it (names = {{ … }})."),
            format!("Gardez un seul nom, par exemple `{keep}`, et ramenez-y les autres (names = {{ … }})."),
        ),
    );
    let records = alike.iter().map(rarer).sum();
    found.add(Flaw::EventsAlike, &topics(alike), records, texts);
}

/// Records under all names but the most frequent one.
fn rarer(alike: &Alike) -> u64 {
    alike.names.iter().skip(1).map(|spelled| spelled.records).sum()
}

fn properties(found: &mut Found<'_>, alike: &[Alike]) {
    let Some(first) = alike.iter().max_by_key(|alike| rarer(alike)) else { return };
    let (names, noms) = spellings(first);
    let (more, autres) = match alike.len() - 1 {
        0 => (String::new(), String::new()),
        more => (format!(", and {more} more of the kind"), format!(", et {more} autres cas")),
    };
    let keep = first.names.first().map_or("", |spelled| &spelled.name);
    let texts = (
        text(
            format!("The fields {names} are probably one property{more}."),
            format!("Les champs {noms} sont sans doute la même propriété{autres}."),
        ),
        text(
            format!("Give them one name in sources.toml, such as `{keep}`, so that a rule sees them all."),
            format!(
                "Donnez-leur un seul nom dans sources.toml, par exemple `{keep}`, pour qu’une règle les voie tous."
            ),
        ),
    );
    let records = alike.iter().map(rarer).max().unwrap_or(0);
    found.add(Flaw::PropertiesAlike, &topics(alike), records, texts);
}

fn types(found: &mut Found<'_>, two_types: &[TwoTypes]) {
    // Values of all types but that of the first.
    let rarer = |two: &TwoTypes| -> u64 {
        let first = two.types.first().map(|of| of.of);
        two.types.iter().filter(|of| Some(of.of) != first).map(|of| of.records).sum()
    };
    let Some(worst) = two_types.iter().max_by_key(|two| rarer(two)) else { return };
    let Some(first) = worst.types.first() else { return };
    let Some(second) = worst.types.iter().find(|of| of.of != first.of) else { return };
    let (more, autres) = match two_types.len() - 1 {
        0 => (String::new(), String::new()),
        more => (format!(" {more} more have two types."), format!(" {more} autres sont dans ce cas.")),
    };
    let french = |word: &str| match word {
        "number" => "nombre",
        "boolean" => "booléen",
        _ => "texte",
    };
    let name = &worst.name;
    let what = if first.topic == second.topic && first.path == second.path {
        text(
            format!(
                "`{}` of {} is sometimes a {}, sometimes a {}.{more}",
                first.path, first.topic, first.of, second.of
            ),
            format!(
                "`{}` de {} est tantôt un {}, tantôt un {}.{autres}",
                first.path,
                first.topic,
                french(first.of),
                french(second.of)
            ),
        )
    } else {
        text(
            format!(
                "`{name}` is a {} in {} (`{}`) and a {} in {} (`{}`).{more}",
                first.of, first.topic, first.path, second.of, second.topic, second.path
            ),
            format!(
                "`{name}` est un {} dans {} (`{}`) et un {} dans {} (`{}`).{autres}",
                french(first.of),
                first.topic,
                first.path,
                french(second.of),
                second.topic,
                second.path
            ),
        )
    };
    let numeric = [first.of, second.of].contains(&"number");
    let as_ = if numeric { "number" } else { "text" };
    let to_do = text(
        format!("Map the text as {{ field = \"…\", as = \"{as_}\" }}: a rule compares within one type only."),
        format!(
            "Déclarez le texte par {{ field = \"…\", as = \"{as_}\" }}\u{a0}: une règle ne compare que des valeurs de même type."
        ),
    );
    let mut topics: Vec<&str> = worst.types.iter().map(|of| of.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    found.add(Flaw::TwoTypes, &topics, two_types.iter().map(rarer).max().unwrap_or(0), (what, to_do));
}
