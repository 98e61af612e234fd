//! A client in another language, with a schema registry.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::lab::Lab;
use super::registry::Registry;

const RULES: &str = r#"
[cohorts.buyers]
who = "did purchase where amount > 10 in the last 30 days"
until = "did refund since last purchase"
"#;

/// Python with the client, made once; `None`, with the reason on stdout, where that cannot be done. Under CI it must.
fn python() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where the tests keep what they fetch")]
    let root = env::var("COHORTD_CACHE")
        .map_or_else(|_| PathBuf::from(env::var("HOME").unwrap()).join(".cache/cohortd"), PathBuf::from);
    let venv = root.join("venv");
    let python = venv.join("bin/python");
    let mark = venv.join("confluent-kafka-2.16.0");
    if mark.exists() {
        return Some(python);
    }
    println!("making {} with confluent-kafka, once", venv.display());
    fs::create_dir_all(&root).unwrap();
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).and_then(|()| {
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "confluent-kafka[avro,schemaregistry]==2.16.0"]))
    });
    match made {
        Ok(()) => {
            fs::write(&mark, "").unwrap();
            Some(python)
        }
        Err(reason) => {
            assert!(env::var_os("CI").is_none(), "the outside client needs python3 with venv and pip: {reason}");
            println!("skipped: no confluent-kafka for Python: {reason}");
            None
        }
    }
}

#[test]
fn a_python_client_writes_the_events_and_reads_the_changes() {
    let Some(lab) = Lab::new("outside", 2, RULES) else { return };
    let Some(python) = python() else { return };
    let registry = Registry::start();
    let mut daemon = lab.start("one", &[&format!("schemas.registry={}", registry.address)]);
    daemon.ready();
    let client = |arguments: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/client.py");
        let output = Command::new(&python)
            .arg(script)
            .args([&lab.bootstrap, &registry.address])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    client(&["write", &lab.topic("in"), "schemas/customer-event.avsc"]);
    lab.read_through();
    daemon.stop();

    let rows = |topic: &str| -> Vec<Value> {
        client(&["read", &lab.topic(topic)]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let changes = rows("changes");
    let answer: BTreeSet<String> = changes
        .iter()
        .map(|row| {
            let change = &row["value"];
            assert_eq!(row["key"], change["customer_id"]);
            assert_eq!(row["headers"]["ce_id"], change["event_id"]);
            for language in ["en", "fr"] {
                assert!(change["why_text"][language].as_str().is_some_and(|text| !text.is_empty()), "{change}");
            }
            let text = |field: &str| change[field].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {} {}",
                text("customer_id"),
                text("cohort"),
                text("change"),
                text("reason"),
                change["cause"]["event_id"]
            )
        })
        .collect();
    let expected = [
        "newer buyers ENTERED EVENT \"n1\"",
        "older buyers ENTERED EVENT null",
        "plain buyers ENTERED EVENT \"p1\"",
        "plain buyers EXITED EVENT \"p2\"",
    ];
    assert_eq!(answer, expected.map(str::to_owned).into());
    assert_eq!(changes.len(), expected.len());
    let rows = rows("members");
    let members: BTreeSet<(&str, bool)> =
        rows.iter().map(|row| (row["key"].as_str().unwrap(), row["value"].is_null())).collect();
    let expected = [("buyers/newer", false), ("buyers/older", false), ("buyers/plain", false), ("buyers/plain", true)];
    assert_eq!(members, expected.into());
}

#[test]
fn the_python_of_the_page_sends_events_that_are_applied() {
    let Some(lab) = Lab::new("snippets", 2, RULES) else { return };
    let Some(python) = python() else { return };
    let registry = Registry::start();
    let mut daemon = lab.start("one", &[&format!("schemas.registry={}", registry.address)]);
    daemon.ready();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/inputs.md")).unwrap();
    let snippets: Vec<&str> = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(snippets.len(), 2, "with a registry, and without one");
    for snippet in snippets {
        let script = snippet
            .replace("customer-events", &lab.topic("in"))
            .replace("http://schema-registry:8081", &registry.address)
            .replace("kafka-1:9092", &lab.bootstrap);
        let output = Command::new(&python).args(["-c", &script]).current_dir(root).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    lab.read_through();
    let input = lab.read("in").concat();
    let framings: BTreeSet<&[u8]> = input.iter().map(|seen| &seen.payload.as_ref().unwrap()[..1]).collect();
    assert_eq!(framings, [&[0][..], &[0xc3]].into());
    assert!((daemon.metric("cohortd_events_applied_total") - 2.0).abs() < 0.1, "{}", daemon.log());
    let changes = lab.read("changes").concat();
    assert_eq!(changes.iter().map(|seen| seen.key()).collect::<Vec<_>>(), ["ana"]);
    daemon.stop();
}
