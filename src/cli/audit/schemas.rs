//! Schemas of any records, from files and from the registry; each is asked for once.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::app::{self, Failure};
use crate::audit::{Schema, SchemaId};
use crate::codec::{RegistryError, SchemaKey, Schemas as EventSchemas};
use crate::settings::Loaded;

/// How long the registry may give no answer before the command gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);
/// The highest id that a registry assigns.
const ID_MAX: u32 = i32::MAX.cast_unsigned();
/// So many ids without a schema, and the bytes in the place of ids are something else.
const UNKNOWN_MAX: usize = 100;

/// Schemas by what records say of them.
pub(super) struct Schemas {
    known: BTreeMap<SchemaId, Option<Schema>>,
    unknown: usize,
    registry: EventSchemas,
}

impl Schemas {
    /// Those of `schemas.dir` and `schemas.bare`, and the built-in one.
    ///
    /// # Errors
    /// Files that cannot be used, or an address that is none.
    pub(super) fn open(loaded: &Loaded) -> Result<Self, Failure> {
        let registry = app::schemas(loaded)?;
        let settings = &loaded.settings.schemas;
        let mut known = BTreeMap::new();
        let mut add = |ids: &[SchemaId], text: &str| {
            for id in ids {
                // Files were checked above.
                known.insert(*id, Schema::parse(text).ok());
            }
        };
        let fingerprint =
            |text: &str| Schema::parse(text).ok().map(|schema| SchemaId::Fingerprint(schema.fingerprint()));
        let built_in = include_str!("../../../schemas/customer-event.avsc");
        add(fingerprint(built_in).as_slice(), built_in);
        let unread = |error: std::io::Error| Failure::Running(format!("schemas.dir: {error}"));
        for entry in settings.dir.iter().flat_map(fs::read_dir).flatten() {
            let path = entry.map_err(unread)?.path();
            if path.extension().is_none_or(|extension| extension != "avsc") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(unread)?;
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).map(SchemaId::Id);
            let ids: Vec<SchemaId> = id.into_iter().chain(fingerprint(&text)).collect();
            add(&ids, &text);
        }
        if let Some(file) = settings.bare_file() {
            let text = fs::read_to_string(file).map_err(unread)?;
            add(&[SchemaId::Bare], &text);
        }
        Ok(Self { known, unknown: 0, registry })
    }

    /// Asks for the schema of a record, if that was not done yet.
    ///
    /// # Errors
    /// A registry that gives no useful answer.
    pub(super) fn fetch(&mut self, key: SchemaKey) -> Result<(), Failure> {
        let id = id_of(key);
        if self.known.contains_key(&id) {
            return Ok(());
        }
        let found = match id {
            SchemaId::Id(number) if number <= ID_MAX && self.unknown < UNKNOWN_MAX => self.ask(number)?,
            _ => None,
        };
        if found.is_none() {
            self.unknown += 1;
        }
        if found.is_some() || self.unknown <= UNKNOWN_MAX {
            self.known.insert(id, found);
        }
        Ok(())
    }

    /// The schema of a record, once it was asked for. `None`: nobody has it.
    pub(super) fn get(&self, key: SchemaKey) -> Option<(SchemaId, &Schema)> {
        let id = id_of(key);
        self.known.get(&id)?.as_ref().map(|schema| (id, schema))
    }

    fn ask(&self, id: u32) -> Result<Option<Schema>, Failure> {
        let Some(registry) = self.registry.registry() else { return Ok(None) };
        let started = Instant::now();
        loop {
            match registry.schema(id) {
                Ok(text) => return Ok(Schema::of_registered(&text).ok()),
                Err(RegistryError::NotFound | RegistryError::Incomplete(_) | RegistryError::Refused(_)) => {
                    return Ok(None);
                }
                Err(RegistryError::Unreachable(_)) if started.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Err(error) => return Err(Failure::Running(error.to_string())),
            }
        }
    }
}

fn id_of(key: SchemaKey) -> SchemaId {
    match key {
        SchemaKey::Id(id) => SchemaId::Id(id),
        SchemaKey::Fingerprint(fingerprint) => SchemaId::Fingerprint(fingerprint),
        SchemaKey::Bare => SchemaId::Bare,
    }
}
