//! The example of docs/sources.md is run as it is shown.

use std::fs;
use std::path::Path;

use crate::cli::run;

#[test]
fn the_example_of_the_page_has_the_result_that_is_shown() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources.md")).unwrap();
    let block = |kind: &str| {
        let start = format!("```{kind}\n");
        let found: Vec<&str> = page.split(&start).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
        assert_eq!(found.len(), 1, "{kind}");
        found[0]
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("sources.toml"), block("toml example")).unwrap();
    fs::write(path("orders.jsonl"), block("json records")).unwrap();
    let tried = run(&["sources", "try", "orders", &path("orders.jsonl"), "--sources", &path("sources.toml")]);
    assert_eq!(tried.code, 0, "{}", tried.err);
    let found = tried.out.replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(found.trim_end(), block("text result"), "{found}");
}
