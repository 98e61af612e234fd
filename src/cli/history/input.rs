//! Files of events, one after the other.

use std::fs;
use std::path::Path;

use super::files::{Files, Part};
use super::mapped::{MappedFile, Unmapped};
use crate::app::Failure;
use crate::cli::format::counted;
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{EXAMPLE, EventFile, FileError, OwnedEvent, RecordFile, stream};
use crate::event::{CustomerEvent, Instant, Properties, Vocabulary};

/// The number of bad lines and records that are reported; more are only counted.
const REPORTED_MAX: u64 = 20;

/// Counts of lines and records that were not used.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Counts {
    pub(in crate::cli) bad_lines: u64,
    /// Events skipped because of `--until`.
    pub(in crate::cli) left_out: u64,
    /// Property values used by rules that cannot be read: numbers out of range, lists, objects, bytes. They count as
    /// missing.
    pub(in crate::cli) unusable_values: u64,
    /// Records of a topic without a value.
    pub(in crate::cli) tombstones: u64,
    /// Records that their source does not want.
    pub(in crate::cli) skipped: u64,
}

pub(in crate::cli) struct Input<'a> {
    files: &'a Files,
    until: Option<Instant>,
    counts: Counts,
}

impl<'a> Input<'a> {
    /// Events later than `until` are skipped.
    pub(in crate::cli) fn new(files: &'a Files, until: Option<Instant>) -> Self {
        Self { files, until, counts: Counts::default() }
    }

    pub(in crate::cli) fn counts(&self) -> Counts {
        self.counts
    }

    /// Passes every event to `take`, as the rules see it. Otherwise as `read_whole`.
    ///
    /// # Errors
    /// As `read_whole`.
    pub(in crate::cli) fn read_all(
        &mut self,
        vocabulary: &Vocabulary,
        progress: &Progress,
        mut take: impl FnMut(&CustomerEvent<'_>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let mut unusable = 0;
        self.read_whole(progress, |event| {
            let mut properties = Properties::new();
            let event = event.borrowed(vocabulary, &mut properties);
            unusable += u64::from(event.unusable_values);
            take(&event)
        })?;
        self.counts.unusable_values += unusable;
        Ok(())
    }

    /// Passes every event to `take`, in the order of the files. A line or record that cannot be read is reported and
    /// skipped.
    ///
    /// # Errors
    /// A file of which nothing more can be read: what follows from half a file would mislead. One that is not empty and holds
    /// no event. And what `take` refuses.
    pub(in crate::cli) fn read_whole(
        &mut self,
        progress: &Progress,
        mut take: impl FnMut(&OwnedEvent) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        for part in &self.files.parts {
            let mut file = open(part, progress).map_err(Failure::Running)?;
            let mut of_file = OfFile::default();
            while let Some(event) = file.next() {
                let event = match event {
                    Ok(event) => event,
                    Err(lost) => {
                        let records = lost.records.ok_or_else(|| Failure::Running(lost.text.clone()))?;
                        self.counts.bad_lines += records;
                        of_file.lost(records, lost.text, progress);
                        continue;
                    }
                };
                of_file.found(progress);
                if self.until.is_some_and(|until| event.at > until) {
                    self.counts.left_out += 1;
                    continue;
                }
                take(&event)?;
            }
            self.counts.skipped += file.skipped();
            of_file.end(&part.path, &file, progress)?;
        }
        progress.finish();
        Ok(())
    }

    /// Bytes of all files; `None` where one is no plain file.
    pub(in crate::cli) fn bytes(&self) -> Option<u64> {
        let length = |part: &Part| fs::metadata(&part.path).ok().filter(fs::Metadata::is_file).map(|found| found.len());
        self.files.parts.iter().map(length).sum()
    }
}

/// A file of events, or of records that a source makes events of.
enum Reading {
    Events(EventFile),
    Mapped(MappedFile),
}

/// What is not used.
struct Lost {
    /// How many lines or records; `None`: nothing more can be read.
    records: Option<u64>,
    text: String,
}

impl Reading {
    fn next(&mut self) -> Option<Result<OwnedEvent, Lost>> {
        Some(match self {
            Self::Events(file) => file.next()?.map_err(|error| Lost { records: error.lost(), text: message(&error) }),
            Self::Mapped(file) => file.next()?.map_err(|unmapped| match unmapped {
                Unmapped::Unread(error) => Lost { records: error.lost(), text: message(&error) },
                Unmapped::Refused(text) => Lost { records: Some(1), text },
            }),
        })
    }

    fn skipped(&self) -> u64 {
        match self {
            Self::Events(_) => 0,
            Self::Mapped(file) => file.skipped(),
        }
    }
}

/// The messages about one file. They are held back until an event was found: for a file without events, one line is
/// enough.
#[derive(Default)]
struct OfFile {
    events: bool,
    lost: u64,
    complaints: Vec<String>,
}

impl OfFile {
    fn found(&mut self, progress: &Progress) {
        if !std::mem::replace(&mut self.events, true) {
            self.complaints.drain(..).for_each(|complaint| progress.complain(&complaint));
        }
    }

    fn lost(&mut self, lost: u64, text: String, progress: &Progress) {
        let before = self.lost;
        self.lost += lost;
        let complaint = match self.lost {
            _ if before > REPORTED_MAX => return,
            ..=REPORTED_MAX => text,
            _ => "there are more such lines or records; from here on they are only counted".to_owned(),
        };
        if self.events { progress.complain(&complaint) } else { self.complaints.push(complaint) }
    }

    fn end(self, path: &Path, file: &Reading, progress: &Progress) -> Result<(), Failure> {
        let name = if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() };
        let nothing = (!self.events).then(|| self.complaints.first()).flatten();
        match file {
            Reading::Events(file) => {
                if let Some(first) = nothing {
                    let lost = counted(
                        self.lost,
                        "line or record, and it is not an event",
                        "lines or records, and none is an event",
                    );
                    return Err(Failure::Running(format!("{name}: {lost}; {first}; a line is read like {EXAMPLE}")));
                }
                if !file.unread().is_empty() {
                    let fields = file.unread();
                    progress.complain(&format!("{name}: unused fields: {fields}; put them into properties"));
                }
            }
            Reading::Mapped(file) if !self.events && self.lost + file.skipped() > 0 => {
                let records = counted(
                    self.lost + file.skipped(),
                    "record, and it does not become an event",
                    "records, and none becomes an event",
                );
                let first = nothing.map(|first| format!("{first}; ")).unwrap_or_default();
                let source = file.source();
                return Err(Failure::Running(format!(
                    "{name}: {records}; {first}`cohortd sources try {source} {name}` says what becomes of them"
                )));
            }
            Reading::Mapped(_) => {}
        }
        Ok(())
    }
}

/// # Errors
/// Why nothing of it can be read.
fn open(part: &Part, progress: &Progress) -> Result<Reading, String> {
    let (name, stream) = stream(&part.path).map_err(|error| message(&error))?;
    let stream = progress.watch(stream);
    match &part.mapping {
        None => EventFile::read(&name, stream).map(Reading::Events).map_err(|error| message(&error)),
        Some(mapping) => {
            let records = RecordFile::read(&name, stream, part.csv).map_err(|error| message(&error))?;
            MappedFile::new(records, mapping).map(Reading::Mapped)
        }
    }
}

fn message(error: &FileError) -> String {
    match error {
        FileError::Line { file, line, problem } => format!("{file}:{line}: {problem}"),
        FileError::Read { file, error } => format!("{file}: cannot be read ({error})"),
        FileError::Record { .. }
        | FileError::Container { .. }
        | FileError::Foreign { .. }
        | FileError::Header { .. } => error.to_string(),
    }
}
