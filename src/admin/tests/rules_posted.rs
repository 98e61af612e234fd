//! Rules that are posted.

use super::*;

#[test]
fn a_dry_run_says_what_rules_would_change_and_changes_nothing() {
    let mut fixture = fixture();
    assert_eq!(fixture.post("?dry_run=true", RULES).0, 503, "no rules were read yet");
    fixture.put_rules(RULES);
    let edited = RULES.replace("last 3 days", "last 4 days").replace("cohorts.seen", "cohorts.visitors");
    let (status, body) = fixture.post("?dry_run=true", &edited);
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["cohorts"]["new"], serde_json::json!(["visitors"]));
    assert_eq!(answer["cohorts"]["changed"], serde_json::json!(["buyers"]));
    assert_eq!(answer["cohorts"]["gone"], serde_json::json!(["seen"]));
    assert_eq!((&answer["new"], &answer["in_force"]["version"]), (&true.into(), &3.into()));
    let (_, same) = fixture.post("?dry_run=true", RULES);
    assert!(same.contains("\"new\":false") && same.contains("\"unchanged\":2"), "{same}");
    let for_good = format!("{RULES}[cohorts.x]\nwho = 'did purchase more than 30 days ago'\n");
    let (_, warned) = fixture.post("?dry_run=true", &for_good);
    assert!(warned.contains("warning: POST /rules:6"), "{warned}");
    let (status, mistakes) = fixture.post("?dry_run=true", "[cohorts.x]\nwho = 'did'\n");
    assert!(status == 422 && mistakes.contains("POST /rules:2"), "{status} {mistakes}");
    let (status, large) = fixture.post("?dry_run=true", &format!("{RULES}# {}\n", "x".repeat(rules::TEXT_BYTES_MAX)));
    assert!(status == 422 && large.contains("bytes are more than"), "{status} {large}");
    // A slip in the query puts nothing in force either.
    for query in ["?dry_run=True", "?dryrun=true", "?dry_run", "?dry_run=true&x=1"] {
        assert_eq!(fixture.post(query, RULES).0, 400, "{query}");
    }
    assert!(fixture.posts.as_mut().unwrap().try_recv().is_err(), "nobody was handed anything");
}

/// Answers what is posted next, on a thread of its own.
fn keeper(fixture: &mut Fixture, ruling: PostOutcome) -> std::thread::JoinHandle<()> {
    let mut posts = fixture.posts.take().unwrap();
    std::thread::spawn(move || {
        let (text, answer) = posts.blocking_recv().unwrap().begin().unwrap();
        assert_eq!(text, RULES);
        answer.send(ruling).unwrap();
    })
}

#[test]
fn what_became_of_posted_rules_is_answered_and_doubt_is_no_refusal() {
    let in_force = PostOutcome::InForce { version: 4, fingerprint: "f".into(), new: true };
    let cases = [
        (in_force, 200, "\"version\":4"),
        (PostOutcome::Refused("POST /rules:1: no".into()), 422, "POST /rules:1: no"),
        (PostOutcome::Unavailable("no broker answers".into()), 503, "no broker answers"),
        (PostOutcome::Unknown("the commit was not confirmed".into()), 202, "Post the same rules again"),
    ];
    for (ruling, status, words) in cases {
        let mut fixture = fixture();
        let keeper = keeper(&mut fixture, ruling);
        let (found, body) = fixture.post("", RULES);
        assert!(found == status && body.contains(words), "{found} {body}");
        keeper.join().unwrap();
    }
    assert_eq!(ask_with(&fixture().admin, "POST", "/rules", &["Host: localhost"], "x").split(' ').nth(1), Some("415"));
}

#[test]
fn rules_that_were_answered_with_503_never_come_into_force() {
    let [mut idle, mut slow] = [fixture(), fixture()];
    let [mut ignored, mut taken] = [&mut idle, &mut slow].map(|fixture| fixture.posts.take().unwrap());
    let [refused, doubtful] = [&idle, &slow].map(|fixture| {
        let address = fixture.admin.clone();
        std::thread::spawn(move || post(&address, "", RULES))
    });
    // Somebody is at it when the time is over: then it is not known.
    let (_, answer) = taken.blocking_recv().unwrap().begin().unwrap();
    let (status, body) = doubtful.join().unwrap();
    assert!(status == 202 && body.contains("still being written"), "{status} {body}");
    drop(answer);
    // Nobody takes them up, as while a process waits for Kafka at its start.
    let (status, body) = refused.join().unwrap();
    assert!(status == 503 && body.contains("try again"), "{status} {body}");
    assert!(ignored.try_recv().unwrap().begin().is_none(), "they come too late");
}
