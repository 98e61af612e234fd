//! Evidence in French. A no-break space stands before `:` and `;` and within guillemets.

use super::reasons::Reasons;
use super::rounded::{Rounded, TimeUnit, rounded};
use crate::engine::effects::{Finding, Quantity, RiskCause};
use crate::event::{Change, Number, Span};
use crate::fact::Counted;

pub(super) const EDITED: &str = "Les règles ont été modifiées.";

pub(super) fn sentence(title: &str, change: Change, reasons: &Reasons) -> String {
    // A noun, so that nothing has to agree with the customer.
    let noun = match change {
        Change::Entered => "Entrée dans",
        Change::Exited => "Sortie de",
    };
    let title = format!("«\u{a0}{title}\u{a0}»");
    let (no_longer, clauses) = match reasons {
        Reasons::Hold(clauses) => ("", clauses),
        Reasons::NoLongerHold(clauses) => (", car ceci n’est plus vrai", clauses),
    };
    if clauses.is_empty() {
        return format!("{noun} {title}.");
    }
    format!("{noun} {title}{no_longer}\u{a0}: {}.", clauses.join("\u{a0}; "))
}

pub(super) fn at_most(span: Span) -> String {
    format!("reste au plus {}", length(span))
}

pub(super) fn excluded(first: &str, group: &str) -> String {
    format!("cède la place à {first} dans le groupe {group}")
}

pub(super) fn found(found: &Finding) -> String {
    match found {
        Finding::Nothing => String::new(),
        Finding::None { last: None } | Finding::Times(0) => "aucune fois".into(),
        Finding::None { last: Some(last) } | Finding::Last(last) => format!("la dernière fois {}", ago(*last)),
        Finding::Some { count: 1, of, last, .. } => format!("{}, {}", one(*of), ago(*last)),
        Finding::Some { count, at_least, of, last } => {
            let at_least = if *at_least { "au moins " } else { "" };
            format!("{at_least}{count} {} {}", more(*of), ago(*last))
        }
        Finding::Times(1) => "une fois".into(),
        Finding::Times(count) => format!("{count} fois"),
        Finding::TooNew { counts_in: Some(span) } => {
            format!("aucune fois, mais pas connu depuis assez longtemps\u{a0}: encore {}", length(*span))
        }
        Finding::TooNew { counts_in: None } => "aucune fois, mais pas connu depuis le début".into(),
        Finding::NotStarted => "pas commencé".into(),
        Finding::Waited(span) => format!("attente de {}", length(*span)),
        Finding::NothingOverdue => "rien en retard".into(),
        Finding::Complete(span) => format!("achevée {}", ago(*span)),
        Finding::NotComplete => "inachevée".into(),
        Finding::Passing { count, of } => format!("{count} sur {of}"),
        Finding::InARow(0) => "aucune".into(),
        Finding::InARow(count) => format!("{count} de suite"),
        Finding::In(Span(0)) => "à l’instant".into(),
        Finding::In(span) => format!("depuis {}", length(*span)),
        Finding::Entered(span) => format!("entrée {}", ago(*span)),
        Finding::Ago(span) => ago(*span),
        Finding::Outside(span) => format!("{}, hors de cette période", ago(*span)),
        Finding::Never => "jamais".into(),
        Finding::Quantity(value) => quantity(value),
        Finding::Ranked { value, threshold } => format!("{}, seuil {}", quantity(value), quantity(threshold)),
        Finding::Unranked => "non classé".into(),
        Finding::NoThreshold => "pas de seuil\u{a0}: trop peu de clients, ou pas encore calculé".into(),
        Finding::Against { value, other, usual_gap } => {
            let name = if *usual_gap { "écart habituel" } else { "contre" };
            format!("{}, {name} {}", quantity(value), quantity(other))
        }
    }
}

fn one(of: Counted) -> &'static str {
    match of {
        Counted::Times => "une fois",
        Counted::Values => "une valeur",
        Counted::Days => "un jour",
        Counted::Weeks => "une semaine",
        Counted::Months => "un mois",
    }
}

/// Several, up to the words for when the last of them was.
fn more(of: Counted) -> &'static str {
    match of {
        Counted::Times => "fois, la dernière",
        Counted::Values => "valeurs différentes, la dernière",
        Counted::Days => "jours, le dernier",
        Counted::Weeks => "semaines, la dernière",
        Counted::Months => "mois, le dernier",
    }
}

fn quantity(quantity: &Quantity) -> String {
    match *quantity {
        Quantity::Missing => "aucune valeur".into(),
        Quantity::Number(value) => number(value),
        Quantity::Since(Span(0)) => "à l’instant".into(),
        Quantity::Since(span) | Quantity::Length(span) => length(span),
        Quantity::AtOnce => "aussitôt".into(),
        Quantity::More(value) if value > Number::ZERO => format!("+{}", number(value)),
        Quantity::More(value) => number(value),
        Quantity::Percent(part) => {
            let sign = if part > Number::ZERO { "+" } else { "" };
            format!("{sign}{}\u{a0}%", number(Number(part.0.saturating_mul(100))))
        }
        Quantity::Longer(Span(0)) => "aucun changement".into(),
        Quantity::Longer(Span(less)) if less < 0 => format!("{} de moins", length(Span(-less))),
        Quantity::Longer(more) => format!("{} de plus", length(more)),
        Quantity::Bool(true) => "vrai".into(),
        Quantity::Bool(false) => "faux".into(),
        Quantity::Level(ref name) => name.to_string(),
        Quantity::Text => "un texte".into(),
    }
}

pub(super) fn risk(level: &str, factors: &[String]) -> String {
    format!("Risque {level}\u{a0}: {}.", factors.join("\u{a0}; "))
}

pub(super) fn cause(cause: RiskCause) -> String {
    match cause {
        RiskCause::Once => "une seule venue".into(),
        RiskCause::Rhythm(span) => format!("un rythme de {}", in_days(span)),
        RiskCause::Silence(span) => format!("silence depuis {}", in_days(span)),
        RiskCause::Falling => "moins de jours dernièrement".into(),
        RiskCause::Signal(_) => String::new(),
    }
}

/// Whole days: hours would be too precise for a rhythm.
fn in_days(span: Span) -> String {
    match span.0.div_euclid(Span::DAY.0) {
        0 => "moins d’un jour".into(),
        1 => "1\u{a0}jour".into(),
        days => format!("{days}\u{a0}jours"),
    }
}

/// With a decimal comma.
fn number(number: Number) -> String {
    number.to_string().replace('.', ",")
}

fn ago(span: Span) -> String {
    match span {
        Span(0) => "à l’instant".into(),
        span => format!("il y a {}", length(span)),
    }
}

fn length(span: Span) -> String {
    let counted = |count: i64, unit: TimeUnit| {
        let word = match unit {
            TimeUnit::Day => "jour",
            TimeUnit::Hour => "heure",
            TimeUnit::Minute => "minute",
            TimeUnit::Second => "seconde",
        };
        format!("{count}\u{a0}{word}{}", if count < 2 { "" } else { "s" })
    };
    match rounded(span) {
        Rounded::Milliseconds(ms) => format!("{ms}\u{a0}ms"),
        Rounded::Units { count, unit, rest: Some((rest, smaller)), .. } => {
            format!("{} {}", counted(count, unit), counted(rest, smaller))
        }
        Rounded::Units { count, unit, just_over: true, .. } => format!("un peu plus de {}", counted(count, unit)),
        Rounded::Units { count, unit, .. } => counted(count, unit),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reasons, found, length, sentence};
    use crate::engine::effects::{Finding, Quantity};
    use crate::event::{Change, Number, Span};
    use crate::fact::Counted;

    #[test]
    fn lengths_agree_with_their_number() {
        let of = |days: i64, hours: i64, ms: i64| length(Span(days * Span::DAY.0 + hours * Span::HOUR.0 + ms));
        assert_eq!(of(90, 0, 0), "90\u{a0}jours");
        assert_eq!(of(1, 0, 0), "1\u{a0}jour");
        assert_eq!(of(2, 1, 0), "2\u{a0}jours 1\u{a0}heure");
        assert_eq!(of(0, 2, 1), "un peu plus de 2\u{a0}heures");
    }

    #[test]
    fn values_read_as_one_would_say_them() {
        let days = |days: i64| Span(days * Span::DAY.0);
        let visits = Finding::Some { count: 3, at_least: true, of: Counted::Days, last: days(0) };
        assert_eq!(found(&visits), "au moins 3 jours, le dernier à l’instant");
        assert_eq!(found(&Finding::Last(days(90))), "la dernière fois il y a 90\u{a0}jours");
        assert_eq!(found(&Finding::Quantity(Quantity::Number(Number(-1_500_000)))), "-1,5");
    }

    #[test]
    fn a_sentence_keeps_its_signs_of_punctuation_on_their_line() {
        let clauses = vec!["silent for 3 days (a)".to_owned(), "did pay (b)".to_owned()];
        let text = sentence("À reconquérir", Change::Exited, &Reasons::NoLongerHold(clauses));
        let expected = "Sortie de «\u{a0}À reconquérir\u{a0}», car ceci n’est plus vrai\u{a0}: silent for 3 days (a)\u{a0}; \
                        did pay (b).";
        assert_eq!(text, expected);
    }
}
