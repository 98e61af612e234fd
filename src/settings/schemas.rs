//! The section `[schemas]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{secrets, values};

/// Where Avro schemas come from and go to.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemas {
    /// `http` or `https` addresses, separated by commas; may hold `user:password@`, so they are not for logs: see
    /// [`Schemas::registry_shown`].
    #[serde(deserialize_with = "values::unless_empty")]
    pub registry: Option<String>,
    /// A secret: the bearer token that the registry is shown.
    #[serde(deserialize_with = "values::unless_empty")]
    pub token: Option<String>,
    /// Authorities that the registry's certificate may be signed by, in PEM; `None`: the public ones.
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub ca: Option<PathBuf>,
    /// Our certificate for the registry, in PEM. Set if and only if `key` is.
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub certificate: Option<PathBuf>,
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub key: Option<PathBuf>,
    /// An `http` address; may hold `user:password@`, so it is not for logs.
    #[serde(deserialize_with = "values::unless_empty")]
    pub proxy: Option<String>,
    /// Are the schemas of the outputs registered, or only looked up?
    pub register: bool,
    pub subjects: SubjectNames,
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub dir: Option<PathBuf>,
    /// How long "not found" is asked again.
    #[serde(deserialize_with = "values::duration")]
    pub retry_for: Duration,
    /// A file in `dir`; see [`Schemas::bare_file`].
    #[serde(deserialize_with = "values::path_unless_empty")]
    pub bare: Option<PathBuf>,
}

/// What the subjects of the outputs' schemas are named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SubjectNames {
    /// `cohort-changes-value`.
    Topic,
    /// `cohortd.CohortChange`.
    Record,
    /// `cohort-changes-cohortd.CohortChange`.
    TopicRecord,
}

impl TryFrom<String> for SubjectNames {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "topic" => Ok(Self::Topic),
            "record" => Ok(Self::Record),
            "topic-record" => Ok(Self::TopicRecord),
            _ => Err(format!("{text:?} is not a valid value; write \"topic\", \"record\" or \"topic-record\"")),
        }
    }
}

impl Schemas {
    /// The path of the schema of bare records.
    #[must_use]
    pub fn bare_file(&self) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(self.bare.as_ref()?))
    }

    /// The registry's addresses without credentials, for logs and errors.
    #[must_use]
    pub fn registry_shown(&self) -> Option<String> {
        self.registry.as_deref().map(|registry| secrets::masked("schemas.registry", registry).into_owned())
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas")
            .field("registry", &self.registry_shown())
            .field("has_token", &self.token.is_some())
            .field("ca", &self.ca)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("has_proxy", &self.proxy.is_some())
            .field("register", &self.register)
            .field("subjects", &self.subjects)
            .field("dir", &self.dir)
            .field("retry_for", &self.retry_for)
            .field("bare", &self.bare)
            .finish()
    }
}
