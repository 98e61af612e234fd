//! Schemas with references to other schemas: these are fetched with them, and stored together.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RegistryError;

/// The maximum number of references, direct and indirect.
pub(super) const REFERENCES_MAX: usize = 200;
/// The maximum depth of references.
pub(super) const DEPTH_MAX: usize = 16;
/// The maximum size of a schema with all its references.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// The text of a schema, and those of its references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaText {
    pub(super) schema: String,
    /// Each after its own references.
    pub(super) references: Vec<String>,
}

/// Where a referenced schema is registered.
#[derive(Debug)]
pub(super) struct Reference {
    /// The full name of the referenced type; empty: not given.
    name: String,
    pub(super) subject: String,
    /// Negative: the latest.
    pub(super) version: i64,
}

/// A schema as the registry gives it.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    schema: String,
    #[serde(default, rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<Value>>,
}

impl Reference {
    fn read(value: &Value) -> Option<Self> {
        let version = value.get("version")?;
        Some(Self {
            name: value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            subject: value.get("subject")?.as_str()?.to_owned(),
            version: version.as_i64().or_else(|| version.as_str()?.parse().ok())?,
        })
    }
}

impl SchemaText {
    /// As one text: only the schema if it has no references.
    pub(super) fn packed(&self) -> Cow<'_, str> {
        if self.references.is_empty() {
            return Cow::Borrowed(&self.schema);
        }
        Cow::Owned(serde_json::to_string(self).expect("texts can be written as JSON"))
    }

    /// The reverse of [`packed`](Self::packed). No Avro schema is an object with these two keys alone.
    pub(super) fn unpacked(text: String) -> Self {
        serde_json::from_str(&text).unwrap_or_else(|_| text.into())
    }
}

impl From<String> for SchemaText {
    fn from(schema: String) -> Self {
        Self { schema, references: Vec::new() }
    }
}

/// Fetches the references of a schema.
///
/// # Errors
/// Those of `fetch`, and [`RegistryError::Refused`] for schemas that are not Avro, refer to themselves, or to too much.
pub(super) fn resolve(
    given: Given,
    fetch: impl FnMut(&Reference) -> Result<Given, RegistryError>,
) -> Result<SchemaText, RegistryError> {
    let bytes = given.schema.len();
    let mut walk =
        Walk { fetch, texts: Vec::new(), names: HashSet::new(), known: HashSet::new(), open: Vec::new(), bytes };
    let schema = walk.enter(given)?;
    Ok(SchemaText { schema, references: walk.texts })
}

struct Walk<F> {
    fetch: F,
    texts: Vec<String>,
    /// Types already fetched: of two versions of one type, the first counts for all, as with other clients.
    names: HashSet<String>,
    known: HashSet<(String, i64)>,
    /// The chain of references to the current schema.
    open: Vec<(String, i64)>,
    bytes: usize,
}

impl<F: FnMut(&Reference) -> Result<Given, RegistryError>> Walk<F> {
    /// Fetches the references of a schema; returns its own text.
    fn enter(&mut self, given: Given) -> Result<String, RegistryError> {
        if let Some(kind) = given.kind.filter(|kind| kind != "AVRO") {
            let kind: String = kind.chars().take(40).collect();
            return Err(RegistryError::Refused(format!("the schema is {kind}, not Avro")));
        }
        for reference in given.references.iter().flatten() {
            let nowhere = || RegistryError::Refused("the schema has references without a subject and version".into());
            self.follow(&Reference::read(reference).ok_or_else(nowhere)?)?;
        }
        Ok(given.schema)
    }

    fn follow(&mut self, reference: &Reference) -> Result<(), RegistryError> {
        let refuse = |what: &str| Err(RegistryError::Refused(format!("the schema {what}")));
        let place = (reference.subject.clone(), reference.version);
        if self.open.contains(&place) {
            return refuse(&format!("refers to itself through {reference}"));
        }
        let is_new = reference.name.is_empty() || self.names.insert(reference.name.clone());
        if !is_new || !self.known.insert(place.clone()) {
            return Ok(());
        }
        if self.known.len() > REFERENCES_MAX {
            return refuse(&format!("refers to more than {REFERENCES_MAX} others"));
        }
        if self.open.len() >= DEPTH_MAX {
            return refuse(&format!("refers to others over more than {DEPTH_MAX} steps"));
        }
        let given = (self.fetch)(reference)?;
        self.bytes += given.schema.len();
        if self.bytes > BYTES_MAX {
            return refuse(&format!("is larger than {} MiB with what it refers to", BYTES_MAX >> 20));
        }
        self.open.push(place);
        let text = self.enter(given)?;
        self.open.pop();
        self.texts.push(text);
        Ok(())
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject: String = self.subject.chars().take(200).collect();
        write!(f, "version {} of subject {subject}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{BYTES_MAX, DEPTH_MAX, Given, REFERENCES_MAX, SchemaText, resolve};
    use crate::codec::RegistryError;

    fn given(schema: &str, references: &[(&str, &str)]) -> Value {
        let references: Vec<Value> =
            references.iter().map(|(name, subject)| json!({"name": name, "subject": subject, "version": 1})).collect();
        json!({"schema": schema, "references": references})
    }

    /// What a schema comes to where these subjects are registered, and how often they were asked for.
    fn resolved(root: &Value, subjects: &BTreeMap<String, Value>) -> (Result<SchemaText, RegistryError>, usize) {
        let mut asked = 0;
        let given = |value: &Value| serde_json::from_value::<Given>(value.clone()).unwrap();
        let found = resolve(given(root), |reference| {
            asked += 1;
            subjects.get(&reference.subject).map(given).ok_or(RegistryError::NotFound)
        });
        (found, asked)
    }

    fn refusal(root: &Value, subjects: &BTreeMap<String, Value>) -> String {
        resolved(root, subjects).0.unwrap_err().to_string()
    }

    #[test]
    fn each_is_fetched_once_and_stands_after_what_it_refers_to() {
        let subjects = BTreeMap::from([
            ("left".to_owned(), given("L", &[("base", "base")])),
            ("right".to_owned(), given("R", &[("base", "base")])),
            ("base".to_owned(), given("B", &[])),
        ]);
        let (found, asked) = resolved(&given("root", &[("left", "left"), ("right", "right")]), &subjects);
        let found = found.unwrap();
        assert_eq!((found.schema.as_str(), asked), ("root", 3));
        assert_eq!(found.references, ["B", "L", "R"]);
        assert_eq!(SchemaText::unpacked(found.packed().into_owned()), found);
        let alone = SchemaText::from(r#"{"type": "string", "schema": "x", "references": []}"#.to_owned());
        assert_eq!(SchemaText::unpacked(alone.packed().into_owned()), alone);
    }

    #[test]
    fn the_first_of_two_versions_of_a_type_counts_for_all() {
        let subjects = BTreeMap::from([
            ("old".to_owned(), given("old", &[])),
            ("new".to_owned(), given("new", &[])),
            ("user".to_owned(), given("U", &[("T", "new")])),
        ]);
        let (found, asked) = resolved(&given("root", &[("T", "old"), ("U", "user")]), &subjects);
        assert_eq!((found.unwrap().references, asked), (vec!["old".to_owned(), "U".to_owned()], 2));
    }

    #[test]
    fn what_leads_in_circles_or_too_far_is_refused() {
        let chain = |length: usize| -> BTreeMap<String, Value> {
            let link = |n: usize| {
                let next = format!("s{}", n + 1);
                let references = if n + 1 < length { vec![(next.as_str(), next.as_str())] } else { Vec::new() };
                (format!("s{n}"), given("x", &references))
            };
            (0..length).map(link).collect()
        };
        let root = given("root", &[("s0", "s0")]);
        assert_eq!(resolved(&root, &chain(DEPTH_MAX)).0.unwrap().references.len(), DEPTH_MAX);
        assert!(refusal(&root, &chain(DEPTH_MAX + 1)).contains("more than 16 steps"));

        let circle = BTreeMap::from([
            ("a".to_owned(), given("a", &[("b", "b")])),
            ("b".to_owned(), given("b", &[("again", "a")])),
        ]);
        let error = refusal(&given("root", &[("a", "a")]), &circle);
        assert!(error.contains("refers to itself through version 1 of subject a"), "{error}");

        let names: Vec<String> = (0..=REFERENCES_MAX).map(|n| format!("n{n}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        let all = names.iter().map(|name| (name.clone(), given("x", &[]))).collect();
        assert!(resolved(&given("root", &many[1..]), &all).0.is_ok());
        assert!(refusal(&given("root", &many), &all).contains("more than 200 others"));

        let large = BTreeMap::from([("large".to_owned(), given(&"x".repeat(BYTES_MAX), &[]))]);
        assert!(refusal(&given("root", &[("large", "large")]), &large).contains("larger than 4 MiB"));
    }

    #[test]
    fn what_is_missing_elsewhere_or_not_avro_is_reported() {
        let subjects = BTreeMap::from([("proto".to_owned(), json!({"schema": "syntax", "schemaType": "PROTOBUF"}))]);
        assert!(refusal(&given("root", &[("p", "proto")]), &subjects).contains("is PROTOBUF, not Avro"));
        for odd in [json!({"name": "p"}), json!({"subject": 7, "version": 1}), json!("proto")] {
            assert!(
                refusal(&json!({"schema": "x", "references": [odd]}), &subjects)
                    .contains("without a subject and version")
            );
        }
        assert_eq!(resolved(&given("root", &[("m", "missing")]), &subjects).0, Err(RegistryError::NotFound));
    }
}
