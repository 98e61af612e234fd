//! The documented commands that need a running daemon, run as documented: those of `crate::commands` that take brokers.

use std::fs;

use cohortd::clock::wall_clock;
use cohortd::event::Span;

use super::avro;
use super::daemon::Daemon;
use super::eventually;
use super::lab::Lab;
use crate::commands::{How, Sandbox, Shown, shown};

/// Settings as a file: each line is `key=value`.
fn as_file(settings: &[String]) -> String {
    let line = |set: &String| {
        let (key, value) = set.split_once('=').unwrap();
        let is_bare = value.parse::<i64>().is_ok() || ["true", "false"].contains(&value);
        if is_bare { format!("{key} = {value}\n") } else { format!("{key} = {value:?}\n") }
    };
    settings.iter().map(line).collect()
}

/// Somebody who bought, and was quiet; and others.
fn fill(lab: &Lab) {
    let (writer, now) = (lab.writer(), wall_clock().0);
    for (number, days) in [200, 150, 100, 60].into_iter().enumerate() {
        for customer in ["ana", "other"] {
            let at = now - days * Span::DAY.0;
            writer.send(customer, &avro::encode(&avro::event(customer, "purchase", at, Some(format!("{number}")))));
        }
    }
    writer.flush();
}

#[test]
fn what_the_pages_show_of_a_running_daemon_works() {
    let sandbox = Sandbox::new();
    let rules = fs::read_to_string(sandbox.folder.path().join("rules.toml")).unwrap();
    let Some(lab) = Lab::new("shown", 2, &rules) else { return };
    fill(&lab);
    let mut settings = lab.settings("one");
    // Their events are old: without this there would be no survey for minutes.
    settings.extend(["time.live_after=1 s", "ranks.refresh=1 s"].map(str::to_owned));
    let settings = as_file(&settings);
    sandbox.write("cohortd.toml", settings.as_bytes());
    let config = sandbox.folder.path().join("cohortd.toml");
    let mut daemon = Daemon::start(&[], &["--config", config.to_str().unwrap()], &lab.path("shown.log"));
    daemon.ready();
    lab.read_through();
    // `health` asks where the settings say.
    let [metrics, admin] = ["metrics", "admin"].map(|door| daemon.address(door));
    let listens = |text: &str, door: &str, address: &str| {
        text.replace(&format!("{door}.listen = \"127.0.0.1:0\""), &format!("{door}.listen = {address:?}"))
    };
    sandbox.write("cohortd.toml", listens(&listens(&settings, "metrics", &metrics), "admin", &admin).as_bytes());

    eventually("a day is surveyed", || daemon.ask("admin", "/cohorts")?.1.contains("made_at").then_some(()));
    let (after, during): (Vec<Shown>, Vec<Shown>) = (shown().into_iter())
        .filter(|command| command.how() == Some(How::WithBrokers))
        .partition(|command| command.text.starts_with("cohortd reset"));
    assert!(after.len() >= 3 && during.len() >= 10, "{after:?} {during:?}");
    let mut wrong = Vec::new();
    let mut run = |Shown { place, text }: Shown| {
        let is_ours = text.starts_with("cohortd ");
        let text = text
            .replace("http://127.0.0.1:9464", &format!("http://{metrics}"))
            .replace("http://127.0.0.1:9465", &format!("http://{admin}"))
            .replace("customer-events", &lab.topic("in"))
            .replacen("curl ", "curl -sS --fail-with-body ", 1);
        let text = if is_ours && !text.contains("--config") { format!("{text} --config cohortd.toml") } else { text };
        let (code, printed) = sandbox.run(&text);
        if code != Some(0) {
            wrong.push(format!("{place}: {text}\n  ended with {code:?}: {printed}"));
        }
    };
    during.into_iter().for_each(&mut run);
    daemon.stop();
    after.into_iter().filter(|command| command.text != "cohortd reset").for_each(&mut run);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
