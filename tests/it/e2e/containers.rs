//! As in containers: rules in a ConfigMap, commands next to the daemon, and the demo's shop with an external Kafka.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::eventually;
use super::lab::Lab;

const RULES: &str = "[cohorts.buyers]\nwho = \"did purchase in the last 30 days\"\n";

fn cohortd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cohortd"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn health(probe: &str, address: &str) -> (Option<i32>, String) {
    let listen = format!("metrics.listen={address}");
    let Output { status, stdout, stderr } = cohortd().args(["health", probe, "--set", &listen]).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn the_command_health_says_what_the_daemon_says_of_itself() {
    let Some(lab) = Lab::new("health", 1, RULES) else { return };
    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    let address = daemon.address("metrics");
    for probe in ["live", "ready"] {
        let (code, answer) = health(probe, &address);
        assert!(code == Some(0) && answer.contains("\"ok\""), "{probe}: {code:?} {answer}");
    }
    daemon.stop();
    let (code, answer) = health("live", &address);
    assert!(code == Some(1) && answer.contains("is the daemon up?"), "{code:?} {answer}");

    // It waits for a Kafka that is not there: alive, and not ready.
    let away = ["kafka.bootstrap_servers=127.0.0.1:1"];
    let mut daemon = lab.start("one", &away);
    let address = daemon.address("metrics");
    assert_eq!(health("live", &address).0, Some(0));
    let answer = eventually("it is not ready", || Some(health("ready", &address)).filter(|(code, _)| *code == Some(1)));
    assert!(answer.1.contains("status"), "{}", answer.1);
    daemon.stop();
}

/// Writes a version of a ConfigMap as the kubelet does: a folder of its own, then `..data` is switched to it.
fn mount(folder: &Path, version: &str, rules: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("rules.toml"), rules).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_config_map_that_is_switched_puts_its_rules_in_force() {
    let Some(lab) = Lab::new("configmap", 1, RULES) else { return };
    let folder = lab.path("mounted");
    fs::create_dir(&folder).unwrap();
    mount(&folder, "..2026_01_01", RULES);
    symlink("..data/rules.toml", folder.join("rules.toml")).unwrap();
    let file = format!("rules.file={}", folder.join("rules.toml").display());
    let mut daemon = lab.start("one", &[&file]);
    daemon.ready();
    let more = format!("{RULES}[cohorts.lookers]\nwho = \"did visit in the last 30 days\"\n");
    mount(&folder, "..2026_01_02", &more);
    eventually("the switch is seen", || daemon.says("New rules; each partition migrates to them.").then_some(()));
    fs::remove_dir_all(folder.join("..2026_01_01")).unwrap();
    eventually("both cohorts are counted", || daemon.get("/metrics")?.1.contains("cohort=\"lookers\"").then_some(()));
    daemon.stop();
    // Switched while nothing ran.
    mount(&folder, "..2026_01_03", RULES);
    let mut daemon = lab.start("one", &[&file]);
    daemon.ready();
    assert!(daemon.says("\"version\":3"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn the_shop_of_the_demo_feeds_a_kafka_of_ones_own() {
    // The topic is created by the first client; here that is the shop.
    let Some(lab) = Lab::made("shop", 4, RULES, &[]) else { return };
    let sets = [format!("kafka.bootstrap_servers={}", lab.bootstrap), format!("topics.input={}", lab.topic("in"))];
    let open = || {
        cohortd()
            .args(["demo", "--to-kafka", "--seconds", "1", "--customers", "60"])
            .args(sets.iter().flat_map(|set| ["--set", set]))
            .stdout(Stdio::null())
            .stderr(fs::File::create(lab.path("shop.log")).unwrap())
            .spawn()
            .unwrap()
    };
    let answer = |text: &str| {
        eventually(text, || fs::read_to_string(lab.path("shop.log")).unwrap().contains(text).then_some(()));
    };
    let close = |mut shop: std::process::Child| {
        assert!(Command::new("kill").args(["-TERM", &shop.id().to_string()]).status().unwrap().success());
        assert_eq!(shop.wait().unwrap().code(), Some(0), "{}", fs::read_to_string(lab.path("shop.log")).unwrap());
    };
    let shop = open();
    answer("The history is sent");
    close(shop);
    let sent: i64 = (0..4).map(|partition| lab.end("in", partition)).sum();
    assert!(sent > 1_000, "{sent}");

    let mut daemon = lab.start("one", &[]);
    daemon.ready();
    lab.read_through();
    let metrics = daemon.metrics();
    assert_eq!(metrics["cohortd_dead_letters_total"], 0.0);
    assert!(metrics["cohortd_membership_changes_total"] > 50.0, "{metrics:?}");

    // A second past would only be too late.
    let shop = open();
    answer("The shop opens");
    close(shop);
    let after: i64 = (0..4).map(|partition| lab.end("in", partition)).sum();
    assert!(after - sent < 10, "{after} after {sent}");
    daemon.stop();
}
