//! The editors' schemas of rules and sources: what is right passes, and what they know is what the loaders know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

#[test]
fn every_rules_file_that_is_shipped_or_tested_fits_the_schema() {
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    for file in files("tests/scenarios") {
        let scenario: toml::Table = read(&file).parse().unwrap();
        texts.push((file, scenario["rules"].as_str().unwrap().to_owned()));
    }
    texts.push(("config/rules.toml".into(), read(&root("config/rules.toml"))));
    assert!(texts.len() > 50);
    let mut wrong = Vec::new();
    for (file, text) in texts {
        if let Err(problem) = fits(&text) {
            wrong.push(format!("{}: {problem}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_does_not_fit() {
    let who = "who = 'did e'";
    for (text, expected) in [
        (format!("[cohorts.a]\n{who}\nownr = 'x'"), "cohorts.a: unknown key `ownr`"),
        ("timezone = 'UTC'\n[cohorts.a]\nwho = 'did e'".to_owned(), "unknown key `timezone`"),
        ("[cohorts.a]\nstay = 'did e'".to_owned(), "cohorts.a: `who` is missing"),
        ("[cohorts.A]\nwho = 'did e'".to_owned(), "cohorts: `A` does not match"),
        (format!("[cohorts.a]\n{who}\nenabled = 'yes'"), "cohorts.a.enabled: not of type boolean"),
        (format!("[cohorts.a]\n{who}\nreenter = 'once'"), "cohorts.a.reenter: not one of"),
        (format!("[cohorts.a]\n{who}\nat_most = 3"), "cohorts.a.at_most: not of type string"),
        (format!("[cohorts.a]\n{who}\nname = {{ de = 'x' }}"), "cohorts.a.name: fits none of"),
        (format!("activity = []\n[cohorts.a]\n{who}"), "activity: too short"),
        ("time_zone = 'UTC'".to_owned(), "fits none of the forms"),
        ("[churn]\namount = 'buy.total'".to_owned(), "churn: `on` is missing"),
        ("[churn]\non = 'buy'\nlevels = { high = '0.9' }".to_owned(), "churn.levels.high: not of type number"),
    ] {
        let problem = fits(&text).unwrap_err();
        assert!(problem.starts_with(expected), "{text}\n{problem}");
    }
}

#[test]
fn the_schema_knows_the_keys_that_the_loader_knows() {
    let schema = schema();
    let known = |text: &str| -> BTreeSet<String> {
        let errors = cohortd::rules::read("r.toml", text).unwrap_err();
        let hint =
            errors.iter().filter_map(|error| error.hint.as_deref()).find_map(|hint| hint.strip_prefix("valid here: "));
        hint.expect("an unknown key is answered with those known").split(", ").map(str::to_owned).collect()
    };
    let keys = |properties: &Value| -> BTreeSet<String> { properties.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&schema["properties"]), known("qqqqqqqqqqqqqq = 1"));
    assert_eq!(keys(&schema["definitions"]["cohort"]["properties"]), known("[cohorts.a]\nqqqqqqqqqqqqqq = 1"));
    assert_eq!(keys(&schema["properties"]["defaults"]["properties"]), known("[defaults]\nqqqqqqqqqqqqqq = 1"));
    let churn = &schema["properties"]["churn"]["properties"];
    assert_eq!(keys(churn), known("[churn]\nqqqqqqqqqqqqqq = 1"));
    let signal = &churn["signals"]["items"]["properties"];
    assert_eq!(keys(signal), known("[churn]\nsignals = [{ qqqqqqqqqqqqqq = 1 }]"));
    let names = &schema["definitions"]["cohort"]["properties"]["name"]["anyOf"][1]["properties"];
    assert_eq!(keys(names), known("[cohorts.a]\nname = { qqqqqqqqqqqqqq = 1 }"));
}

#[test]
fn every_key_is_described() {
    fn look(place: &str, schema: &Value) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{key}");
            assert!(value["description"].as_str().is_some_and(|text| text.ends_with('.')), "{place} is not described");
            look(&place, value);
        }
    }
    let schema = schema();
    look("", &schema);
    look("cohort", &schema["definitions"]["cohort"]);
}

#[test]
fn sources_that_are_shown_or_tested_fit_their_schema_and_others_do_not() {
    let page = read(&root("docs/sources.md"));
    let mut texts: Vec<String> = Vec::new();
    texts.extend(page.split("```toml example\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()));
    for file in files("tests/sources/shapes") {
        let shape: toml::Table = read(&file).parse().unwrap();
        texts.push(shape["sources"].as_str().unwrap().to_owned());
    }
    for (word, preset) in cohortd::sources::Preset::NAMES {
        // A table of a preset is one of a source.
        let text = preset.text().replace("[[events]]", "[[sources.x.events]]");
        let text = text.replace("[properties]", "[sources.x.properties]");
        texts.push(format!("[sources.x]\npreset = \"{word}\"\n{text}"));
    }
    assert!(texts.len() > 18);
    for text in texts {
        fits_sources(&text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    }
    for (text, expected) in [
        ("[sources.a]\ntopc = 't'", "sources.a: unknown key `topc`"),
        ("[sources.A]\ntopic = 't'", "sources: `A` does not match"),
        ("[sources.a]\nformat = 'csv'", "sources.a.format: not one of"),
        ("[sources.a]\ntime = { unit = 'seconds' }", "sources.a.time: fits none of"),
        ("[sources.a]\nproperties = { x = 3 }", "sources.a.properties.x: fits none of"),
        ("[[sources.a.events]]\nwher = 'x = 1'", "sources.a.events: unknown key `wher`"),
        ("[cohorts.a]\nwho = 'did e'", "unknown key `cohorts`"),
    ] {
        let problem = fits_sources(text).unwrap_err();
        assert!(problem.starts_with(expected) || problem == "`sources` is missing", "{text}\n{problem}");
    }
}

#[test]
fn the_schema_of_sources_knows_the_keys_that_the_loader_knows() {
    let schema = sources_schema();
    let known = |text: &str| -> BTreeSet<String> {
        let errors = cohortd::sources::read("s.toml", text, &[]).unwrap_err();
        let hint =
            errors.iter().filter_map(|error| error.hint.as_deref()).find_map(|hint| hint.strip_prefix("valid here: "));
        hint.expect("an unknown key is answered with those known").split(", ").map(str::to_owned).collect()
    };
    let keys = |properties: &Value| -> BTreeSet<String> { properties.as_object().unwrap().keys().cloned().collect() };
    let definitions = &schema["definitions"];
    assert_eq!(keys(&schema["properties"]), known("qqqqqqqqqqqqqq = 1"));
    assert_eq!(keys(&definitions["source"]["properties"]), known("[sources.a]\nqqqqqqqqqqqqqq = 1"));
    assert_eq!(keys(&definitions["kind"]["properties"]), known("[[sources.a.events]]\nqqqqqqqqqqqqqq = 1"));
    let event = &definitions["event"]["anyOf"][1]["properties"];
    assert_eq!(keys(event), known("[sources.a]\nevent = { qqqqqqqqqqqqqq = 1 }"));
    let time = &definitions["source"]["properties"]["time"]["anyOf"][1]["properties"];
    assert_eq!(keys(time), known("[sources.a]\ntime = { qqqqqqqqqqqqqq = 1 }"));
    let property = &definitions["source"]["properties"]["properties"]["additionalProperties"]["anyOf"][1]["properties"];
    assert_eq!(keys(property), known("[sources.a]\nproperties = { x = { qqqqqqqqqqqqqq = 1 } }"));
    for (key, value) in definitions["source"]["properties"].as_object().unwrap() {
        assert!(value["description"].as_str().is_some_and(|text| text.ends_with('.')), "{key} is not described");
    }
}

fn root(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn files(folder: &str) -> Vec<PathBuf> {
    std::fs::read_dir(root(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn schema() -> Value {
    serde_json::from_str(&read(&root("schemas/rules.schema.json"))).unwrap()
}

fn sources_schema() -> Value {
    serde_json::from_str(&read(&root("schemas/sources.schema.json"))).unwrap()
}

fn fits(rules: &str) -> Result<(), String> {
    fits_in(&schema(), rules)
}

fn fits_sources(sources: &str) -> Result<(), String> {
    fits_in(&sources_schema(), sources)
}

fn fits_in(schema: &Value, text: &str) -> Result<(), String> {
    let text: toml::Table = text.parse().map_err(|error| format!("no TOML: {error}"))?;
    Judge { schema }.value("", &serde_json::to_value(text).unwrap(), schema)
}

/// As much of JSON Schema as the schema uses; a keyword that it does not know is a failure, not passed over.
struct Judge<'s> {
    schema: &'s Value,
}

impl Judge<'_> {
    fn value(&self, place: &str, value: &Value, schema: &Value) -> Result<(), String> {
        let at = if place.is_empty() { String::new() } else { format!("{place}: ") };
        for (keyword, wanted) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "$schema" | "$id" | "title" | "description" | "definitions" | "properties" => {}
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                    self.value(place, value, self.schema.pointer(pointer).unwrap())?;
                }
                "allOf" => wanted.as_array().unwrap().iter().try_for_each(|all| self.value(place, value, all))?,
                "anyOf" => {
                    let fits = wanted.as_array().unwrap().iter().any(|one| self.value(place, value, one).is_ok());
                    if !fits {
                        return Err(format!("{at}fits none of the forms"));
                    }
                }
                "type" => {
                    let is = match wanted.as_str().unwrap() {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "boolean" => value.is_boolean(),
                        "integer" => value.is_i64(),
                        "number" => value.is_number(),
                        other => panic!("the judge does not know the type {other}"),
                    };
                    if !is {
                        return Err(format!("{at}not of type {}", wanted.as_str().unwrap()));
                    }
                }
                "enum" if !wanted.as_array().unwrap().contains(value) => {
                    return Err(format!("{at}not one of {wanted}"));
                }
                "enum" => {}
                "required" => {
                    for key in wanted.as_array().unwrap() {
                        if value.get(key.as_str().unwrap()).is_none() {
                            return Err(format!("{at}`{}` is missing", key.as_str().unwrap()));
                        }
                    }
                }
                "minLength" | "maxLength" | "minItems" | "minProperties" => {
                    let length = (value.as_str().map(str::len))
                        .or_else(|| value.as_array().map(Vec::len))
                        .or_else(|| value.as_object().map(Map::len));
                    let Some(length) = length else { continue };
                    let limit = usize::try_from(wanted.as_u64().unwrap()).unwrap();
                    if keyword.starts_with("min") && length < limit {
                        return Err(format!("{at}too short"));
                    }
                    if keyword == "maxLength" && length > limit {
                        return Err(format!("{at}too long"));
                    }
                }
                "pattern" => {
                    let begins_with_a_letter = match wanted.as_str().unwrap() {
                        "^[a-z_][a-z0-9_]*$" => false,
                        "^[a-z][a-z0-9_]*$" => true,
                        other => panic!("the judge does not know the pattern {other}"),
                    };
                    let name = value.as_str().unwrap();
                    let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
                        && !(begins_with_a_letter && name.starts_with('_'));
                    if !fits {
                        return Err(format!("{at}`{name}` does not match {wanted}"));
                    }
                }
                "propertyNames" => {
                    for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                        self.value(place, &Value::String(key.clone()), wanted)?;
                    }
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.value(place, item, wanted)?;
                    }
                }
                "additionalProperties" => {
                    for (key, inner) in value.as_object().into_iter().flatten() {
                        if schema["properties"].get(key).is_some() {
                            continue;
                        }
                        match wanted {
                            Value::Bool(false) => return Err(format!("{at}unknown key `{key}`")),
                            wanted => self.value(&below(place, key), inner, wanted)?,
                        }
                    }
                }
                other => panic!("the judge does not know the keyword {other}"),
            }
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            if let Some(wanted) = schema.get("properties").and_then(|properties| properties.get(key)) {
                self.value(&below(place, key), inner, wanted)?;
            }
        }
        Ok(())
    }
}

fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}
