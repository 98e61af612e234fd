//! The kinds of output records, each with its schema.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

use super::schema::WriterSchema;
use super::{Framing, SchemaKey};

/// The kinds of output records, each with its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    CohortChange,
    CohortMember,
    ChurnRiskChange,
    CohortForecast,
}

impl Output {
    pub const ALL: [Self; 4] = [Self::CohortChange, Self::CohortMember, Self::ChurnRiskChange, Self::CohortForecast];

    /// The schema as in `schemas/`, which is registered.
    #[must_use]
    pub fn schema(self) -> &'static str {
        match self {
            Self::CohortChange => include_str!("../../schemas/cohort-change.avsc"),
            Self::CohortMember => include_str!("../../schemas/cohort-member.avsc"),
            Self::ChurnRiskChange => include_str!("../../schemas/churn-risk-change.avsc"),
            Self::CohortForecast => include_str!("../../schemas/cohort-forecast.avsc"),
        }
    }

    /// The path of the schema in the source tree.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::CohortChange => "schemas/cohort-change.avsc",
            Self::CohortMember => "schemas/cohort-member.avsc",
            Self::ChurnRiskChange => "schemas/churn-risk-change.avsc",
            Self::CohortForecast => "schemas/cohort-forecast.avsc",
        }
    }

    /// The full name of the schema's record: `cohortd.CohortChange`.
    #[must_use]
    pub fn record(self) -> String {
        let schema =
            WriterSchema::parse(self.schema()).expect("the schemas in the source tree are valid; a test says so");
        schema.get(schema.root()).name().expect("each is a record").to_owned()
    }

    /// The fingerprint with which a record of this kind begins in single-object encoding.
    pub(super) fn fingerprint(self) -> u64 {
        static FINGERPRINTS: LazyLock<[u64; 4]> = LazyLock::new(|| {
            Output::ALL.map(|output| {
                let schema = WriterSchema::parse(output.schema());
                schema.expect("the schemas in the source tree are valid; a test says so").fingerprint()
            })
        });
        FINGERPRINTS[self as usize]
    }

    pub(super) fn parsed(self) -> &'static Schema {
        static PARSED: LazyLock<[Schema; 4]> = LazyLock::new(|| {
            Output::ALL.map(|output| {
                Schema::parse_str(output.schema()).expect("the schemas in the source tree are valid; a test says so")
            })
        });
        match self {
            Self::CohortChange => &PARSED[0],
            Self::CohortMember => &PARSED[1],
            Self::ChurnRiskChange => &PARSED[2],
            Self::CohortForecast => &PARSED[3],
        }
    }

    /// A record of this kind as JSON, in either framing; for tests and for people. `None` if it is not exactly one such
    /// record. Allocates what the record claims: only for records from our own topics.
    #[must_use]
    pub fn to_json(self, record: &[u8]) -> Option<serde_json::Value> {
        let (key, mut datum) = Framing::Tagged.split(record).ok()?;
        if let SchemaKey::Fingerprint(found) = key
            && found != self.fingerprint()
        {
            return None;
        }
        let value = GenericDatumReader::builder(self.parsed()).build().ok()?.read_value(&mut datum).ok()?;
        if datum.is_empty() { value.try_into().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use apache_avro::Schema;

    use super::Output;

    /// What later releases rely on when they add to these schemas.
    #[test]
    fn every_field_is_documented_every_enum_has_a_default_and_every_optional_field_too() {
        fn check(schema: &Schema, path: &str) {
            match schema {
                Schema::Record(record) => {
                    assert!(record.doc.as_deref().is_some_and(|doc| !doc.is_empty()), "{path} has no doc");
                    for field in &record.fields {
                        let path = format!("{path}.{}", field.name);
                        assert!(field.doc.as_deref().is_some_and(|doc| !doc.is_empty()), "{path} has no doc");
                        let optional = matches!(&field.schema, Schema::Union(_) | Schema::Map(_) | Schema::Array(_));
                        assert!(!optional || field.default.is_some(), "{path} has no default");
                        check(&field.schema, &path);
                    }
                }
                Schema::Enum(symbols) => {
                    let default = symbols.default.as_ref().expect(path);
                    assert!(symbols.symbols.contains(default), "{path}");
                    assert_eq!(symbols.symbols.iter().collect::<HashSet<_>>().len(), symbols.symbols.len());
                }
                Schema::Union(union) => union.variants().iter().for_each(|branch| check(branch, path)),
                Schema::Array(array) => check(&array.items, path),
                Schema::Map(map) => check(&map.types, path),
                _ => {}
            }
        }
        for text in Output::ALL.map(Output::schema).into_iter().chain([super::super::program::CUSTOMER_EVENT]) {
            let schema = Schema::parse_str(text).unwrap();
            assert_eq!(schema.namespace(), Some("cohortd"));
            check(&schema, schema.name().unwrap().name());
        }
    }
}
