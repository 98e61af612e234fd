//! Event names that differ by a typing error.

use std::collections::BTreeMap;

use super::{Page, Warning};
use crate::rules::ast::{Events, Name};
use crate::rules::document::Written;
use crate::rules::error::edit_distance;
use crate::rules::uses::{Use, each_use};

/// Shorter names may differ by one letter on purpose.
const SHORTEST: usize = 5;

type Location<'a> = (&'a str, &'static str, &'a Written, &'a Name);

/// Warns about a name that is used once and nearly equals another one.
pub(super) fn nearly_equal(page: &Page<'_>, known: impl Fn(&str) -> bool, found: &mut Vec<Warning>) {
    let mut locations: BTreeMap<&str, Vec<Location<'_>>> = BTreeMap::new();
    let mut elsewhere: BTreeMap<&str, usize> = BTreeMap::new();
    if let Events::Named(names) = &page.document.activity {
        names.iter().for_each(|name| *elsewhere.entry(&name.text).or_default() += 1);
    }
    page.document.usual_gaps.keys().for_each(|name| *elsewhere.entry(name).or_default() += 1);
    for (cohort, key, written) in page.document.expressions() {
        each_use(&written.expr, &mut |used| {
            if let Use::Event(name) = used {
                locations.entry(&name.text).or_default().push((cohort, key, written, name));
            }
        });
    }
    let count = |name: &str| locations.get(name).map_or(0, Vec::len) + elsewhere.get(name).copied().unwrap_or(0);
    let mut all: Vec<&str> = locations.keys().chain(elsewhere.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    let by_spelling = Spellings::new(&all);
    for (name, locations) in &locations {
        let [(cohort, key, written, location)] = locations.as_slice() else { continue };
        if count(name) > 1 || known(name) {
            continue;
        }
        // Of two names used once each, only the one later in the alphabet gets a warning.
        let other = by_spelling.near(name).filter(|other| count(other) > 1 || other < name).min();
        if let Some(other) = other {
            let message = format!("`{name}` is used only here, and `{other}` is almost the same");
            let hint = "use one name for one event; a name that no event has never matches";
            found.push(page.warning((*cohort, *key, *written), location.range, message, hint));
        }
    }
}

/// An index of names by their variants with one letter removed, so that many are compared in linear time.
struct Spellings<'a> {
    by_rest: BTreeMap<String, Vec<&'a str>>,
}

impl<'a> Spellings<'a> {
    fn new(names: &[&'a str]) -> Self {
        let mut by_rest: BTreeMap<String, Vec<&'a str>> = BTreeMap::new();
        for name in names {
            for rest in rests(name) {
                by_rest.entry(rest).or_default().push(name);
            }
        }
        Self { by_rest }
    }

    fn near(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found: Vec<&'a str> = (rests(name).iter())
            .filter_map(|rest| self.by_rest.get(rest))
            .flatten()
            .copied()
            .filter(|other| differ_by_a_slip(name, other))
            .collect();
        found.into_iter()
    }
}

/// The normalized form of a name, and its variants with one letter removed.
fn rests(name: &str) -> Vec<String> {
    let plain = plain(name);
    let letters: Vec<char> = plain.chars().collect();
    let mut rests: Vec<String> =
        (0..letters.len()).map(|gone| letters[..gone].iter().chain(&letters[gone + 1..]).collect()).collect();
    rests.push(plain);
    rests.sort_unstable();
    rests.dedup();
    rests
}

/// The normalized form: lower-case letters and digits, without an ending of the past tense or plural.
fn plain(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    for ending in ["ed", "es", "s", "d"] {
        if let Some(stem) = plain.strip_suffix(ending)
            && stem.chars().count() + 1 >= SHORTEST
        {
            return stem.trim_end_matches('e').to_owned();
        }
    }
    plain.trim_end_matches('e').to_owned()
}

/// Do two names differ only in case, separators or ending, or by one letter that is not a digit?
fn differ_by_a_slip(one: &str, other: &str) -> bool {
    if one == other {
        return false;
    }
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    if digits(one) != digits(other) || one.chars().count().min(other.chars().count()) < SHORTEST {
        return false;
    }
    plain(one) == plain(other) || edit_distance(&one.to_lowercase(), &other.to_lowercase()) <= 1
}
