//! Every mistake in a sources file is shown as the file `tests/sources/mistakes.txt` has it: texts of sources, each with
//! the errors below it.

use std::fs;
use std::path::Path;

use cohortd::sources::read;

/// Before the errors of a text.
const ERRORS: &str = "---- errors";
/// Before the next text.
const NEXT: &str = "---- next";

#[test]
fn mistakes_are_shown_with_a_place_and_a_way_out() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources/mistakes.txt");
    let written = fs::read_to_string(&path).unwrap();
    let mut found = String::new();
    for case in written.split(&format!("{NEXT}\n")) {
        let (text, _) = case.split_once(&format!("{ERRORS}\n")).unwrap_or_else(|| panic!("no errors below\n{case}"));
        let errors = match read("sources.toml", text, &["cohort-changes"]) {
            Ok(_) => panic!("nothing is wrong with\n{text}"),
            Err(errors) => errors,
        };
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        if !found.is_empty() {
            found.push_str(&format!("{NEXT}\n"));
        }
        found.push_str(&format!("{text}{ERRORS}\n{}\n", shown.join("\n")));
    }
    if written != found {
        // To look at, and to copy where the new text is better.
        let beside = std::env::temp_dir().join("cohortd-mistakes.txt");
        fs::write(&beside, &found).unwrap();
        panic!("{} differs from {}\n{found}", path.display(), beside.display());
    }
    assert!(written.matches(ERRORS).count() >= 40, "{}", written.matches(ERRORS).count());
}
