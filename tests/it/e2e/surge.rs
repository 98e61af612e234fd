//! A cohort that everybody enters at once.

use cohortd::clock::wall_clock;
use cohortd::codec::Output;

use super::avro;
use super::lab::Lab;

const RULES: &str = "[cohorts.here]\nwho = \"did visit in the last 1 day\"\n";

#[test]
fn automation_may_act_on_a_hundred_of_those_who_enter_at_once_and_on_no_more() {
    let Some(lab) = Lab::new("surge", 1, RULES) else { return };
    // Of one hour, whichever it is.
    let at = wall_clock().0 - 60_000;
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let writer = lab.writer();
    let visit = |n: i64| {
        let customer = format!("c{n}");
        writer.send(&customer, &avro::encode(&avro::event(&customer, "visit", at, Some(format!("e{n}")))));
    };
    // What is read before the partition is caught up is a history.
    visit(0);
    writer.flush();
    lab.read_through();
    (1..200).for_each(visit);
    writer.flush();
    lab.read_through();
    let (_, metrics) = daemon.get("/metrics").unwrap();
    assert!(daemon.says("automation.surge"), "{}", daemon.log());
    daemon.stop();
    let automated: Vec<bool> = (lab.read("changes").iter().flatten())
        .map(|seen| Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap()["automation"] == true)
        .collect();
    assert_eq!(automated.len(), 200, "everyone's entry is said");
    assert!(automated[1..100].iter().all(|automated| *automated) && !automated[100..].contains(&true), "{automated:?}");
    assert!(metrics.contains("cohortd_surge_withheld_total 100"), "{metrics}");
}
