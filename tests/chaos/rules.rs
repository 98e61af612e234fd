//! The rules of the shop. Those of `BASE` never change, so that each of their changes can be compared, one by one,
//! across any number of edits; one cohort beside them is edited all the time.

/// Deadlines of seconds. Nothing is left to come `SETTLED_AFTER` the last event.
pub(super) const BASE: &str = r#"
activity = ["visit", "purchase", "cart"]

[cohorts.abandoned]
who     = "cart then no purchase within 2 seconds"
at_most = "3 seconds"

[cohorts.hot]
who      = "did purchase at least 2 times in the last 3 seconds"
at_least = "1 second"

[cohorts.looking]
who      = "did visit at least 2 times in the last 4 seconds and did not purchase in the last 4 seconds even if new and not in hot"
cooldown = "1 second"

[cohorts.quiet]
who = "did any of (visit, purchase) ever and silent for 2 seconds"

[cohorts.spender]
who   = "sum(purchase.amount in the last 5 seconds) >= 100"
until = "did refund since last purchase"

[cohorts.unsettled]
who = "entered quiet at least 2 times in the last 4 seconds or left hot in the last 2 seconds"
"#;

/// The cohort that is edited. Its members follow from a customer's facts alone, whatever stood there before.
pub(super) const EDITED: &str = "edited";

const EDITS: [&str; 5] = [
    "\n[cohorts.edited]\nwho = \"did purchase at least 2 times in the last 6 hours\"\n",
    "\n[cohorts.edited]\nwho = \"did visit at least 3 times in the last 6 hours\"\n",
    "\n[cohorts.edited]\nwho = \"sum(purchase.amount in the last 6 hours) >= 50\"\n",
    "\n[cohorts.edited]\nwho = \"did cart in the last 6 hours and did not refund in the last 6 hours even if new\"\n",
    "",
];

/// Milliseconds: the longest window and stay of `BASE`, one after the other, and some.
pub(super) const SETTLED_AFTER: i64 = 9_000;

/// A version of the rules, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(pub(super) usize);

impl Version {
    pub(super) const COUNT: i64 = EDITS.len() as i64;

    pub(super) fn text(self) -> String {
        [BASE, EDITS[self.0]].concat()
    }

    /// Only the cohort that is edited; `None` where there is none.
    pub(super) fn edited_alone(self) -> Option<String> {
        let edited = EDITS[self.0];
        (!edited.is_empty()).then(|| ["activity = [\"visit\", \"purchase\", \"cart\"]\n", edited].concat())
    }

    pub(super) fn fingerprint(self) -> String {
        cohortd::rules::load("rules.toml", &self.text()).unwrap().fingerprint
    }
}
