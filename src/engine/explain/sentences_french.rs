//! Evidence in French. A no-break space stands before `:` and `;` and within guillemets.

use super::pieces::{plus, push_all};
use super::reasons::Reasons;
use super::rounded::{Rounded, TimeUnit, rounded};
use crate::engine::effects::{Finding, Quantity, RiskCause};
use crate::event::{Change, Digits, Number, Span};
use crate::fact::Counted;

pub(super) const EDITED: &str = "Les règles ont été modifiées.";

/// Between two clauses.
pub(super) const BETWEEN: &str = "\u{a0}; ";

/// A sentence up to its clauses.
pub(super) fn opening(title: &str, change: Change, out: &mut String) {
    // A noun, so that nothing has to agree with the customer.
    out.push_str(match change {
        Change::Entered => "Entrée dans «\u{a0}",
        Change::Exited => "Sortie de «\u{a0}",
    });
    push_all(out, &[title, "\u{a0}»"]);
}

/// Before the first clause.
pub(super) fn before_clauses(reasons: Reasons) -> &'static str {
    match reasons {
        Reasons::Hold => "\u{a0}: ",
        Reasons::NoLongerHold => ", car ceci n’est plus vrai\u{a0}: ",
    }
}

pub(super) fn at_most(span: Span, out: &mut String) {
    out.push_str("reste au plus ");
    length(span, out);
}

pub(super) fn excluded(first: &str, group: &str, out: &mut String) {
    push_all(out, &["cède la place à ", first, " dans le groupe ", group]);
}

pub(super) fn found(found: &Finding, out: &mut String) {
    match found {
        Finding::Nothing => {}
        Finding::None { last: None } | Finding::Times(0) => out.push_str("aucune fois"),
        Finding::None { last: Some(last) } | Finding::Last(last) => {
            out.push_str("la dernière fois ");
            ago(*last, out);
        }
        Finding::Some { count: 1, of, last, .. } => {
            push_all(out, &[one(*of), ", "]);
            ago(*last, out);
        }
        Finding::Some { count, at_least, of, last } => {
            out.push_str(if *at_least { "au moins " } else { "" });
            push_all(out, &[Digits::of_unsigned(*count as u64).as_str(), " ", more(*of), " "]);
            ago(*last, out);
        }
        Finding::Times(1) => out.push_str("une fois"),
        Finding::Times(count) => push_all(out, &[Digits::of_unsigned(*count).as_str(), " fois"]),
        Finding::TooNew { counts_in: Some(span) } => {
            out.push_str("aucune fois, mais pas connu depuis assez longtemps\u{a0}: encore ");
            length(*span, out);
        }
        Finding::TooNew { counts_in: None } => out.push_str("aucune fois, mais pas connu depuis le début"),
        Finding::NotStarted => out.push_str("pas commencé"),
        Finding::Waited(span) => {
            out.push_str("attente de ");
            length(*span, out);
        }
        Finding::NothingOverdue => out.push_str("rien en retard"),
        Finding::Complete(span) => {
            out.push_str("achevée ");
            ago(*span, out);
        }
        Finding::NotComplete => out.push_str("inachevée"),
        Finding::Passing { count, of } => {
            push_all(out, &[Digits::of(*count).as_str(), " sur ", Digits::of((*of).into()).as_str()]);
        }
        Finding::InARow(0) => out.push_str("aucune"),
        Finding::InARow(count) => push_all(out, &[Digits::of((*count).into()).as_str(), " de suite"]),
        Finding::In(Span(0)) => out.push_str("à l’instant"),
        Finding::In(span) => {
            out.push_str("depuis ");
            length(*span, out);
        }
        Finding::Entered(span) => {
            out.push_str("entrée ");
            ago(*span, out);
        }
        Finding::Ago(span) => ago(*span, out),
        Finding::Outside(span) => {
            ago(*span, out);
            out.push_str(", hors de cette période");
        }
        Finding::Never => out.push_str("jamais"),
        Finding::Quantity(value) => quantity(value, out),
        Finding::Ranked { value, threshold } => pair(value, ", seuil ", threshold, out),
        Finding::Unranked => out.push_str("non classé"),
        Finding::NoThreshold => out.push_str("pas de seuil\u{a0}: trop peu de clients, ou pas encore calculé"),
        Finding::Against { value, other, usual_gap: true } => pair(value, ", écart habituel ", other, out),
        Finding::Against { value, other, usual_gap: false } => pair(value, ", contre ", other, out),
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

fn pair(value: &Quantity, between: &str, other: &Quantity, out: &mut String) {
    quantity(value, out);
    out.push_str(between);
    quantity(other, out);
}

fn quantity(quantity: &Quantity, out: &mut String) {
    match *quantity {
        Quantity::Missing => out.push_str("aucune valeur"),
        Quantity::Number(value) => number(value, out),
        Quantity::Since(Span(0)) => out.push_str("à l’instant"),
        Quantity::Since(span) | Quantity::Length(span) => length(span, out),
        Quantity::AtOnce => out.push_str("aussitôt"),
        Quantity::More(value) => {
            out.push_str(plus(value));
            number(value, out);
        }
        Quantity::Percent(part) => {
            out.push_str(plus(part));
            number(Number(part.0.saturating_mul(100)), out);
            out.push_str("\u{a0}%");
        }
        Quantity::Longer(Span(0)) => out.push_str("aucun changement"),
        Quantity::Longer(Span(less)) if less < 0 => {
            length(Span(-less), out);
            out.push_str(" de moins");
        }
        Quantity::Longer(more) => {
            length(more, out);
            out.push_str(" de plus");
        }
        Quantity::Bool(true) => out.push_str("vrai"),
        Quantity::Bool(false) => out.push_str("faux"),
        Quantity::Level(ref name) => out.push_str(name),
        Quantity::Text => out.push_str("un texte"),
    }
}

/// Of the risk, up to its factors.
pub(super) fn risk_opening(level: &str, out: &mut String) {
    push_all(out, &["Risque ", level, "\u{a0}: "]);
}

pub(super) fn cause(cause: RiskCause, out: &mut String) {
    match cause {
        RiskCause::Once => out.push_str("une seule venue"),
        RiskCause::Rhythm(span) => {
            out.push_str("un rythme de ");
            in_days(span, out);
        }
        RiskCause::Silence(span) => {
            out.push_str("silence depuis ");
            in_days(span, out);
        }
        RiskCause::Falling => out.push_str("moins de jours dernièrement"),
        RiskCause::Signal(_) => {}
    }
}

/// Whole days: hours would be too precise for a rhythm.
fn in_days(span: Span, out: &mut String) {
    match span.0.div_euclid(Span::DAY.0) {
        0 => out.push_str("moins d’un jour"),
        1 => out.push_str("1\u{a0}jour"),
        days => push_all(out, &[Digits::of(days).as_str(), "\u{a0}jours"]),
    }
}

/// With a decimal comma.
fn number(number: Number, out: &mut String) {
    let start = out.len();
    number.write_to(out).expect("a string takes everything");
    if let Some(point) = out[start..].find('.') {
        out.replace_range(start + point..=start + point, ",");
    }
}

fn ago(span: Span, out: &mut String) {
    if span == Span(0) {
        return out.push_str("à l’instant");
    }
    out.push_str("il y a ");
    length(span, out);
}

fn length(span: Span, out: &mut String) {
    match rounded(span) {
        Rounded::Milliseconds(ms) => push_all(out, &[Digits::of(ms).as_str(), "\u{a0}ms"]),
        Rounded::Units { count, unit, rest, just_over } => {
            out.push_str(if just_over { "un peu plus de " } else { "" });
            counted(count, unit, out);
            if let Some((rest, smaller)) = rest {
                out.push(' ');
                counted(rest, smaller, out);
            }
        }
    }
}

fn counted(count: i64, unit: TimeUnit, out: &mut String) {
    let (one, more) = match unit {
        TimeUnit::Day => ("\u{a0}jour", "\u{a0}jours"),
        TimeUnit::Hour => ("\u{a0}heure", "\u{a0}heures"),
        TimeUnit::Minute => ("\u{a0}minute", "\u{a0}minutes"),
        TimeUnit::Second => ("\u{a0}seconde", "\u{a0}secondes"),
    };
    push_all(out, &[Digits::of(count).as_str(), if count < 2 { one } else { more }]);
}

#[cfg(test)]
mod tests {
    use super::{found, length};
    use crate::engine::effects::{Finding, Quantity};
    use crate::event::{Number, Span};
    use crate::fact::Counted;

    fn text(write: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn lengths_agree_with_their_number() {
        let of = |days: i64, hours: i64, ms: i64| {
            text(|out| length(Span(days * Span::DAY.0 + hours * Span::HOUR.0 + ms), out))
        };
        assert_eq!(of(90, 0, 0), "90\u{a0}jours");
        assert_eq!(of(1, 0, 0), "1\u{a0}jour");
        assert_eq!(of(2, 1, 0), "2\u{a0}jours 1\u{a0}heure");
        assert_eq!(of(0, 2, 1), "un peu plus de 2\u{a0}heures");
    }

    #[test]
    fn values_read_as_one_would_say_them() {
        let found = |of: &Finding| text(|out| found(of, out));
        let days = |days: i64| Span(days * Span::DAY.0);
        let visits = Finding::Some { count: 3, at_least: true, of: Counted::Days, last: days(0) };
        assert_eq!(found(&visits), "au moins 3 jours, le dernier à l’instant");
        assert_eq!(found(&Finding::Last(days(90))), "la dernière fois il y a 90\u{a0}jours");
        assert_eq!(found(&Finding::Quantity(Quantity::Number(Number(-1_500_000)))), "-1,5");
    }
}
