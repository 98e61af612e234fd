//! What stands in `deploy/`, held against the program and against itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cohortd(arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_cohortd"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

const SETTINGS: [&str; 3] =
    ["deploy/package/cohortd.toml", "deploy/kubernetes/base/cohortd.toml", "deploy/kubernetes/example/cohortd.toml"];

#[test]
fn the_settings_that_are_shipped_are_settings() {
    for file in SETTINGS {
        let (is_sound, printed) = cohortd(&["dump-config", "--config", file], &[]);
        assert!(is_sound && printed.contains(&format!("dir = \"/var/lib/cohortd\" # {file}")), "{file}: {printed}");
    }
}

#[test]
fn the_rules_that_are_shipped_are_sound() {
    for file in ["deploy/kubernetes/base/rules.toml", "deploy/kubernetes/example/rules.toml"] {
        let (is_sound, printed) = cohortd(&["check", "--rules", file, "--deny-warnings"], &[]);
        assert!(is_sound, "{file}: {printed}");
    }
    let (base, default) = (text("deploy/kubernetes/base/rules.toml"), text("config/rules.toml"));
    assert_eq!(base, default, "Kustomize reads no files outside of its folder: copy config/rules.toml there");
}

/// Every variable that a file of `deploy/` sets for cohortd, with its value.
fn variables(file: &str) -> Vec<(String, String)> {
    let text = text(file);
    let words = |line: &str| line.trim().trim_matches('"').to_owned();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        // `NAME: value` of a compose file, `{ name: NAME, value: value }` of a patch.
        let pair = match line.strip_prefix("value: { name: ") {
            Some(rest) => rest.split_once(", value: ").map(|(name, value)| (name, value.trim_end_matches(" }"))),
            None => line.split_once(": "),
        };
        if let Some((name, value)) = pair.filter(|(name, _)| name.starts_with("COHORTD_") && !name.contains(' ')) {
            found.push((name.to_owned(), words(value)));
        }
    }
    assert!(!found.is_empty(), "{file}");
    found
}

#[test]
fn the_variables_of_compose_and_kubernetes_are_settings() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    fs::write(&secret, "hunter2\n").unwrap();
    for file in ["deploy/compose.yaml", "deploy/kubernetes/components/kafka-sasl/kustomization.yaml"] {
        let variables = variables(file);
        let placed = |name: &str, value: &str| match name {
            "COHORTD_RULES__FILE" => "config/rules.toml".to_owned(),
            _ if name.ends_with("_FILE") => secret.display().to_string(),
            _ => value.to_owned(),
        };
        let values: Vec<String> = variables.iter().map(|(name, value)| placed(name, value)).collect();
        let environment: Vec<(&str, &str)> =
            variables.iter().zip(&values).map(|((name, _), value)| (name.as_str(), value.as_str())).collect();
        let (is_sound, printed) = cohortd(&["dump-config"], &environment);
        assert!(is_sound, "{file}: {printed}");
        for (name, _) in &environment {
            assert!(printed.contains(&format!("# {name}")), "{file}: {name} sets nothing\n{printed}");
        }
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("registry");
    fs::write(&secret, "nonsense\n").unwrap();
    let variable = "COHORTD_SCHEMAS__REGISTRY_FILE";
    let (is_sound, printed) = cohortd(&["dump-config"], &[(variable, secret.to_str().unwrap())]);
    assert!(!is_sound && printed.contains(variable) && printed.contains("is not a valid address"), "{printed}");
    fs::write(&secret, "http://me:hunter2@registry:8081\n").unwrap();
    let (is_sound, printed) = cohortd(&["dump-config"], &[(variable, secret.to_str().unwrap())]);
    assert!(is_sound && printed.contains("\"http://********@registry:8081\""), "{printed}");
    let (is_sound, printed) = cohortd(&["dump-config"], &[(variable, "/nowhere")]);
    assert!(!is_sound && printed.contains("cannot be read"), "{printed}");
}

#[test]
fn an_image_is_the_same_whatever_its_binary_comes_from() {
    let runtime = |file: &str| {
        let text = text(file);
        let at = text.find("FROM scratch AS runtime").unwrap();
        text[at..].to_owned()
    };
    assert_eq!(runtime("deploy/Dockerfile"), runtime("deploy/Dockerfile.prebuilt"));
}

#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, wanted) in [
        ("deploy/Dockerfile", format!("ARG VERSION={version}\n")),
        ("deploy/kubernetes/base/statefulset.yaml", format!("image: cohortd:{version}\n")),
        ("deploy/kubernetes/example/kustomization.yaml", format!("newTag: {version}\n")),
    ] {
        assert!(text(file).contains(&wanted), "{file}: {wanted}");
    }
}

#[test]
fn the_alerts_of_kubernetes_are_those_of_prometheus() {
    let rule = text("deploy/kubernetes/components/monitoring/prometheusrule.yaml");
    let alerts = text("deploy/prometheus/alerts.yaml");
    let indented = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    let groups: String = alerts.lines().skip_while(|line| *line != "groups:").map(indented).collect();
    assert!(
        rule.ends_with(&groups),
        "run python3 deploy/kubernetes/components/monitoring/prometheusrule.py after an edit of the alerts"
    );
}
