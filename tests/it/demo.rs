//! The demo as a newcomer runs it, in a hurry.

use std::process::Command;

use crate::support::limit::Limit;

#[test]
fn every_default_cohort_is_entered_and_left_and_the_demo_says_what_it_does_not_prove() {
    let _limit = Limit::start();
    let output = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(["demo", "--seconds", "4", "--customers", "400", "--set", "metrics.listen=127.0.0.1:0"])
        // The environment's settings must have no effect.
        .env_clear()
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}{err}");
    for cohort in [
        "buyers_waiting",
        "new_signups",
        "onboarding_stuck",
        "recurring_at_risk",
        "recent_visitors_no_purchase",
        "re_engageable",
    ] {
        let row = out.lines().find(|line| line.starts_with(cohort)).unwrap_or_else(|| panic!("no {cohort}:\n{out}"));
        let mut figures = row.split_whitespace().skip(1).map(|figure| figure.replace(',', "").parse::<u64>().unwrap());
        let (entered, left) = (figures.next().unwrap(), figures.next().unwrap());
        assert!(entered > 0 && left > 0, "{row}");
    }
    assert!(out.lines().any(|line| line.starts_with("vip")), "{out}");
    assert!(out.contains("no transactions"), "{out}");
    assert!(out.contains("Two topics become one log"), "{out}");
    // What both topics brought was applied, or recognized as sent twice.
    let counts = |line: &str| -> Vec<u64> {
        let line = out.lines().find(|found| found.contains(line)).unwrap_or_else(|| panic!("no {line}:\n{out}"));
        line.split_whitespace().filter_map(|word| word.replace(',', "").parse().ok()).collect()
    };
    let (sent, handled) = (counts("of them from tickets"), counts("applied"));
    assert!(sent.last().is_some_and(|tickets| *tickets > 100), "{out}");
    assert_eq!(handled[1..].iter().sum::<u64>(), sent[sent.len() - 3], "{out}");
    assert!(!out.contains('\x1b'), "colours where there is no screen");
    assert_eq!(err, "");
}
