//! `replay` and `explain` over ranges of a topic, against the same events in files.

use std::fmt::Write as _;
use std::process::{Command, Output};
use std::time::Duration;

use cohortd::kafka::partition_of;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::avro;
use super::lab::Lab;
use super::shop::Random;

const DAY: i64 = 86_400_000;
const START: i64 = 1_735_689_600_000;
const PARTITIONS: usize = 2;

fn cohortd(lab: &Lab, arguments: &[&str], files: &[&str]) -> Output {
    let output = ended(lab, arguments, files);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The same, however it ends.
fn ended(lab: &Lab, arguments: &[&str], files: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(arguments)
        .arg("--rules")
        .arg(lab.path("rules.toml"))
        .args(["--set", &format!("kafka.bootstrap_servers={}", lab.bootstrap)])
        .args(["--set", &format!("kafka.group_id={}", lab.name)])
        .args(files.iter().map(|file| lab.path(file)))
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn a_range_of_a_topic_is_replayed_as_its_partitions_in_files_and_nothing_is_committed() {
    let Some(lab) = Lab::new("ranges", 2, include_str!("../../../config/rules.toml")) else { return };
    let mut random = Random::seeded("ranges");
    let writer = lab.writer();
    let mut logs = vec![Vec::new(); PARTITIONS];
    for n in 0..300 {
        let at = START + n * DAY / 3 - random.below(10_000);
        let customer = format!("c{}", random.below(12));
        let names = ["signup", "purchase", "visit", "product_viewed"];
        let name = names[usize::try_from(random.below(4)).unwrap()];
        let event = avro::event(&customer, name, at, Some(format!("e{n}")));
        writer.send(&customer, &avro::encode(&event));
        let line =
            serde_json::json!({ "event_id": format!("e{n}"), "customer_id": customer, "event": name, "time": at });
        logs[usize::try_from(partition_of(customer.as_bytes(), 2)).unwrap()].push(line.to_string());
    }
    writer.flush();
    // Nothing of this is an event, and what did not count is not read at all.
    writer.send_to(0, Some("c"), Some(b"{}"));
    writer.send_to(0, Some("c"), None);
    writer.send_to(1, Some("other"), Some(&avro::encode(&avro::event("c1", "visit", START, None))));
    writer.send("c1", &avro::encode(&avro::event("c1", "visit", START, None)));
    writer.flush();
    lab.transactions().abort(&[("c1", avro::encode(&avro::event("c1", "purchase", START + 100 * DAY, None)))]);

    let write = |name: &str, lines: &[String]| {
        let text = lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
        std::fs::write(lab.path(name), text).unwrap();
    };
    let topic = lab.topic("in");
    let of_files = |logs: &[Vec<String>]| {
        let mut out = Vec::new();
        for (log, name) in logs.iter().zip(["0.jsonl", "1.jsonl"]) {
            write(name, log);
            out.extend(cohortd(&lab, &["replay", "--as-is"], &[name]).stdout);
        }
        out
    };
    let replayed = cohortd(&lab, &["replay", "--topic", &topic], &[]);
    assert_eq!(String::from_utf8(replayed.stdout).unwrap(), String::from_utf8(of_files(&logs)).unwrap());
    let summary = String::from_utf8(replayed.stderr).unwrap();
    for line in [
        "303 events of 12 customers",
        "300 applied, 0 duplicates, 3 dead letters",
        "\n1 undecodable: ",
        "\n1 wrong_key: ",
        "\n1 too_late: ",
        "\n1 record without a value passed over",
    ] {
        assert!(summary.contains(line), "{line:?} is not in\n{summary}");
    }

    // Of each customer one partition knows, so that the partitions' differences are those of all.
    let draft =
        include_str!("../../../config/rules.toml").replace("at least 2 different days", "at least 3 different days");
    std::fs::write(lab.path("draft.toml"), draft).unwrap();
    let draft = lab.path("draft.toml").display().to_string();
    let mut expected = Vec::new();
    for name in ["0.jsonl", "1.jsonl"] {
        let of_file = cohortd(&lab, &["replay", "--as-is", "--compare", &draft], &[name]);
        expected.extend(String::from_utf8(of_file.stdout).unwrap().lines().map(str::to_owned));
    }
    expected.sort();
    let compared = cohortd(&lab, &["replay", "--topic", &topic, "--compare", &draft], &[]);
    let mut found: Vec<_> = String::from_utf8(compared.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(found.is_sorted_by_key(|line| line.split("\"difference\"").next().unwrap().to_owned()), "{found:?}");
    found.sort();
    assert!(!found.is_empty());
    assert_eq!(found, expected);
    let summary = String::from_utf8(compared.stderr).unwrap();
    assert!(summary.contains("303 events of 12 customers") && summary.contains(" would "), "{summary}");

    // Offsets are those of each partition.
    let part: Vec<Vec<String>> = logs.iter().map(|log| log[20..40].to_vec()).collect();
    let replayed = cohortd(&lab, &["replay", "--topic", &topic, "--from", "20", "--to", "40"], &[]);
    assert_eq!(String::from_utf8(replayed.stdout).unwrap(), String::from_utf8(of_files(&part)).unwrap());
    let later = cohortd(&lab, &["replay", "--topic", &topic, "--from", "2100-01-01"], &[]);
    assert!(later.stdout.is_empty() && String::from_utf8_lossy(&later.stderr).contains("0 events"));

    let home = usize::try_from(partition_of(b"c1", 2)).unwrap();
    write("home.jsonl", &logs[home]);
    let printed = cohortd(&lab, &["explain", "--customer", "c1", "--json", "--topic", &topic], &[]);
    let of_file = cohortd(&lab, &["explain", "--customer", "c1", "--json"], &["home.jsonl"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), String::from_utf8(of_file.stdout).unwrap());

    let group: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &lab.bootstrap).set("group.id", &lab.name).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&topic, 0, 1);
    let committed = group.committed_offsets(list, Duration::from_secs(30)).unwrap();
    assert!(committed.elements().iter().all(|element| element.offset() == Offset::Invalid), "{committed:?}");
}

#[test]
fn a_topic_of_which_every_record_is_refused_is_no_success_and_the_reasons_are_named() {
    let Some(lab) = Lab::new("refused", 2, include_str!("../../../config/rules.toml")) else { return };
    let topic = lab.topic("in");
    let rules = lab.path("rules.toml").display().to_string();
    let commands = [vec!["replay", "--topic", &topic], vec!["replay", "--topic", &topic, "--compare", &rules]];
    let nothing = commands.each_ref().map(|command| ended(&lab, command, &[]).status.code());
    assert_eq!(nothing, [Some(0); 2], "nothing is not refused");

    let writer = lab.writer();
    writer.send_to(0, Some("c"), Some(b"{}"));
    writer.send_to(1, Some("other"), Some(&avro::encode(&avro::event("c1", "visit", START, None))));
    // In seconds.
    writer.send_to(1, Some("c2"), Some(&avro::encode(&avro::event("c2", "visit", START / 1_000, None))));
    writer.flush();
    for command in &commands {
        let output = ended(&lab, command, &[]);
        let printed = String::from_utf8(output.stderr).unwrap();
        println!("{command:?}: {:?}\n{printed}", output.status.code());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{printed}");
        for line in [
            "3 dead letters",
            "\n1 undecodable: ",
            "\n1 wrong_key: ",
            "\n1 bad_time: before time.earliest, or in seconds",
            "3 records, and every one is refused; is it the right topic, with the right settings?",
        ] {
            assert!(printed.contains(line), "{line:?} is not in\n{printed}");
        }
    }

    // One that can be used is enough.
    writer.send("c1", &avro::encode(&avro::event("c1", "visit", START, None)));
    writer.flush();
    for command in &commands {
        let output = ended(&lab, command, &[]);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{printed}");
        assert!(printed.contains("3 dead letters") && !printed.contains("every one"), "{printed}");
    }
}
