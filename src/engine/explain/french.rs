//! Explanations in French.

use jiff::tz::TimeZone;

use super::dates::{listed, local, time_of_day};
use super::explanation::{Explanation, Term};
use super::remedy::{Action, Remedy};
use crate::event::{Change, Instant};
use crate::rules::RuleSet;

const MONTHS: [&str; 12] =
    ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."];

/// Without the article: `14 janv. 2026 à 09:00`.
pub(super) fn instant(at: Instant, zone: &TimeZone) -> String {
    let Some(local) = local(at, zone) else { return at.to_string() };
    let month = MONTHS[local.month().unsigned_abs() as usize - 1];
    let day = if local.day() == 1 { "1er".to_owned() } else { local.day().to_string() };
    format!("{day}\u{a0}{month} {} à {}", local.year(), time_of_day(local).replace('.', ","))
}

pub(super) fn standing(found: &Explanation, zone: &TimeZone) -> String {
    let times = match found.times_entered {
        1 => "une entrée".to_owned(),
        times => format!("{times} entrées"),
    };
    match found.since {
        None => "pas membre, aucune entrée".to_owned(),
        Some(since) if found.member => format!("membre depuis le {}, {times}", instant(since, zone)),
        Some(since) => format!("pas membre depuis le {}, {times}", instant(since, zone)),
    }
}

pub(super) fn next_change(next: Option<(Instant, Change)>, zone: &TimeZone) -> String {
    match next {
        None => "le temps seul ne change rien".into(),
        Some((at, Change::Entered)) => format!("entrée le {}, si rien d’autre n’arrive", instant(at, zone)),
        Some((at, Change::Exited)) => format!("sortie le {}, si rien d’autre n’arrive", instant(at, zone)),
    }
}

pub(super) fn term(term: Term, rules: &RuleSet) -> String {
    let when = |at: Instant| instant(at, &rules.time_zone);
    match term {
        Term::Disabled => "désactivé\u{a0}: personne n’entre ni ne sort".into(),
        Term::AtLeast(at) => format!("reste au moins jusqu’au {}", when(at)),
        Term::AtMost(at) => format!("reste au plus jusqu’au {}", when(at)),
        Term::Disarmed => "sortie alors que `who` était vrai, ce qui doit cesser avant une nouvelle entrée".into(),
        Term::Cooldown(at) => format!("pas de nouvelle entrée avant le {}", when(at)),
        Term::Once => "une seule entrée possible, déjà faite".into(),
        Term::Excluded { by } => format!("cède la place à {}", rules.cohort(by).name),
    }
}

pub(super) fn remedy(remedy: &Remedy, rules: &RuleSet) -> String {
    let mut ways: Vec<String> = remedy.actions.iter().map(|of| action(of, rules)).collect();
    ways.extend(remedy.cohorts.iter().map(|(cohort, change)| match change {
        Change::Entered => format!("l’entrée dans la cohorte {}", rules.cohort(*cohort).name),
        Change::Exited => format!("la sortie de la cohorte {}", rules.cohort(*cohort).name),
    }));
    ways.extend(remedy.silence_until.map(|at| format!("le silence jusqu’au {}", instant(at, &rules.time_zone))));
    if ways.is_empty() { "plus rien".into() } else { ways.join(", ou ") }
}

fn action(action: &Action, rules: &RuleSet) -> String {
    let names = action.names.as_ref().map(|names| {
        let names: Vec<&str> = names.iter().filter_map(|name| rules.vocabulary.name_of(*name)).collect();
        listed(&names, "ou")
    });
    let noun = match (action.times, names) {
        (1, None) => "un événement".to_owned(),
        (1, Some(names)) => format!("un événement {names}"),
        (times, None) => format!("encore {times} événements"),
        (times, Some(names)) => format!("encore {times} événements {names}"),
    };
    match (action.filtered, action.times) {
        (false, _) => noun,
        (true, 1) => format!("{noun} qui convient"),
        (true, _) => format!("{noun} qui conviennent"),
    }
}
