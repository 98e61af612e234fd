//! `check` as a writer of cohorts meets it: mistakes, warnings, and the rules held against a sample.

use std::fmt::Write;

use cohortd::rules::load;

use crate::cli::{Ended, run};

/// The places and messages of all mistakes.
fn mistakes(rules: &str) -> Vec<String> {
    load("r.toml", rules).unwrap_err().iter().map(|error| error.one_line()).collect()
}

fn checked(rules: &str, more: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, rules).unwrap();
    let mut ended = run(&[&["check", "--rules", path.to_str().unwrap()][..], more].concat());
    ended.err = ended.err.replace(path.to_str().unwrap(), "r.toml");
    ended
}

#[test]
fn mistakes_of_different_cohorts_are_shown_in_one_run_whatever_their_kind() {
    let rules = r#"
time_zone = "Europe/Pariss"
[cohorts.k]
who = "did e ever and in l"
[cohorts.l]
who = "did e ever and in k"
[cohorts.c]
who = "did e at least 2000 times in the last 3 days"
[cohorts.d]
who = "in e and in nowhere"
[cohorts.e]
who = "did e in the lst 3 days"
[cohorts.f]
who     = "time since last e > 3"
at_most = 7
"#;
    let expected = [
        "r.toml:2:13: time_zone: `Europe/Pariss` is not a known time zone; did you mean \"Europe/Paris\"?",
        "r.toml:4:26: cohorts.k.who: cohorts refer to each other in a cycle: k -> l -> k; remove one of these references",
        "r.toml:8:8: cohorts.c.who: the maximum count is 1000, not 2000",
        "r.toml:10:20: cohorts.d.who: there is no cohort `nowhere`; define it, or remove the reference",
        "r.toml:12:21: cohorts.e.who: expected `last`, found `lst`; did you mean `last`?",
        "r.toml:14:12: cohorts.f.who: a duration cannot be compared with a number; add the unit: `> 3 days`",
        "r.toml:15:11: cohorts.f.at_most: expected a duration in quotes, such as \"14 days\"",
    ];
    assert_eq!(mistakes(rules), expected);
}

#[test]
fn two_circles_are_two_mistakes() {
    let rules =
        "[cohorts.k]\nwho='in l'\n[cohorts.l]\nwho='in k'\n[cohorts.m]\nwho='in m'\n[cohorts.n]\nwho='in k and in m'\n";
    let messages = mistakes(rules);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("k -> l -> k") && messages[1].contains("m -> m"), "{messages:?}");
}

#[test]
fn each_mistake_of_form_has_its_own_answer() {
    let answer = |who: &str| mistakes(&format!("[cohorts.c]\nwho = '''{who}'''")).join("\n");
    for (who, expected) in [
        ("did e at least 1001 times in the last 3 days", "the maximum count is 1000, not 1001"),
        ("did e at least -1 times", "expected a whole number, zero or more"),
        ("did e at least 1.5 times", "expected a whole number, zero or more"),
        ("did e fewer than 0 times", "`fewer than 0` can never hold"),
        (
            "did e in the last 0 days",
            "a duration must be a whole number of milliseconds, above zero and at most 100 years",
        ),
        (
            "did e in the last -3 days",
            "a duration must be a whole number of milliseconds, above zero and at most 100 years",
        ),
        (
            "did e in the last 200 years",
            "a duration must be a whole number of milliseconds, above zero and at most 100 years",
        ),
        (
            "did e between 3 days and 5 days ago",
            "the longer duration must come first; write `between 60 days and 30 days ago`",
        ),
        ("did e between 3 days and 3 days ago", "the longer duration must come first"),
        ("sum(e.y ever) > 0.1234567", "a number has at most six decimal places and 18 digits"),
        ("sum(e.y ever) > 1,000", "write numbers without separators"),
        ("sum(e.y ever) > 1 000", "write numbers without separators"),
        ("sum(e.y ever) > 50 %", "remove the sign"),
        ("sum(e.y ever) > 50 €", "write the number alone"),
        ("sum(e.y ever) == 5", "equality is written with one sign; write `=`"),
        ("sum(e.y ever) <> 5", "`<>` is not a comparison; write `!=`"),
        ("sum(e.y ever) ≥ 5", "write `>=`"),
        ("did e && did f", "write `and`"),
        ("did e AND did f", "`AND` must be in lower case; write `and`"),
        ("did e where y = “a”", "write straight quotes"),
        ("did Purchase", "put names with capitals, spaces or accents in quotes: \"Purchase\""),
        ("did e in the last 30", "expected `seconds` or `minutes`"),
        ("did e in the last 30 dayz", "`dayz` is not a unit of time; did you mean `day`?"),
        ("did e since 2026-02-30", "this date does not exist"),
        ("time since last e > 3", "add the unit: `> 3 days`"),
        ("count(e ever) > 3 days", "remove the unit"),
        ("purchase", "`purchase` alone is not a condition"),
        ("did e where y = \"a", "this quote is not closed"),
        ("(did e", "expected `)`, but the expression ends here"),
        ("", "expected a condition, but the expression ends here"),
    ] {
        assert!(answer(who).contains(expected), "{who}\n{}", answer(who));
    }
}

#[test]
fn each_mistake_around_the_expressions_has_its_own_answer() {
    let cohort = |lines: &str| mistakes(&format!("[cohorts.c]\nwho = 'did e'\n{lines}")).join("\n");
    for (lines, expected) in [
        ("at_least = '3 days'\nat_most = '2 days'", "3:12: cohorts.c: `at_least` is longer than `at_most`"),
        ("at_most = nan", "3:11: cohorts.c.at_most: expected a duration in quotes"),
        ("at_most = '-3 days'", "a duration must be a whole number of milliseconds, above zero"),
        ("cooldown = '3'", "expected `seconds`"),
        ("reenter = 'sometimes'", "expected \"always\" or \"never\""),
        ("enabled = 1", "expected true or false"),
        ("owner = 7", "expected a text in quotes"),
        ("cooldwn = '3 days'", "unknown key `cooldwn`; did you mean `cooldown`?"),
        ("name = { de = 'x' }", "unknown key `de`"),
        ("who = 'did f'", "this is not valid TOML: duplicate key"),
    ] {
        assert!(cohort(lines).contains(expected), "{lines}\n{}", cohort(lines));
    }
    let file = |text: &str| mistakes(text).join("\n");
    for (text, expected) in [
        ("", "no cohort is defined"),
        ("cohorts = 3", "expected a table, [cohorts]"),
        ("[cohorts.c]", "`who` is missing"),
        ("[cohorts.c]\nwho = did e", "r.toml:2:7: this is not valid TOML"),
        ("[cohorts.c]\nwho = 3", "expected a text in quotes"),
        (
            "activity = ['a', 3]\n[cohorts.c]\nwho = 'did e'",
            "r.toml:1:18: activity: expected an event's name in quotes",
        ),
        ("[cohort.c]\nwho = 'did e'", "unknown key `cohort`; did you mean `cohorts`?"),
        ("[cohorts.'New Ones']\nwho = 'did e'", "`New Ones` is not a valid cohort name"),
        ("time_zone = 'Mars'\n[cohorts.c]\nwho = 'did e'", "`Mars` is not a known time zone"),
    ] {
        assert!(file(text).contains(expected), "{text}\n{}", file(text));
    }
}

/// 10,000 lines; a slip in every cohort where `slips`.
fn long_file(slips: bool) -> String {
    let mut text = String::new();
    for cohort in 0..2_000 {
        let window = if slips { "lst" } else { "last" };
        writeln!(
            text,
            "[cohorts.c{cohort}]\nwho = \"did event_{} at least 2 times in the {window} {} days and not in c{}\"\nat_most = \"30 days\"\nowner = \"marketing\"\n",
            cohort % 500,
            cohort % 90 + 1,
            (cohort + 1).min(1_999) + usize::from(cohort >= 1_998) * 10_000,
        )
        .unwrap();
    }
    text.replace(" and not in c11999", "")
}

#[test]
fn a_file_of_ten_thousand_lines_is_checked_at_once() {
    let started = std::time::Instant::now();
    let rules = load("r.toml", &long_file(false)).unwrap();
    assert_eq!(rules.cohorts.len(), 2_000);
    assert_eq!(mistakes(&long_file(true)).len(), 2_000);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn a_file_beyond_all_measure_is_refused_with_the_reason() {
    let many = vec!["did e ever"; 10_001].join(" or ");
    let messages = mistakes(&format!("[cohorts.c]\nwho = '{many}'"));
    assert_eq!(messages, ["r.toml:1:1: cohorts: the maximum number of conditions in one file is 10000, not 10001"]);
    let names: Vec<String> = (0..20_001).map(|name| format!("e{name}")).collect();
    let messages = mistakes(&format!("[cohorts.c]\nwho = 'did any of ({}) ever'", names.join(", ")));
    assert_eq!(messages, ["r.toml:1:1: cohorts: 20001 different names exceed the maximum of 20000 in one file"]);
}

#[test]
fn a_warning_has_a_place_a_caret_and_a_hint_and_is_no_error() {
    let rules = "[cohorts.buyers]\nwho = \"did purchase ever\"\n";
    let check = checked(rules, &[]);
    assert_eq!(check.code, 0);
    let expected = "warning: r.toml:2:8: cohorts.buyers.who: nobody ever leaves: once this holds, it holds for good; add \
                    `until`, `at_most` or a window; if this is intended, add reenter = \"never\"\n   |\n \
                    2 | who = \"did purchase ever\"\n   |        ^^^^^^^^^^^^^^^^^\n\n1 warning in r.toml\n";
    assert_eq!(check.err, expected);
    assert!(check.out.ends_with("Settings, rules and schemas are well formed.\n"), "{}", check.out);

    let denied = checked(rules, &["--deny-warnings"]);
    assert_eq!(denied.code, 78);
    assert!(
        denied.err.ends_with("cohortd: 1 warning in r.toml, and --deny-warnings was asked for\n"),
        "{}",
        denied.err
    );
}

#[test]
fn a_sample_shows_whom_each_condition_touches() {
    let rules = r#"
[cohorts.regulars]
who   = "did purchase at least 3 times in the last 90 days and not (did unsubscribed ever) and count(visit ever) between 2 and 100"
stay  = "did purchase in the last 90 days"
until = "did return_received in the last 30 days"
"#;
    let check = checked(rules, &["--sample", "config/sample-events.jsonl"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""));
    let section = check.out.split("\nOf ").nth(1).unwrap_or_else(|| panic!("{}", check.out));
    let section = section.split("\n\n").next().unwrap();
    assert!(section.starts_with("20 customers at the end of the sample, 2026-06-"), "{section}");
    let lines: Vec<&str> = section.lines().skip(1).collect();
    assert_eq!(lines.len(), 6, "{section}");
    assert!(
        lines[1].starts_with("    who            1  did purchase at least 3 times in the last 90 days"),
        "{section}"
    );
    assert!(lines[2].ends_with("  did unsubscribed ever") || lines[2].contains("not "), "{section}");
    assert!(lines[4].starts_with("    stay "), "{section}");
    assert!(lines[5].starts_with("    until          0  did return_received"), "{section}");
}

#[test]
fn what_the_sample_never_has_is_pointed_out_with_what_it_has() {
    let rules = r#"
[cohorts.c]
who = '''did purchas in the last 3 days and sum(purchase.amout in the last 9 days) > 3
    and did review_posted where stars = "5" in the last 9 days and did purchase where category > 3 in the last 5 days
    and did purchase with at least 2 different cart_id in the last 5 days and did banana in the last 2 days
    and did purchase where cart_id is missing in the last 7 days'''
"#;
    let check = checked(rules, &["--sample", "config/sample-events.jsonl"]);
    assert_eq!(check.code, 0, "{}", check.err);
    for expected in [
        "r.toml:3:14: cohorts.c.who: the sample has no event `purchas`; did you mean `purchase`?",
        "r.toml:3:58: cohorts.c.who: no `purchase` in the sample has a property `amout`; did you mean `amount`?",
        "cohorts.c.who: the rule takes `stars` for a text, and 2 of 2 values in the sample are numbers; write a number \
         without quotes",
        "the rule takes `category` for a number, and ",
        "`cart_id` is missing in ",
        "the sample has no event `banana`; there: ",
        "6 warnings in r.toml",
    ] {
        assert!(check.err.contains(expected), "no {expected} in\n{}", check.err);
    }
    assert_eq!(check.err.matches("warning: ").count(), 6, "{}", check.err);
}

#[test]
fn an_empty_sample_is_reported_and_an_unreadable_one_fails() {
    let rules = "[cohorts.c]\nwho = \"did e in the last 3 days\"\n";
    let empty = checked(rules, &["--sample", "/dev/null"]);
    assert_eq!((empty.code, empty.err.as_str()), (0, ""));
    assert!(empty.out.contains("\nThe sample\n  has no events\n"), "{}", empty.out);
    let missing = checked(rules, &["--sample", "nowhere.jsonl"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("cohortd: nowhere.jsonl: cannot be read ("), "{}", missing.err);
}

#[test]
fn two_rules_files_are_compared_over_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let a = write(
        "a.toml",
        "[cohorts.often]\nwho = 'did purchase at least 3 times in the last 30 days'\n[cohorts.gone]\nwho = 'did unsubscribed in the last 9 days'\n",
    );
    let b = write(
        "b.toml",
        "[cohorts.often]\nwho = 'sum(purchase.amount in the last 30 days) > 100 and did visit in the last 90 days'\n[cohorts.new]\nwho = 'did signup in the last 1 day'\n",
    );
    let sample = "config/sample-events.jsonl";
    let compare = run(&["replay", "--rules", &a, "--compare", &b, "--until", "2026-07-01", sample]);
    assert_eq!(compare.code, 0, "{}", compare.err);
    let lines: Vec<&str> = compare.out.lines().collect();
    let often: Vec<&&str> = lines.iter().filter(|line| line.starts_with(r#"{"cohort":"often","#)).collect();
    assert!(
        often.iter().any(|line| line.starts_with(
            r#"{"cohort":"often","customer_id":"farid","difference":"only_b","a":{"entered":0,"first_entered_at":null,"in":false},"b":{"entered":1,"first_entered_at":"#
        )),
        "{}",
        compare.out
    );
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, lines, "differences stand by cohort, then customer");
    // The same as two replays say.
    let entered = |rules: &str| -> std::collections::BTreeSet<String> {
        let replay = run(&["replay", "--rules", rules, "--until", "2026-07-01", sample]);
        let of_cohort = |line: &&str| line.contains(r#""cohort":"often","change":"entered""#);
        replay.out.lines().filter(of_cohort).map(|line| line.split('"').nth(3).unwrap().to_owned()).collect()
    };
    let (in_a, in_b) = (entered(&a), entered(&b));
    let only = |side: &str| often.iter().filter(|line| line.contains(&format!("\"difference\":\"{side}\""))).count();
    assert_eq!((only("only_a"), only("only_b")), (in_a.difference(&in_b).count(), in_b.difference(&in_a).count()));
    for expected in [
        "often, a",
        "often, b",
        "new: only in ",
        "gone: not in ",
        " more people would have entered",
        "208 events of 20 customers",
    ] {
        assert!(compare.err.contains(expected), "no {expected} in\n{}", compare.err);
    }
    let same = run(&["replay", "--rules", &a, "--compare", &a, sample]);
    assert_eq!((same.code, same.out.as_str()), (0, ""));
    assert!(same.err.contains("often: no difference") && same.err.contains("gone: no difference"), "{}", same.err);
}

#[test]
fn a_value_that_no_event_of_the_sample_has_is_pointed_out_with_the_nearest_one() {
    let folder = tempfile::tempdir().unwrap();
    let sample = folder.path().join("s.jsonl");
    let mut lines = String::new();
    for (number, category) in ["livres", "jouets", "livres", "mode"].into_iter().enumerate() {
        let (at, stars) = (1_767_225_600_000_i64 + 60_000 * i64::try_from(number).unwrap(), number % 2 + 1);
        let properties = format!(r#"{{"category":"{category}","stars":{stars}}}"#);
        let event = format!(r#"{{"customer_id":"c","event":"purchase","time":{at},"properties":{properties}}}"#);
        writeln!(lines, "{event}").unwrap();
    }
    std::fs::write(&sample, lines).unwrap();
    let messages = |who: &str| {
        let profile = "[profile]\nlast_category = 'purchase.category'\n";
        let rules = format!("{profile}[cohorts.c]\nwho = '''{who}'''\nat_most = '9 days'\n");
        checked(&rules, &["--sample", sample.to_str().unwrap()]).err
    };
    let wrong = messages("did purchase where category = \"Livres\" in the last 3 days");
    let expected = "warning: r.toml:4:29: cohorts.c.who: no event of the sample has the value \"Livres\" for `category`; \
                    nearest: \"livres\"";
    assert!(wrong.contains(expected), "{wrong}");
    let wrong = messages("last_category = livre");
    assert!(wrong.contains("has the value \"livre\" for `category`; nearest: \"livres\""), "{wrong}");
    let wrong = messages("did purchase where category in (livres, voyages) in the last 3 days");
    assert!(wrong.contains("the value \"voyages\" for `category`; there: jouets, livres, mode"), "{wrong}");
    let wrong = messages("most_common(purchase.category in the last 3 days) != \"MODE\"");
    assert!(wrong.contains("nearest: \"mode\""), "{wrong}");
    let wrong = messages("did purchase where stars = 5 in the last 3 days");
    assert!(wrong.contains("no event of the sample has the value 5 for `stars`; there: 1, 2"), "{wrong}");
    let wrong = messages("did purchase where category contains \"ivress\" in the last 3 days");
    assert!(wrong.contains("no event of the sample has a `category` that contains \"ivress\""), "{wrong}");
    for fine in [
        "did purchase where category = livres, stars = 2 in the last 3 days",
        "did purchase where category contains ivre in the last 3 days",
        "last_category = mode",
    ] {
        assert!(!messages(fine).contains("no event of the sample"), "{}", messages(fine));
    }
}

/// Who is likely to be gone is worth little by that alone.
#[test]
fn a_high_risk_and_a_high_value_that_never_meet_in_the_sample_are_pointed_out() {
    let folder = tempfile::tempdir().unwrap();
    let sample = folder.path().join("s.jsonl");
    std::fs::write(&sample, buyers(100)).unwrap();
    let messages = |who: &str| {
        let churn = "[churn]\non = 'purchase'\namount = 'purchase.amount'\nlevels = { high = 0.9 }\n";
        checked(&format!("{churn}[cohorts.c]\nwho = '{who}'\n"), &["--sample", sample.to_str().unwrap()]).err
    };
    let wrong = messages("churn_level = high and clv > 300");
    assert!(wrong.contains("r.toml:6:31: cohorts.c.who: `churn_level = high` and `clv > 300` never meet"), "{wrong}");
    assert!(wrong.contains("use `clv_if_active`"), "{wrong}");
    for fine in ["churn_level = high and clv_if_active > 300", "churn_level = low and clv > 300", "clv > 300"] {
        assert!(!messages(fine).contains("never meet"), "{}", messages(fine));
    }
}

/// Purchases of so much each by customers of whom half come every ten days to the end, and the others stop, some early and
/// some late.
pub(crate) fn buyers(amount: u32) -> String {
    let mut orders = Vec::new();
    for customer in 0..60_i64 {
        let times = if customer % 2 == 0 { 30 } else { 3 + customer % 25 };
        orders.extend((0..times).map(|time| (time * 10 + customer % 9, customer)));
    }
    orders.sort_unstable();
    let line = |(day, customer): (i64, i64)| {
        let at = 1_767_225_600_000 + day * 86_400_000;
        let event = format!(r#""customer_id":"c{customer}","event":"purchase","time":{at}"#);
        format!("{{{event},\"properties\":{{\"amount\":{amount}}}}}\n")
    };
    orders.into_iter().map(line).collect()
}
