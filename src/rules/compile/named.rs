//! Bare names: profile attributes, named measures and scores.

use std::collections::{BTreeMap, BTreeSet};

use super::names::names;
use super::order::cycle;
use super::{Compiled, Compiler};
use crate::rules::ast::{Measure, MeasureKind, Name};
use crate::rules::document::{ChurnModel, Document};
use crate::rules::error::{ExprError, nearest};
use crate::rules::reserved::SCORES;

/// The scores that need amounts.
const VALUES: [&str; 3] = ["clv", "clv_if_active", "value_at_risk"];

/// Is a bare word a defined name, and therefore not a text?
pub(super) fn is_named(document: &Document, word: &str) -> bool {
    let is_score = document.churn.is_some() && SCORES.contains(&word);
    is_score || document.profile.contains_key(word) || document.measures.contains_key(word)
}

/// Fails for a name that is neither an attribute nor a named measure.
pub(super) fn known(document: &Document, name: &Name) -> Compiled<()> {
    let text = name.text.as_str();
    if document.profile.contains_key(text) || document.measures.contains_key(text) {
        return Ok(());
    }
    if SCORES.contains(&text) {
        return match &document.churn {
            None => Err(ExprError::new(name.range, format!("the score `{text}` needs [churn]"))
                .hint("define what coming back is: [churn] with on = \"purchase\"")),
            Some(churn) if VALUES.contains(&text) && churn.amount.is_none() => {
                Err(ExprError::new(name.range, "this score needs amounts")
                    .hint("add amount = \"purchase.amount\" under [churn]"))
            }
            Some(churn) if text == "alive" && churn.model == ChurnModel::Usage => {
                Err(ExprError::new(name.range, "`alive` is not defined for the model \"usage\"")
                    .hint("use `churn_risk`"))
            }
            Some(_) => Ok(()),
        };
    }
    let error = ExprError::new(name.range, format!("there is no attribute or measure `{text}`"));
    let names = document.profile.keys().chain(document.measures.keys()).map(String::as_str).chain(SCORES);
    Err(match nearest(text, names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("define it, such as [profile] {text} = \"signup.{text}\", or under [measures]")),
    })
}

/// The error for an undefined bare word that is compared with a number or a duration.
pub(super) fn no_number(document: &Document, word: &Name) -> ExprError {
    let text = &word.text;
    let Err(error) = known(document, word) else {
        return ExprError::new(word.range, format!("`{text}` is not allowed here"));
    };
    let names = document.profile.keys().chain(document.measures.keys()).map(String::as_str);
    if SCORES.contains(&text.as_str()) || nearest(text, names).is_some() {
        return error;
    }
    ExprError::new(
        word.range,
        format!("there is no attribute or measure `{text}`, and a number cannot be compared with a text"),
    )
    .hint(format!("use a number, or define {text} under [measures]"))
}

impl Compiler<'_> {
    /// What a cohort includes in its changes.
    pub(super) fn included(&mut self, name: &Name) -> Compiled<crate::rules::measure::Measure> {
        let written = Measure { kind: MeasureKind::Named(name.clone()), range: name.range };
        Ok(self.measure(&written)?.0)
    }
}

/// The errors in `[measures]` by unknown names and cycles, each with the name of the measure.
pub(super) fn mistakes(document: &Document) -> Vec<(String, ExprError)> {
    let mut errors = Vec::new();
    let mut references: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, defined) in &document.measures {
        let found = references.entry(name).or_default();
        for used in names(&defined.measure) {
            match known(document, used) {
                Ok(()) => found.extend(document.measures.get_key_value(&used.text).map(|(known, _)| known.as_str())),
                Err(error) => errors.push((name.clone(), error)),
            }
        }
    }
    let mut ordered: Vec<&str> = Vec::new();
    while ordered.len() < references.len() {
        let ready = references
            .iter()
            .find(|(name, needs)| !ordered.contains(name) && needs.iter().all(|need| ordered.contains(need)));
        if let Some((name, _)) = ready {
            ordered.push(name);
            continue;
        }
        let circle = cycle(&references, |name| !ordered.contains(&name));
        let used = names(&document.measures[circle[0]].measure);
        let range = used.iter().find(|name| name.text == circle[1]).map(|name| name.range).unwrap_or_default();
        let error = ExprError::new(range, format!("measures refer to each other in a cycle: {}", circle.join(" -> ")))
            .hint("remove one of these names");
        errors.push((circle[0].to_owned(), error));
        break;
    }
    errors
}

#[cfg(test)]
mod tests {
    use crate::event::Number;
    use crate::rules::{Comparand, Condition, Measure, load};

    const NAMES: &str = "[profile]\nplan = 'signup.plan'\n[measures]\nbasket = 'average(purchase.amount)'\n";

    fn mistakes(text: &str) -> Vec<String> {
        load("r.toml", text).map(|_| ()).expect_err("refused").iter().map(ToString::to_string).collect()
    }

    fn mistake(who: &str) -> String {
        mistakes(&format!("{NAMES}[cohorts.c]\nwho = '{who}'")).remove(0)
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_nearest_known_one() {
        let shown = mistake("did visit and baskett > 50");
        assert!(shown.starts_with("r.toml:6:22: cohorts.c.who: there is no attribute or measure `baskett`"), "{shown}");
        assert!(shown.contains("did you mean `basket`?") && shown.ends_with("^^^^^^^"), "{shown}");
    }

    #[test]
    fn names_are_found_on_both_sides_of_a_comparison() {
        let text = "[profile]\nplan = 'signup.plan'\nfavourite = 'visit.plan'\n\
                    [measures]\ndec = 'sum(buy.amount since 2025-12-01)'\njan = 'sum(buy.amount since 2026-01-01)'\n\
                    [cohorts.c]\nwho = 'WHO'";
        let compiled = |who: &str| load("r.toml", &text.replace("WHO", who)).unwrap();
        let with = |who: &str| match &compiled(who).conditions[0] {
            Condition::Compare { with, .. } => with.clone(),
            other => panic!("{other:?}"),
        };
        for who in ["dec > jan", "dec >= jan", "plan = favourite"] {
            assert!(matches!(with(who), Comparand::Measure { .. }), "{who}");
        }
        assert_eq!(with("dec > jan"), with("dec > 1 x jan"));
        assert_eq!(with("plan = pro"), Comparand::Text("pro".into()));
        assert_eq!(with("plan = \"favourite\""), Comparand::Text("favourite".into()));
        // The right side of a comparison is part of the definition, too.
        let definition = |jan: &str| {
            let text = text.replace("WHO", "dec > jan").replace("2026-01-01", jan);
            load("r.toml", &text).unwrap().cohorts[0].definition.clone()
        };
        assert_ne!(definition("2026-01-01"), definition("2026-01-02"));
    }

    #[test]
    fn a_bare_word_beside_a_number_that_names_nothing_is_refused() {
        let shown = mistake("basket > patate");
        assert!(shown.starts_with("r.toml:6:17: cohorts.c.who: there is no attribute or measure `patate`"), "{shown}");
        assert!(shown.contains("use a number"), "{shown}");
        assert!(mistake("count(visit) > baskett").contains("did you mean `basket`?"));
        assert!(mistake("time since last visit > soon").contains("no attribute or measure `soon`"));
        assert!(mistake("basket between 1 and clv").contains("the score `clv` needs [churn]"));
    }

    #[test]
    fn a_percentage_belongs_to_a_change() {
        let with =
            |who: &str| match &load("r.toml", &format!("{NAMES}[cohorts.c]\nwho = '{who}'")).unwrap().conditions[0] {
                Condition::Compare { measure: Measure::Growth { .. }, with, .. } => with.clone(),
                other => panic!("{other:?}"),
            };
        assert_eq!(with("change in basket over 30 days > 20 %"), Comparand::Number(Number(200_000)));
        assert_eq!(
            with("change in basket over 30 days between -50 % and -12.5 %"),
            Comparand::Number(Number(-500_000))
        );
        assert!(mistake("basket > 20 %").contains("`%` is only valid with `change in`"));
        assert!(mistake("change in basket over 1 day between 20 % and 30").contains("one of these is a percentage"));
        assert!(mistake("change in basket over 1 day > 0.12345 %").contains("at most four decimals"));
        assert!(mistake("change in time since last a_ over 1 day > 5 %").contains("changes continuously"));
    }

    #[test]
    fn scores_need_a_model_and_are_no_names_for_others() {
        assert!(mistake("churn_risk >= 85").contains("the score `churn_risk` needs [churn]"));
        let shown = mistakes("[measures]\nclv = 'count(visit)'\n[cohorts.c]\nwho = 'did visit'");
        assert!(shown[0].starts_with("r.toml:2:1: measures: `clv` is the name of a score"), "{shown:?}");
    }

    #[test]
    fn measures_that_name_each_other_in_a_circle_are_refused_where_they_do() {
        let text = "[measures]\na1 = 'ratio(b1, b1)'\nb1 = 'change in a1 over 1 day'\n[cohorts.c]\nwho = 'a1 > 1'";
        let shown = mistakes(text);
        assert!(shown[0].starts_with("r.toml:2:13: measures.a1: measures refer to each other in a cycle"), "{shown:?}");
    }

    #[test]
    fn mistakes_in_a_definition_are_reported_there_used_or_not() {
        let shown = mistakes("[measures]\nm = 'ratio(count(visit), plann)'\n[cohorts.c]\nwho = 'did visit'");
        assert!(shown[0].starts_with("r.toml:2:26: measures.m: there is no"), "{shown:?}");
        let shown = mistakes("[measures]\nm = 'ratio(time since last a_, count(b))'\n[cohorts.c]\nwho = 'did visit'");
        assert!(shown[0].contains("measures.m: a ratio must be of two numbers or of two durations"), "{shown:?}");
        let shown = mistakes("[profile]\nplan = 'signup'\n[cohorts.c]\nwho = 'did visit'");
        assert!(shown[0].contains("an attribute is an event's property"), "{shown:?}");
        let shown = mistakes(&NAMES.replace("plan", "basket")).remove(0);
        assert!(shown.contains("`basket` is also an attribute of [profile]"), "{shown}");
    }

    #[test]
    fn what_cannot_be_exact_within_bounds_is_refused_with_the_reason() {
        assert!(mistake("change in steps from a_ to b via c over 1 day > 1").contains("is not stored"));
        assert!(mistake("ratio(time since last a_, usual gap of a_) > 1").contains("change continuously"));
        let deep = format!("{}count(visit){} > 1", "change in ".repeat(7), " over 1 day".repeat(7));
        assert!(mistake(&deep).contains("more than 64 values"), "{deep}");
    }

    #[test]
    fn a_cohorts_definition_includes_the_names_it_uses_and_no_others() {
        let definition = |average: &str, plan: &str| {
            let names = format!("[profile]\nplan = '{plan}'\n[measures]\nbasket = '{average}'\n");
            let cohort = "twice = 'ratio(basket, basket)'\n[cohorts.c]\nwho = 'twice > 1'";
            let rules = load("r.toml", &format!("{names}{cohort}")).unwrap();
            (rules.fingerprint.clone(), rules.cohorts[0].definition.clone())
        };
        let plain = definition("average(a_.b)", "c.d");
        assert_eq!(plain, definition("  average(a_.b)", "c.e"));
        let other = definition("average(a_.c)", "c.d");
        assert!(plain.0 != other.0 && plain.1 != other.1);
    }
}
