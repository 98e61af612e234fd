//! Finds a schema, compiled to what reads its records: from files, and from a registry without ever blocking.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustc_hash::FxHashMap;

use super::fetcher::Fetcher;
use super::from_schema::FromSchema;
use super::ids::Asked;
use super::program::CUSTOMER_EVENT;
use super::schema::WriterSchema;
use super::{Incompatible, Reader, Registry, SchemaCache, SchemaKey};
use crate::event::DeadLetterReason;

/// Ids are signed 32-bit integers, and no registry assigns a negative one: such bytes are not an id.
const ID_MAX: u32 = i32::MAX.cast_unsigned();

/// The compiled schemas that one thread uses. A clone shares what has been fetched and has a table of its own, so that
/// finding a known schema takes no lock and touches no shared counter.
///
/// `T` is what schemas are compiled to. Two `Schemas` may use one registry and its cache, each with threads of its own.
///
/// Schemas never change, so a compiled one is kept forever. When the last clone is dropped, the registry's threads end.
pub struct Schemas<T = Reader> {
    table: FxHashMap<SchemaKey, usize>,
    compiled: Vec<Arc<T>>,
    /// Known schemas whose records cannot be read.
    unusable: FxHashMap<SchemaKey, Arc<str>>,
    fetcher: Option<Arc<Fetcher<T>>>,
}

/// What is known about a schema now.
#[derive(Debug)]
pub enum Lookup<'s, T = Reader> {
    /// Records can be read.
    Ready(&'s T),
    /// Requested: pause the partition and look it up again.
    Pending,
    /// The registry said that it has no such schema, first at `since`, and is asked again for a while, since it may be
    /// late. After waiting long enough, treat it as [`NotFound`](Self::NotFound). `lacks`: what is missing, if it is a
    /// reference of the schema.
    Missing { since: Instant, lacks: Option<Arc<str>> },
    /// Requested, and the registry has given no useful answer since then. This never becomes an answer by itself: wait,
    /// and report it. The reason is a sentence without a full stop and contains no credentials.
    NoAnswer { since: Instant, reason: Arc<str> },
    /// It does not exist: records go to the dead letters as `unknown_schema`.
    NotFound { lacks: Option<Arc<str>> },
    /// It is known, and its records cannot be read: they go to the dead letters as `undecodable`.
    Unusable(Arc<str>),
}

/// A schema file that cannot be used, which prevents a start.
#[derive(Debug, thiserror::Error)]
pub enum SchemaFileError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Schema { path: PathBuf, error: Incompatible },
    #[error("{}: another file already gives schema id {id}", path.display())]
    SameId { path: PathBuf, id: u32 },
}

impl<'s, T> Lookup<'s, T> {
    /// What a schema was compiled to, after waiting long enough.
    ///
    /// # Errors
    /// Why its records are set aside, and what in particular is wrong.
    pub fn settled(self, schema: SchemaKey) -> Result<&'s T, (DeadLetterReason, String)> {
        match self {
            Self::Ready(compiled) => Ok(compiled),
            Self::Unusable(reason) => Err((DeadLetterReason::Undecodable, format!("{schema}: {reason}"))),
            Self::NotFound { lacks: Some(lacks) } | Self::Missing { lacks: Some(lacks), .. } => {
                Err((DeadLetterReason::UnknownSchema, format!("{schema}: {lacks}")))
            }
            Self::NotFound { .. } | Self::Missing { .. } | Self::Pending | Self::NoAnswer { .. } => {
                let detail = format!("{schema} is neither in schemas.dir nor known to the registry");
                Err((DeadLetterReason::UnknownSchema, detail))
            }
        }
    }
}

impl Schemas {
    /// The readers of events. Knows `schemas/customer-event.avsc`, by its fingerprint.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default()
    }
}

/// Knows `schemas/customer-event.avsc`, by its fingerprint.
impl<T: FromSchema> Default for Schemas<T> {
    fn default() -> Self {
        let mut schemas =
            Self { table: FxHashMap::default(), compiled: Vec::new(), unusable: FxHashMap::default(), fetcher: None };
        let writer = WriterSchema::parse(CUSTOMER_EVENT).expect("the schema in the source tree is one");
        let fingerprint = writer.fingerprint();
        let compiled = T::from_schema(writer).expect("the schema in the source tree can be read; a test says so");
        schemas.add(&[SchemaKey::Fingerprint(fingerprint)], Arc::new(compiled));
        schemas
    }
}

impl<T> Clone for Schemas<T> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            compiled: self.compiled.clone(),
            unusable: self.unusable.clone(),
            fetcher: self.fetcher.clone(),
        }
    }
}

impl<T: FromSchema> Schemas<T> {
    /// Adds every `.avsc` file of a folder: by its fingerprint, and by its id where the name is a number, as `17.avsc`.
    ///
    /// # Errors
    /// When the folder or a file cannot be read, a file is no Avro schema, or two give one id. A schema whose records
    /// cannot be read is no error: it may lie there for someone else.
    pub fn with_files(mut self, folder: &Path) -> Result<Self, SchemaFileError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            move |error| SchemaFileError::Read { path, error }
        };
        let mut ids: Vec<u32> = Vec::new();
        for entry in fs::read_dir(folder).map_err(unread(folder))? {
            let path = entry.map_err(unread(folder))?.path();
            if path.extension().is_none_or(|extension| extension != "avsc") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(unread(&path))?;
            let schema = match WriterSchema::parse(&text) {
                Ok(schema) => schema,
                Err(error) => return Err(SchemaFileError::Schema { path, error }),
            };
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(id) = id {
                if ids.contains(&id) {
                    return Err(SchemaFileError::SameId { path, id });
                }
                ids.push(id);
            }
            let fingerprint = SchemaKey::Fingerprint(schema.fingerprint());
            let keys: Vec<_> = id.map(SchemaKey::Id).into_iter().chain([fingerprint]).collect();
            match T::from_schema(schema) {
                Ok(compiled) => self.add(&keys, Arc::new(compiled)),
                Err(error) => {
                    let reason: Arc<str> = error.to_string().into();
                    self.unusable.extend(keys.into_iter().map(|key| (key, reason.clone())));
                }
            }
        }
        Ok(self)
    }

    /// Adds the schema of records that carry no framing.
    ///
    /// # Errors
    /// When the file cannot be read, or none of its records could be.
    pub fn with_bare(mut self, file: &Path) -> Result<Self, SchemaFileError> {
        let path = || file.to_owned();
        let text = fs::read_to_string(file).map_err(|error| SchemaFileError::Read { path: path(), error })?;
        let compiled = WriterSchema::parse(&text).and_then(T::from_schema);
        let compiled = compiled.map_err(|error| SchemaFileError::Schema { path: path(), error })?;
        self.add(&[SchemaKey::Bare], Arc::new(compiled));
        Ok(self)
    }

    /// Requests ids that are in no file from a registry, on separate threads. An id counts as not found once the
    /// registry has said so for `retry_for`: it may get a new schema later than the first record written with it.
    /// `cache`: its earlier answers.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn with_registry(
        mut self,
        registry: Registry,
        retry_for: Duration,
        cache: Option<SchemaCache>,
    ) -> io::Result<Self> {
        self.fetcher = Some(Arc::new(Fetcher::start(registry, retry_for, cache)?));
        Ok(self)
    }
}

impl<T> Schemas<T> {
    /// The registry, if there is one.
    #[must_use]
    pub fn registry(&self) -> Option<&Registry> {
        self.fetcher.as_ref().map(|fetcher| fetcher.registry())
    }

    /// The cache of its answers, if there is one.
    #[must_use]
    pub fn cache(&self) -> Option<&SchemaCache> {
        self.fetcher.as_ref()?.cache()
    }

    /// How long a registry that does not know an id is asked again.
    #[must_use]
    pub fn retry_for(&self) -> Duration {
        self.fetcher.as_ref().map_or(Duration::ZERO, |fetcher| fetcher.retry_for())
    }

    /// Does the registry answer, or is none configured?
    #[must_use]
    pub fn registry_answers(&self) -> bool {
        self.registry().is_none_or(Registry::answers)
    }

    /// The number of repeated requests for schemas.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.fetcher.as_ref().map_or(0, |fetcher| fetcher.retries())
    }

    /// Records the id of an output schema: the ids of other schemas are near it.
    pub fn saw_output_id(&self, id: u32) {
        if let Some(fetcher) = &self.fetcher {
            fetcher.note_seen(id);
        }
    }

    /// A compiled schema, or why there is none yet. Never blocks; unknown schemas are requested.
    #[inline]
    pub fn lookup(&mut self, key: SchemaKey) -> Lookup<'_, T> {
        match self.table.get(&key) {
            Some(index) => Lookup::Ready(&self.compiled[*index]),
            None => self.ask(key),
        }
    }

    /// Would [`lookup`](Self::lookup) send a new request to the registry?
    #[must_use]
    pub fn is_new(&self, key: SchemaKey) -> bool {
        let known = self.table.contains_key(&key) || self.unusable.contains_key(&key);
        self.askable(key).is_some_and(|(id, fetcher)| !known && fetcher.is_new(id))
    }

    /// Treats a key as not found without a request, for a while, if its id is far above those seen so far. If foreign
    /// bytes are in the place of ids, nearly all are.
    pub fn refuse_implausible(&self, key: SchemaKey) {
        if let Some((id, fetcher)) = self.askable(key) {
            fetcher.refuse_implausible(id);
        }
    }

    /// As [`lookup`](Self::lookup), but without requests: [`Lookup::Pending`] for what this thread does not know yet.
    #[inline]
    #[must_use]
    pub fn lookup_known(&self, key: SchemaKey) -> Lookup<'_, T> {
        self.table.get(&key).map_or(Lookup::Pending, |index| Lookup::Ready(&self.compiled[*index]))
    }

    #[cold]
    fn ask(&mut self, key: SchemaKey) -> Lookup<'_, T> {
        if let Some(reason) = self.unusable.get(&key) {
            return Lookup::Unusable(reason.clone());
        }
        let Some((id, fetcher)) = self.askable(key) else { return Lookup::NotFound { lacks: None } };
        match fetcher.ask(id) {
            Asked::Ready(compiled) => {
                self.add(&[key], compiled);
                Lookup::Ready(self.compiled.last().expect("it was just added"))
            }
            Asked::Pending => Lookup::Pending,
            Asked::Missing { since, lacks } => Lookup::Missing { since, lacks },
            Asked::NoAnswer { since, reason } => Lookup::NoAnswer { since, reason },
            Asked::NotFound(lacks) => Lookup::NotFound { lacks },
            Asked::Unusable(reason) => {
                self.unusable.insert(key, Arc::clone(&reason));
                Lookup::Unusable(reason)
            }
        }
    }

    /// The id to request from the registry.
    fn askable(&self, key: SchemaKey) -> Option<(u32, &Fetcher<T>)> {
        match (key, &self.fetcher) {
            (SchemaKey::Id(id @ ..=ID_MAX), Some(fetcher)) => Some((id, fetcher)),
            _ => None,
        }
    }

    fn add(&mut self, keys: &[SchemaKey], compiled: Arc<T>) {
        self.table.extend(keys.iter().map(|key| (*key, self.compiled.len())));
        self.compiled.push(compiled);
    }
}

#[cfg(test)]
mod tests {
    use super::{Lookup, SchemaFileError, Schemas, WriterSchema};
    use crate::codec::{Reader, SchemaKey};

    #[test]
    fn a_file_gives_its_fingerprint_and_a_numbered_one_its_id_too() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let event = r#"{"type":"record","name":"E","fields":[{"name":"customer_id","type":"string"},
            {"name":"event","type":"string"},{"name":"occurred_at","type":"long"}]}"#;
        let other = r#"{"type":"record","name":"O","fields":[{"name":"x","type":"int"}]}"#;
        write("17.avsc", event);
        write("order.avsc", other);
        write("notes.txt", "not a schema");
        let mut schemas = Schemas::built_in().with_files(folder.path()).unwrap();
        let fingerprint = Reader::compile(event).unwrap().fingerprint();
        assert!(matches!(schemas.lookup(SchemaKey::Id(17)), Lookup::Ready(_)));
        assert!(matches!(schemas.lookup(SchemaKey::Fingerprint(fingerprint)), Lookup::Ready(_)));
        assert!(matches!(schemas.lookup(SchemaKey::Id(18)), Lookup::NotFound { .. }));
        assert!(matches!(schemas.lookup(SchemaKey::Bare), Lookup::NotFound { .. }));
        let other = WriterSchema::parse(other).unwrap().fingerprint();
        assert!(matches!(schemas.lookup(SchemaKey::Fingerprint(other)), Lookup::Unusable(_)));
        let built_in = Reader::built_in().fingerprint();
        assert!(matches!(schemas.lookup(SchemaKey::Fingerprint(built_in)), Lookup::Ready(_)));
        let mut any = Schemas::<WriterSchema>::default().with_files(folder.path()).unwrap();
        for known in [SchemaKey::Fingerprint(other), SchemaKey::Fingerprint(built_in), SchemaKey::Id(17)] {
            assert!(matches!(any.lookup(known), Lookup::Ready(_)), "{known}");
        }
        assert!(matches!(any.lookup(SchemaKey::Id(18)), Lookup::NotFound { .. }));
        let mut bare = schemas.with_bare(&folder.path().join("17.avsc")).unwrap();
        assert!(matches!(bare.lookup(SchemaKey::Bare), Lookup::Ready(_)));

        write("017.avsc", event);
        assert!(matches!(Schemas::built_in().with_files(folder.path()), Err(SchemaFileError::SameId { id: 17, .. })));
        write("017.avsc", "{");
        assert!(matches!(Schemas::built_in().with_files(folder.path()), Err(SchemaFileError::Schema { .. })));
        assert!(Schemas::built_in().with_bare(&folder.path().join("order.avsc")).is_err());
    }
}
