//! A dry run: what a version of the rules would change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::inquiry::InForce;
use crate::rules::{Cohort, CohortIx, Page, RuleSet, TEXT_BYTES_MAX, load_as_written, warnings};

/// The name of the text in mistakes and warnings.
const NAME: &str = "POST /rules";

/// Compares with the version in force.
///
/// # Errors
/// All mistakes, as a person reads them.
pub(super) fn of(text: &str, in_force: &InForce) -> Result<Value, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("{} bytes are more than {TEXT_BYTES_MAX}", text.len()));
    }
    let (document, rules) = load_as_written(NAME, text)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))?;
    let page = Page { file: NAME, text, document: &document };
    let warnings: Vec<String> = warnings(&page, |_| false).iter().map(ToString::to_string).collect();
    let before = in_force.coverage.rules();
    let cohorts = compare(before, &rules);
    let churn = |rules: &RuleSet| rules.churn.as_ref().map(|churn| churn.definition.clone());
    Ok(json!({
        "dry_run": true,
        "fingerprint": rules.fingerprint,
        "new": rules.fingerprint != in_force.fingerprint,
        "in_force": { "version": in_force.version, "fingerprint": in_force.fingerprint },
        "cohorts": {
            "new": cohorts.new,
            "changed": cohorts.changed,
            "affected": cohorts.affected,
            "gone": cohorts.gone,
            "unchanged": cohorts.unchanged,
        },
        "churn_changed": churn(before) != churn(&rules),
        "warnings": warnings,
    }))
}

/// Cohorts by what an edit does to them, each list in the order of names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    new: BTreeSet<String>,
    /// The cohort itself is defined differently, or published differently.
    changed: BTreeSet<String>,
    /// Its definition is the same, but not that of a cohort that it refers to.
    affected: BTreeSet<String>,
    gone: BTreeSet<String>,
    unchanged: usize,
}

fn compare(before: &RuleSet, after: &RuleSet) -> Compared {
    // As in a migration: also which cohorts are admitted first.
    let deciding = |rules: &RuleSet| -> BTreeMap<String, (String, bool, Vec<String>)> {
        let names = |cohorts: &[CohortIx]| cohorts.iter().map(|index| rules.cohort(*index).name.clone()).collect();
        let decides = |cohort: &Cohort| (cohort.definition.clone(), cohort.shadow, names(&cohort.excluded_by));
        rules.cohorts.iter().map(|cohort| (cohort.name.clone(), decides(cohort))).collect()
    };
    let (old, new) = (deciding(before), deciding(after));
    let mut compared = Compared::default();
    compared.gone.extend(old.keys().filter(|name| !new.contains_key(*name)).cloned());
    compared.new.extend(new.keys().filter(|name| !old.contains_key(*name)).cloned());
    compared.changed.extend(
        new.iter()
            .filter(|(name, now)| old.get(*name).is_some_and(|before| before != *now))
            .map(|(name, _)| name.clone()),
    );
    let is_other = |name: &String| compared.changed.contains(name) || compared.new.contains(name);
    for cohort in after.cohorts.iter().filter(|cohort| !is_other(&cohort.name)) {
        let mut rests_on = cohort.rests_on.iter().map(|index| &after.cohorts[usize::from(index.0)].name);
        if rests_on.any(is_other) {
            compared.affected.insert(cohort.name.clone());
        } else {
            compared.unchanged += 1;
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::{Compared, compare};
    use crate::rules::load;

    #[test]
    fn cohorts_are_new_changed_affected_gone_or_as_they_were() {
        let before = "[cohorts.ca]\nwho = 'did visit in the last 1 day'\n[cohorts.cb]\nwho = 'in ca'\n\
                      [cohorts.cc]\nwho = 'did buy in the last 3 days'\n[cohorts.cd]\nwho = 'did buy in the last 1 day'\n";
        let after =
            before.replace("visit in the last 1 day", "visit in the last 2 days").replace("cohorts.cd", "cohorts.ce");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let rules = |text: &str| load("rules.toml", text).unwrap();
        let expected = Compared {
            new: names(&["ce"]),
            changed: names(&["ca"]),
            affected: names(&["cb"]),
            gone: names(&["cd"]),
            unchanged: 1,
        };
        assert_eq!(compare(&rules(before), &rules(&after)), expected);
        // Another title decides nothing, and leaving the shadow is seen outside.
        let titled = before.replace("[cohorts.cb]", "name = { en = 'A' }\n[cohorts.cb]");
        assert_eq!(compare(&rules(before), &rules(&titled)), Compared { unchanged: 4, ..Compared::default() });
        let shadow = before.replace("[cohorts.cb]", "shadow = true\n[cohorts.cb]");
        assert_eq!(compare(&rules(&shadow), &rules(before)).changed, names(&["ca"]));
        // Customers whom the first cohort of a group kept out of the second may enter it once the first is gone.
        let cohort = |name: &str, priority: u8| {
            format!(
                "[cohorts.{name}]\nwho = 'did visit in the last 1 day'\nexclusive_in = 'offers'\npriority = {priority}\n"
            )
        };
        let alone = compare(&rules(&(cohort("ca", 1) + &cohort("cb", 2))), &rules(&cohort("cb", 2)));
        assert_eq!((alone.changed, alone.gone), (names(&["cb"]), names(&["ca"])));
    }
}
