//! The table of exit codes in the documentation, against the program's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cohortd::app::Ending;
use cohortd::lane::identity::NEW_GROUP_NAMES;

const PAGE: &str = include_str!("../../docs/exit-codes.md");

#[test]
fn the_documentation_lists_every_way_in_which_the_daemon_ends_as_the_program_has_it() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").collect())
        .filter(|row: &Vec<&str>| row.len() == 4 && row[0].parse::<u8>().is_ok())
        .collect();
    let expected: Vec<[String; 4]> = Ending::ALL
        .into_iter()
        .map(|ending| {
            let word = format!("`{}`", ending.word());
            [ending.code().to_string(), word, ending.cause().to_owned(), ending.remedy().to_owned()]
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_documentation_has_the_programs_list_of_new_names() {
    let page = PAGE.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    assert!(page.contains(NEW_GROUP_NAMES), "{NEW_GROUP_NAMES}");
}
