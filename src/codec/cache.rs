//! A cache of a registry's answers on disk, so that a restart does not need the registry.
//!
//! In one folder for each registry: `<id>-<check>.avsc`, the schema with that id (with its references, if it has any),
//! and `<name>.id`, the id under which an output schema is registered. A registry never changes either. A damaged file
//! is ignored and its content requested again; without a writable disk, everything is requested again after a restart.

use std::fs;
use std::hash::Hasher;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use siphasher::sip::SipHasher13;

use super::{Registry, SchemaText};

/// The maximum number of cached schemas; the oldest is replaced.
const SCHEMAS_MAX: usize = 1_000;
/// The size limit of a file, in bytes: as much as a schema and all its references may have, written as JSON.
const FILE_BYTES_MAX: usize = 8 << 20;

/// The folder of one registry.
#[derive(Debug, Clone)]
pub struct SchemaCache {
    folder: PathBuf,
    /// Was it logged that nothing can be written?
    complained: Arc<AtomicBool>,
}

impl SchemaCache {
    /// Opens or creates the folder of this registry in `root`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: &Path, registry: &Registry) -> io::Result<Self> {
        let folder = root.join(registry.reach.file_name());
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, complained: Arc::default() })
    }

    /// The schemas of all intact files, each with its id. Damaged files are removed.
    pub(super) fn schemas(&self) -> Vec<(u32, SchemaText)> {
        let mut schemas = Vec::new();
        for (_, path) in self.schema_files() {
            match read_schema(&path) {
                Ok(Some(schema)) => schemas.push(schema),
                Ok(None) => {
                    tracing::warn!(path = %path.display(), "A cached schema is damaged; it is fetched again.");
                    fs::remove_file(&path).ok();
                }
                // The file itself may be intact.
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "A cached schema cannot be read; it is fetched again.");
                }
            }
        }
        schemas
    }

    /// Stores a schema.
    pub(super) fn keep(&self, id: u32, schema: &SchemaText) {
        let schema = schema.packed();
        if schema.len() > FILE_BYTES_MAX {
            return;
        }
        let mut files = self.schema_files();
        if files.len() >= SCHEMAS_MAX {
            files.sort();
            for (_, path) in &files[..=files.len() - SCHEMAS_MAX] {
                fs::remove_file(path).ok();
            }
        }
        self.write(&format!("{id}-{:016x}.avsc", check(&[&id.to_le_bytes(), schema.as_bytes()])), &schema);
    }

    /// The id under which this schema was registered for this subject.
    #[must_use]
    pub fn output_id(&self, subject: &str, schema: &str) -> Option<u32> {
        let text = fs::read_to_string(self.folder.join(output_file(subject, schema))).ok()?;
        let (id, found) = text.trim_end().split_once(' ')?;
        let id: u32 = id.parse().ok()?;
        (found == format!("{:016x}", check(&[&id.to_le_bytes(), subject.as_bytes(), schema.as_bytes()]))).then_some(id)
    }

    /// Stores the id under which a schema is registered for a subject.
    pub fn keep_output_id(&self, subject: &str, schema: &str, id: u32) {
        self.write(
            &output_file(subject, schema),
            &format!("{id} {:016x}\n", check(&[&id.to_le_bytes(), subject.as_bytes(), schema.as_bytes()])),
        );
    }

    /// Schemas, each with the time when it was written.
    fn schema_files(&self) -> Vec<(SystemTime, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let schema = |entry: io::Result<fs::DirEntry>| {
            let path = entry.ok()?.path();
            let written = fs::metadata(&path).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            path.extension().is_some_and(|extension| extension == "avsc").then_some((written, path))
        };
        entries.filter_map(schema).collect()
    }

    fn write(&self, name: &str, text: &str) {
        if let Err(error) = write_whole(&self.folder.join(name), text)
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "Schemas cannot be cached on disk; a restart will need the registry.");
        }
    }
}

/// Writes a temporary file and renames it, so that no file is ever half written, not even after a power failure.
///
/// # Errors
/// Of the file system; then the place is as it was.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".tmp-{:?}", std::thread::current().id()));
    let beside = PathBuf::from(beside);
    fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| {
            fs::remove_file(&beside).ok();
        })
}

/// `None`: it is damaged.
fn read_schema(path: &Path) -> io::Result<Option<(u32, SchemaText)>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX as u64 {
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let schema = || {
        let (id, found) = path.file_stem()?.to_str()?.split_once('-')?;
        let (id, schema) = (id.parse::<u32>().ok()?, String::from_utf8(bytes).ok()?);
        (found == format!("{:016x}", check(&[&id.to_le_bytes(), schema.as_bytes()])))
            .then(|| (id, SchemaText::unpacked(schema)))
    };
    Ok(schema())
}

/// Short enough for any file system, whatever the topic is called.
fn output_file(subject: &str, schema: &str) -> String {
    format!("{:016x}.id", check(&[subject.as_bytes(), schema.as_bytes()]))
}

/// A hash of parts, each with its length before it: the same on each machine and in each release.
fn check(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{SCHEMAS_MAX, SchemaCache};
    use crate::codec::{Access, Registry, SchemaText};

    fn cache(root: &std::path::Path, address: &str) -> SchemaCache {
        SchemaCache::open(root, &Registry::new(address, Access::default()).unwrap()).unwrap()
    }

    fn text(name: &str) -> SchemaText {
        format!("\"{name}\"").into()
    }

    #[test]
    fn what_was_kept_is_read_again_and_what_is_damaged_is_not() {
        let root = tempfile::tempdir().unwrap();
        let kept = cache(root.path(), "http://registry:8081");
        kept.keep(7, &text("string"));
        kept.keep(8, &text("long"));
        kept.keep_output_id("changes-value", "\"int\"", 3);
        let again = cache(root.path(), "http://me:secret@registry:8081/");
        let mut schemas = again.schemas();
        schemas.sort_by_key(|(id, _)| *id);
        assert_eq!(schemas, [(7, text("string")), (8, text("long"))]);
        assert_eq!(again.output_id("changes-value", "\"int\""), Some(3));
        assert_eq!(again.output_id("changes-value", "\"long\""), None);
        assert_eq!(again.output_id("other-value", "\"int\""), None);

        // Another registry's ids are not this one's.
        let other = cache(root.path(), "http://registry:8082");
        assert!(other.schemas().is_empty() && other.output_id("changes-value", "\"int\"").is_none());

        // One byte that still is an Avro schema, in a file of either kind.
        for entry in fs::read_dir(&again.folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("string", "double").replace("3 ", "4 ")).unwrap();
        }
        assert_eq!(again.schemas(), [(8, text("long"))]);
        assert_eq!(again.output_id("changes-value", "\"int\""), None);
        assert_eq!(fs::read_dir(&again.folder).unwrap().count(), 2, "the damaged schema is gone");
    }

    #[test]
    fn what_cannot_be_read_now_is_kept_until_it_can() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), "http://registry:8081");
        cache.keep(7, &text("string"));
        let (_, file) = cache.schema_files().remove(0);
        let (elsewhere, folder) = (root.path().join("elsewhere"), root.path().join("folder"));
        fs::rename(&file, &elsewhere).unwrap();
        fs::create_dir(&folder).unwrap();
        // Reading a folder as a file fails, as on a failing disk.
        std::os::unix::fs::symlink(&folder, &file).unwrap();
        assert!(cache.schemas().is_empty());
        assert!(file.exists(), "it is as good as it was");
        fs::remove_file(&file).unwrap();
        fs::rename(&elsewhere, &file).unwrap();
        assert_eq!(cache.schemas(), [(7, text("string"))]);
    }

    #[test]
    fn a_schema_is_kept_in_one_piece_with_those_that_it_refers_to() {
        let root = tempfile::tempdir().unwrap();
        let refers = SchemaText { schema: "\"a.B\"".into(), references: vec!["{\"type\": \"enum\"}".into()] };
        cache(root.path(), "http://one:8081,http://two:8081").keep(7, &refers);
        // Nor does it matter in which order the addresses stand.
        assert_eq!(cache(root.path(), "http://two:8081/,http://one:8081").schemas(), [(7, refers)]);
    }

    #[test]
    fn only_so_many_schemas_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), "http://registry:8081");
        for number in 0..SCHEMAS_MAX + 5 {
            fs::write(cache.folder.join(format!("{number}-0.avsc")), "").unwrap();
        }
        cache.keep(1_000_000, &text("string"));
        assert_eq!(cache.schema_files().len(), SCHEMAS_MAX);
    }

    #[test]
    fn without_a_disk_nothing_is_kept_and_nothing_fails() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), "http://registry:8081");
        fs::remove_dir_all(&cache.folder).unwrap();
        cache.keep(7, &text("string"));
        assert!(cache.schemas().is_empty());
    }
}
