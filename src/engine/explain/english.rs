//! Explanations in English.

use jiff::tz::TimeZone;

use super::dates::{listed, local, time_of_day};
use super::explanation::{Explanation, Term};
use super::remedy::{Action, Remedy};
use crate::event::{Change, Instant};
use crate::rules::RuleSet;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) fn instant(at: Instant, zone: &TimeZone) -> String {
    let Some(local) = local(at, zone) else { return at.to_string() };
    let month = MONTHS[local.month().unsigned_abs() as usize - 1];
    format!("{} {month} {} {}", local.day(), local.year(), time_of_day(local))
}

pub(super) fn standing(found: &Explanation, zone: &TimeZone) -> String {
    let times = match found.times_entered {
        1 => "entered once".to_owned(),
        times => format!("entered {times} times"),
    };
    match found.since {
        None => "not in, and never was".to_owned(),
        Some(since) if found.member => format!("in since {}, {times}", instant(since, zone)),
        Some(since) => format!("out since {}, {times}", instant(since, zone)),
    }
}

pub(super) fn next_change(next: Option<(Instant, Change)>, zone: &TimeZone) -> String {
    match next {
        None => "nothing changes by time alone".into(),
        Some((at, Change::Entered)) => format!("enters {}, if nothing more happens", instant(at, zone)),
        Some((at, Change::Exited)) => format!("leaves {}, if nothing more happens", instant(at, zone)),
    }
}

pub(super) fn term(term: Term, rules: &RuleSet) -> String {
    let when = |at: Instant| instant(at, &rules.time_zone);
    match term {
        Term::Disabled => "not enabled: nobody enters or leaves".into(),
        Term::AtLeast(at) => format!("stays at least until {}", when(at)),
        Term::AtMost(at) => format!("stays at most until {}", when(at)),
        Term::Disarmed => "left while `who` held, which must fail before the next entry".into(),
        Term::Cooldown(at) => format!("may not enter again before {}", when(at)),
        Term::Once => "was in once, and may never enter again".into(),
        Term::Excluded { by } => format!("gives way to {}", rules.cohort(by).name),
    }
}

pub(super) fn remedy(remedy: &Remedy, rules: &RuleSet) -> String {
    let mut ways: Vec<String> = remedy.actions.iter().map(|of| action(of, rules)).collect();
    ways.extend(remedy.cohorts.iter().map(|(cohort, change)| match change {
        Change::Entered => format!("entering {}", rules.cohort(*cohort).name),
        Change::Exited => format!("leaving {}", rules.cohort(*cohort).name),
    }));
    ways.extend(remedy.silence_until.map(|at| format!("silence until {}", instant(at, &rules.time_zone))));
    if ways.is_empty() { "nothing any more".into() } else { ways.join(", or ") }
}

fn action(action: &Action, rules: &RuleSet) -> String {
    let name = match &action.names {
        None if action.times == 1 => {
            return if action.filtered { "a fitting event".into() } else { "any event".into() };
        }
        None => "event".into(),
        Some(names) => {
            let names: Vec<&str> = names.iter().filter_map(|name| rules.vocabulary.name_of(*name)).collect();
            listed(&names, "or")
        }
    };
    let fitting = if action.filtered { "fitting " } else { "" };
    let noun = format!("{fitting}{name}");
    match action.times {
        1 if noun.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) => format!("an {noun}"),
        1 => format!("a {noun}"),
        times => format!("{noun} {times} more times"),
    }
}
