//! The table of faults holds what it says: every fault of the list is there, and every test that is named is one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../../docs/faults.md");
/// Faults of the list that a stream processor on Kafka should survive.
const FAULTS: u32 = 50;

/// The cells of the rows of tables with six columns, without their heads.
fn rows() -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        let line = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")).unwrap_or_default();
        line.split(" | ").map(str::trim).collect()
    };
    TABLE.lines().map(cells).filter(|cells| cells.len() == 6 && cells[0] != "#").collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions of this crate and its tests that are marked as tests.
pub(crate) fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for part in text.split("#[test]").skip(1) {
            let name = part.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).map(|(name, _)| name);
            names.extend(name.map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_fault_of_the_list_has_a_row() {
    let numbers: BTreeSet<u32> = rows().iter().filter_map(|cells| cells[0].parse().ok()).collect();
    assert_eq!(numbers, (1..=FAULTS).collect());
}

#[test]
fn every_row_names_tests_that_exist() {
    let tests = tests();
    for cells in rows() {
        let named: Vec<&str> = cells[5].split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test is named of: {}", cells[1]);
        for name in named {
            assert!(tests.contains(name), "there is no test {name}, which is named of: {}", cells[1]);
        }
    }
}
