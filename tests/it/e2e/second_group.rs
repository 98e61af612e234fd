//! A second group on topics of the first: mixing their rules is refused, and mixing their outputs causes a warning.

use cohortd::clock::wall_clock;
use cohortd::lane::identity::NEW_GROUP_NAMES;

use super::lab::Lab;
use super::refusals::refusal;
use super::{avro, eventually};

const RULES: &str = "[cohorts.seen]\nwho = \"did visit in the last 1 day\"\n";

#[test]
fn a_second_group_is_refused_the_rules_of_the_first_and_warned_of_its_outputs() {
    let Some(lab) = Lab::new("neighbours", 1, RULES) else { return };
    let writer = lab.writer();
    writer.send("a", &avro::encode(&avro::event("a", "visit", wall_clock().0, None)));
    writer.flush();
    let mut first = lab.start("one", &[]);
    first.ready();
    lab.read_through();
    let group = format!("kafka.group_id={}-other", lab.name);
    let set = |key: &str| format!("topics.{key}={}-other-{key}", lab.name);
    let (log, summaries, rules) = (set("changelog"), set("summaries"), set("rules"));
    let second = lab.start("two", &[&group, &log, &summaries]);
    refusal(second.ended(), &["topics.rules", &format!("the rules of group {}", lab.name), NEW_GROUP_NAMES]);
    first.assert_running();
    // Nor may it delete what is the first one's, and the check before the start says so.
    for way in [&["--rebuild", "--yes"], &["--from", "stored"]] {
        let (code, _, stderr) = lab.reset("two", &[&group], way);
        assert_eq!(code, Some(78), "{stderr}");
        assert!(stderr.contains(&format!("the rules of group {}", lab.name)), "{stderr}");
    }
    let (code, text) = lab.check_connect("two", &[&group]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains(&format!("the rules of group {}", lab.name)), "{text}");
    let mut second = lab.start("two", &[&group, &log, &summaries, &rules]);
    second.ready();
    eventually("the second says who else writes there", || {
        let log = second.log();
        let line = log.lines().find(|line| line.contains("Another group writes into this topic"))?;
        line.contains(&format!("\"{}\"", lab.name)).then_some(())
    });
    assert!(!first.says("Another group writes"), "{}", first.log());
    first.stop();
    second.stop();
}
