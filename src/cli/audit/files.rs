//! Files of records, each a source, or a part of one.

use std::fs;
use std::path::{Path, PathBuf};

use super::too_many;
use crate::audit::{Audit, Payload, Record, Schema, SchemaId, TopicIx};
use crate::cli::history::csv;
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::cli::shape::Rows;
use crate::codec::{Csv, FileError, RecordFile, stream};

/// Reads all files. Returns why some could not be read to their end.
///
/// # Errors
/// More sources than an audit has.
pub(super) fn read(files: &[PathBuf], rows: Rows, audit: &mut Audit) -> Result<Vec<String>, Stopped> {
    let sizes: Option<u64> = files.iter().map(|path| Some(fs::metadata(path).ok()?.len())).sum();
    let progress = Progress::of_reading(sizes);
    let mut unread = Vec::new();
    for (place, path) in files.iter().enumerate() {
        let topic = audit.topic(&source_name(path), 0).ok_or_else(too_many)?;
        let place = i32::try_from(place).unwrap_or(i32::MAX);
        match open(path, csv(path, rows), &progress) {
            Ok(records) => unread.extend(one(records, topic, place, audit)),
            Err(error) => unread.push(error.to_string()),
        }
    }
    progress.finish();
    Ok(unread)
}

/// Opens a file; `rows`: as CSV.
pub(super) fn open(path: &Path, rows: Option<Csv>, progress: &Progress) -> Result<RecordFile, FileError> {
    let (name, stream) = stream(path)?;
    RecordFile::read(&name, progress.watch(stream), rows)
}

/// Reads one file; returns why it could not be read to its end, if so.
fn one(mut records: RecordFile, topic: TopicIx, place: i32, audit: &mut Audit) -> Option<String> {
    let schema = match records.schema().map(Schema::parse).transpose() {
        Ok(schema) => schema,
        Err(problem) => return Some(format!("{}: its schema: {problem}", records.name())),
    };
    loop {
        let read = records.next_by(|bytes| match &schema {
            None => {
                audit.add(topic, &record(Payload::Json(bytes), place, bytes));
                (bytes.len(), Ok(()))
            }
            Some(schema) => match schema.length(bytes) {
                Err(problem) => (bytes.len(), Err(problem)),
                Ok(length) => {
                    let bytes = &bytes[..length];
                    audit.add(topic, &record(Payload::Avro(schema, SchemaId::File, bytes), place, bytes));
                    (length, Ok(()))
                }
            },
        });
        match read {
            Ok(None) => return None,
            Ok(Some(())) => {}
            Err(error) => {
                let Some(lost) = error.lost() else { return Some(error.to_string()) };
                audit.add_lost(topic, lost);
            }
        }
    }
}

/// A record of a file, which has nothing but its value.
pub(super) fn record<'a>(value: Payload<'a>, place: i32, bytes: &[u8]) -> Record<'a> {
    let bytes = bytes.len() as u64;
    Record { value, key: Payload::Null, headers: &[], place, written: None, at_home: None, bytes }
}

/// The name of a file without its endings, and without a date or number at its end.
fn source_name(path: &Path) -> String {
    if path == Path::new("-") {
        return "stdin".to_owned();
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut stem = name.as_str();
    for ending in [".gz", ".zst", ".bz2", ".jsonl", ".ndjson", ".json", ".avro", ".csv", ".tsv"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    let base = stem.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | 'T' | 'Z'));
    // A name of nothing but digits is one all the same.
    let base = if stem.ends_with(|c: char| c.is_ascii_digit()) && !base.is_empty() { base } else { stem };
    if base.is_empty() { "records".to_owned() } else { base.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::source_name;

    #[test]
    fn files_of_one_source_differ_in_a_date_or_number() {
        for (file, name) in [
            ("a/orders.jsonl.gz", "orders"),
            ("events-2026-01.jsonl", "events"),
            ("events-2026-01-31T08.avro", "events"),
            ("shop.orders_0001.json.zst", "shop.orders"),
            ("2026.jsonl", "2026"),
            ("ga4", "ga"),
            ("-", "stdin"),
            (".jsonl", "records"),
        ] {
            assert_eq!(source_name(Path::new(file)), name, "{file}");
        }
    }
}
