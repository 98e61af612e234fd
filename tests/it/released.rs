//! The schemas of the outputs against those of every release: who has the new one reads what was written with the old, and
//! the other way round (FULL).

use std::fs;
use std::path::{Path, PathBuf};

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use cohortd::codec::{Access, Output, Registry, RegistryError, Standing};

use crate::support::apicurio::Apicurio;

/// The schemas of an output in all releases, the oldest first.
fn releases(output: Output) -> Vec<String> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("schemas/released"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_by_key(|folder| version(folder.file_name().unwrap().to_str().unwrap()));
    let name = Path::new(output.file()).file_name().unwrap();
    // An output that is new since then has no file there.
    folders.iter().filter_map(|folder| fs::read_to_string(folder.join(name)).ok()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `0.10.2` after `0.9.0`.
fn version(name: &str) -> Vec<u32> {
    name.split('.').map(|part| part.parse().unwrap_or_else(|_| panic!("{name} is no version"))).collect()
}

fn full(one: &str, other: &str) -> Result<(), String> {
    let [one, other] = [one, other].map(|text| Schema::parse_str(text).unwrap());
    match SchemaCompatibility::mutual_read(&one, &other) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err("some values of the one cannot be read by the other".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_schemas_of_the_outputs_and_those_of_every_release_read_each_other() {
    let mut compared = 0;
    for output in Output::ALL {
        for released in releases(output) {
            compared += 1;
            full(output.schema(), &released).unwrap_or_else(|problem| panic!("{}: {problem}", output.file()));
        }
    }
    assert!(compared >= Output::ALL.len(), "{compared}: schemas/released is not whole");
}

#[test]
fn the_schema_of_events_reads_what_was_written_by_that_of_every_release() {
    let now = Schema::parse_str(include_str!("../../schemas/customer-event.avsc")).unwrap();
    let mut read = 0;
    for folder in fs::read_dir(root().join("schemas/released")).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(released) = fs::read_to_string(folder.join("customer-event.avsc")) else { continue };
        read += 1;
        let found = SchemaCompatibility::can_read(&Schema::parse_str(&released).unwrap(), &now);
        assert_eq!(found, Ok(Compatibility::Full), "{}", folder.display());
    }
    assert!(read > 0);
}

#[test]
fn what_would_break_a_consumer_is_noticed() {
    let schema: serde_json::Value = serde_json::from_str(Output::CohortChange.schema()).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<serde_json::Value>)| {
        let mut schema = schema.clone();
        change(schema["fields"].as_array_mut().unwrap());
        full(&schema.to_string(), Output::CohortChange.schema())
    };
    assert_eq!(changed(&|_| {}), Ok(()));
    let more = |default: bool| {
        let mut field = serde_json::json!({"name": "more", "type": ["null", "string"]});
        if default {
            field["default"] = serde_json::Value::Null;
        }
        field
    };
    assert_eq!(changed(&|fields| fields.push(more(true))), Ok(()));
    assert!(changed(&|fields| fields.push(more(false))).is_err(), "old records have none");
    assert!(changed(&|fields| drop(fields.remove(0))).is_err(), "old consumers want it");
    assert!(changed(&|fields| fields[0]["type"] = "long".into()).is_err());
    let no_texts = |fields: &mut Vec<serde_json::Value>| {
        let properties = fields.iter_mut().find(|field| field["name"] == "properties").unwrap();
        properties["type"]["values"].as_array_mut().unwrap().retain(|kind| kind != "string");
    };
    assert!(changed(&no_texts).is_err(), "old records have some");
}

/// As a registry sees them whose owner demands it.
#[test]
fn a_real_registry_takes_the_schemas_of_the_outputs_after_those_of_the_last_release() {
    let Some(apicurio) = Apicurio::shared() else { return };
    let registry = Registry::new(&apicurio.address(), Access::default()).unwrap();
    for output in Output::ALL {
        let subject = format!("released-{}", output.record());
        for released in releases(output) {
            apicurio.register(&subject, &released);
        }
        apicurio.demand(&subject, "FULL_TRANSITIVE");
        let standing = registry.standing(&subject, output.schema());
        assert!(matches!(standing, Ok(Standing::Registered(_) | Standing::Compatible)), "{subject}: {standing:?}");
        let mut broken: serde_json::Value = serde_json::from_str(output.schema()).unwrap();
        broken["fields"].as_array_mut().unwrap().push(serde_json::json!({"name": "more", "type": "long"}));
        let standing = registry.standing(&subject, &broken.to_string());
        assert!(
            matches!(&standing, Err(RegistryError::Refused(text)) if text.contains("not compatible")),
            "{standing:?}"
        );
        broken["fields"].as_array_mut().unwrap().last_mut().unwrap()["default"] = 0.into();
        assert_eq!(registry.standing(&subject, &broken.to_string()), Ok(Standing::Compatible));
    }
    assert_eq!(registry.standing("released-nobody", "\"int\""), Ok(Standing::First));
}
