//! The dashboards as files: every panel can be read, and asks for what the variables say. What their queries bring from a
//! running daemon is for `e2e::dashboards`.

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) const FILES: [(&str, &str); 2] = [
    ("operations", include_str!("../../deploy/grafana/operations.json")),
    ("cohorts", include_str!("../../deploy/grafana/cohorts.json")),
];

/// A panel that draws something, with its dashboard.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) json: Value,
}

impl Panel {
    pub(crate) fn queries(&self) -> Vec<&str> {
        list(&self.json["targets"]).iter().map(|target| text(&target["expr"])).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn boards() -> Vec<(&'static str, Value)> {
    FILES.iter().map(|(name, json)| (*name, serde_json::from_str(json).unwrap())).collect()
}

pub(crate) fn panels() -> Vec<Panel> {
    let of_board = |(name, board): (&str, Value)| -> Vec<Panel> {
        let drawn = list(&board["panels"]).iter().filter(|panel| panel["type"] != "row");
        drawn.map(|panel| Panel { title: format!("{name}: {}", text(&panel["title"])), json: panel.clone() }).collect()
    };
    boards().into_iter().flat_map(of_board).collect()
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for Panel { title, json } in panels() {
        assert!(text(&json["description"]).len() > 20, "{title} has no description");
        assert!(!text(&json["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title} has no unit");
        assert!(!list(&json["targets"]).is_empty(), "{title} asks for nothing");
        for target in list(&json["targets"]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let is_named = json["type"] == "table" || !text(&target["legendFormat"]).is_empty();
            assert!(is_named, "{title}: a query without a legend");
            assert!(text(&target["expr"]).contains("=~\"$job\""), "{title} asks for every job");
        }
    }
}

#[test]
fn panels_have_places_and_numbers_of_their_own() {
    for (name, board) in boards() {
        let (mut numbers, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&board["panels"]) {
            assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{name}: two panels have one number");
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {} is too wide", panel["title"]);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(cells.insert((x, y)), "{name}: {} lies over another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn dashboards_may_be_narrowed_to_a_job_and_to_cohorts() {
    for (name, wanted) in
        [("operations", ["datasource", "job", "instance"]), ("cohorts", ["datasource", "job", "cohort"])]
    {
        let board = boards().into_iter().find(|(board, _)| *board == name).unwrap().1;
        let names: Vec<&str> =
            list(&board["templating"]["list"]).iter().map(|variable| text(&variable["name"])).collect();
        assert_eq!(names, wanted);
        let asked: String = panels().iter().flat_map(Panel::queries).collect();
        names
            .iter()
            .skip(1)
            .for_each(|name| assert!(asked.contains(&format!("=~\"${name}\"")), "{name} narrows nothing"));
    }
}
