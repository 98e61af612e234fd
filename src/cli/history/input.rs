//! Files of events, one after the other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::app::Failure;
use crate::cli::format::counted;
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{EXAMPLE, EventFile, FileError, OwnedEvent};
use crate::event::{CustomerEvent, Instant, Properties, Vocabulary};

/// The number of bad lines and records that are reported; more are only counted.
const REPORTED_MAX: u64 = 20;
const STANDARD_INPUT: &str = "standard input";

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
}

pub(in crate::cli) struct Input<'a> {
    files: &'a [PathBuf],
    until: Option<Instant>,
    counts: Counts,
}

impl<'a> Input<'a> {
    /// Events later than `until` are skipped.
    pub(in crate::cli) fn new(files: &'a [PathBuf], until: Option<Instant>) -> Self {
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
        for path in self.files {
            let mut file = open(path, progress).map_err(|error| unreadable(&error))?;
            let mut of_file = OfFile::default();
            for event in &mut file {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        let lost = error.lost().ok_or_else(|| unreadable(&error))?;
                        self.counts.bad_lines += lost;
                        of_file.lost(lost, &error, progress);
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
            of_file.end(path, &file, progress)?;
        }
        progress.finish();
        Ok(())
    }

    /// Bytes of all files; `None` where one is no plain file.
    pub(in crate::cli) fn bytes(&self) -> Option<u64> {
        let length = |path: &PathBuf| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len());
        self.files.iter().map(length).sum()
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

    fn lost(&mut self, lost: u64, error: &FileError, progress: &Progress) {
        let before = self.lost;
        self.lost += lost;
        let complaint = match self.lost {
            _ if before > REPORTED_MAX => return,
            ..=REPORTED_MAX => message(error),
            _ => "there are more such lines or records; from here on they are only counted".to_owned(),
        };
        if self.events { progress.complain(&complaint) } else { self.complaints.push(complaint) }
    }

    fn end(self, path: &Path, file: &EventFile, progress: &Progress) -> Result<(), Failure> {
        let name = if path == Path::new("-") { STANDARD_INPUT.into() } else { path.to_string_lossy() };
        if let (false, Some(first)) = (self.events, self.complaints.first()) {
            let lost =
                counted(self.lost, "line or record, and it is not an event", "lines or records, and none is an event");
            return Err(Failure::Running(format!("{name}: {lost}; {first}; a line is read like {EXAMPLE}")));
        }
        if !file.unread().is_empty() {
            let fields = file.unread();
            progress.complain(&format!("{name}: unused fields: {fields}; put them into properties"));
        }
        Ok(())
    }
}

fn open(path: &Path, progress: &Progress) -> Result<EventFile, FileError> {
    if path == Path::new("-") {
        return EventFile::read(STANDARD_INPUT, progress.watch(io::stdin()));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => EventFile::read(&name, progress.watch(file)),
        Err(error) => Err(FileError::Read { file: name, error }),
    }
}

fn unreadable(error: &FileError) -> Failure {
    Failure::Running(message(error))
}

fn message(error: &FileError) -> String {
    match error {
        FileError::Line { file, line, problem } => format!("{file}:{line}: {problem}"),
        FileError::Read { file, error } => format!("{file}: cannot be read ({error})"),
        FileError::Record { .. } | FileError::Container { .. } | FileError::Foreign { .. } => error.to_string(),
    }
}
