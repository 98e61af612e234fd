//! Event names that differ by a slip.

use std::collections::BTreeMap;

use super::{Page, Warning};
use crate::rules::ast::{Events, Name};
use crate::rules::document::Written;
use crate::rules::error::edit_distance;
use crate::rules::uses::{Use, each_use};

/// Shorter names differ by one letter for good reasons.
const SHORTEST: usize = 5;

type Place<'a> = (&'a str, &'static str, &'a Written, &'a Name);

/// A name that stands in one place only, beside another that it nearly equals.
pub(super) fn nearly_equal(page: &Page<'_>, known: impl Fn(&str) -> bool, found: &mut Vec<Warning>) {
    let mut places: BTreeMap<&str, Vec<Place<'_>>> = BTreeMap::new();
    let mut elsewhere: BTreeMap<&str, usize> = BTreeMap::new();
    if let Events::Named(names) = &page.document.activity {
        names.iter().for_each(|name| *elsewhere.entry(&name.text).or_default() += 1);
    }
    page.document.usual_gaps.keys().for_each(|name| *elsewhere.entry(name).or_default() += 1);
    for (cohort, key, written) in page.document.expressions() {
        each_use(&written.expr, &mut |used| {
            if let Use::Event(name) = used {
                places.entry(&name.text).or_default().push((cohort, key, written, name));
            }
        });
    }
    let count = |name: &str| places.get(name).map_or(0, Vec::len) + elsewhere.get(name).copied().unwrap_or(0);
    let mut all: Vec<&str> = places.keys().chain(elsewhere.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    let by_spelling = Spellings::new(&all);
    for (name, places) in &places {
        let [(cohort, key, written, place)] = places.as_slice() else { continue };
        if count(name) > 1 || known(name) {
            continue;
        }
        // Of two that stand once each the later in the alphabet is pointed out: one warning is enough.
        let other = by_spelling.near(name).filter(|other| count(other) > 1 || other < name).min();
        if let Some(other) = other {
            let message = format!("`{name}` stands only here, and `{other}` differs from it by a slip");
            let hint = "write one name for one event; nothing happens under a name that no event has";
            found.push(page.warning((*cohort, *key, *written), place.range, message, hint));
        }
    }
}

/// Names by what they share when one letter is taken out, so that many are compared in linear time.
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

/// The plain form of a name, and what is left of it without any one letter.
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

/// Small letters and digits only, without an ending that makes it past or plural.
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

/// Differ in case, separators or ending only, or by one letter that is no digit.
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
