//! Whether automation may act on a change: said once, and found again by whoever decides the change again.

use std::fs;

use cohortd::clock::wall_clock;
use cohortd::codec::Output;

use super::lab::{Lab, Writer};
use super::{avro, shop};

const RULES: &str = r#"
[cohorts.lately]
who = "did visit in the last 3 days"

[cohorts.now]
who = "did visit in the last 3 seconds"

[cohorts.tried]
who    = "did try ever"
shadow = true
"#;

const HOUR: i64 = 3_600_000;

/// So many new customers visit, each once.
fn visit(writer: &Writer, group: &str, customers: i64, at: i64) {
    for number in 0..customers {
        let customer = format!("{group}{number}");
        for name in ["visit", "try"] {
            let event = avro::event(&customer, name, at, Some(format!("{customer} {name}")));
            writer.send(&customer, &avro::encode(&event));
        }
    }
    writer.flush();
}

/// All changes said so far, and those of them that are for automation.
fn said(lab: &Lab) -> (u64, u64) {
    let (mut all, mut for_automation) = (0, 0);
    for seen in lab.read("changes").iter().flatten() {
        let change = Output::CohortChange.to_json(seen.payload.as_ref().unwrap()).unwrap();
        all += 1;
        for_automation += u64::from(change["automation"] == true);
    }
    (all, for_automation)
}

#[test]
fn a_restart_with_the_disk_kept_or_lost_decides_as_the_first_run_did_what_is_for_automation() {
    let Some(lab) = Lab::new("automation", 1, RULES) else { return };
    // Nothing is written until it has to be, so that a restart decides everything again.
    let lazy = ["state.flush_after_events=1000000000", "state.flush_after=1 day", "time.arrives_within=1 s"];
    let writer = lab.writer();
    let restored = |daemon: &super::daemon::Daemon| {
        let line = &daemon.lines_of("Restored.")[0];
        (line["changes"].as_u64().unwrap(), line["for_automation"].as_u64().unwrap())
    };

    // A history, which is not for automation.
    visit(&writer, "history", 20, wall_clock().0 - 40 * HOUR);
    visit(&writer, "yesterday", 10, wall_clock().0 - 20 * HOUR);
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    lab.read_through();
    let history = said(&lab);
    assert_eq!(history.1, 0);

    // Live: some enter and leave, some come too late to be told.
    visit(&writer, "live", 15, wall_clock().0);
    visit(&writer, "late", 12, wall_clock().0 - 30 * HOUR);
    visit(&writer, "live again", 5, wall_clock().0);
    lab.decided_until(wall_clock().0 + shop::SETTLED_AFTER);
    let live = said(&lab);
    assert_eq!(live.1, 10 + 3 * (15 + 5), "yesterday's leave, and each of the others enters twice and leaves once");

    // Too many at once, then with another limit as many as there are.
    visit(&writer, "many", 150, wall_clock().0);
    lab.decided_until(wall_clock().0 + shop::SETTLED_AFTER);
    let many = said(&lab);
    daemon.kill9();
    let mut daemon = lab.start("one", &[&lazy[..], &["automation.surge=0"]].concat());
    daemon.ready();
    assert_eq!(restored(&daemon), many);
    visit(&writer, "more", 30, wall_clock().0);
    lab.decided_until(wall_clock().0 + shop::SETTLED_AFTER);
    let all = said(&lab);
    println!("automation: of the history {history:?}, live {live:?}, in a surge {many:?}, all {all:?}");
    assert!(many.1 > live.1 && many.1 < live.1 + 3 * 150, "some are withheld");
    assert_eq!(all.1, many.1 + 3 * 30, "there is no limit any more");

    daemon.kill9();
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    assert_eq!(restored(&daemon), all, "with the disk kept");
    daemon.kill9();
    fs::remove_dir_all(lab.state("one")).unwrap();
    let mut daemon = lab.start("one", &lazy);
    daemon.ready();
    assert_eq!(restored(&daemon), all, "from the changelog");
    daemon.stop();
    assert_eq!(said(&lab), all, "and nothing is said twice");
}
