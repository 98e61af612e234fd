//! Files of events, one after the other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::app::Failure;
use crate::cli::output::Stopped;
use crate::cli::progress::Progress;
use crate::codec::{BadLine, EventFile, FileError, OwnedEvent};
use crate::event::{CustomerEvent, Instant, Properties, Vocabulary};

/// Bad lines that are reported one by one; more are counted only.
const REPORTED_MAX: u64 = 20;
const STANDARD_INPUT: &str = "standard input";

/// What became of the lines that are no event read.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Counts {
    pub(in crate::cli) bad_lines: u64,
    /// Events left out for `--until`.
    pub(in crate::cli) left_out: u64,
    /// Property values that are not numbers, infinite or too large, and count as missing.
    pub(in crate::cli) unusable_values: u64,
}

pub(in crate::cli) struct Input<'a> {
    files: &'a [PathBuf],
    until: Option<Instant>,
    counts: Counts,
}

impl<'a> Input<'a> {
    /// Events later than `until` are left out.
    pub(in crate::cli) fn new(files: &'a [PathBuf], until: Option<Instant>) -> Self {
        Self { files, until, counts: Counts::default() }
    }

    pub(in crate::cli) fn counts(&self) -> Counts {
        self.counts
    }

    /// Gives every event to `take`, as the rules see it. Otherwise as `read_whole`.
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

    /// Gives every event to `take`, in the order of the files. A line that cannot be read is reported and passed over.
    ///
    /// # Errors
    /// A file of which nothing more can be read: what follows from half a file would mislead. And what `take` refuses.
    pub(in crate::cli) fn read_whole(
        &mut self,
        progress: &Progress,
        mut take: impl FnMut(&OwnedEvent) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        for path in self.files {
            for event in open(path, progress).map_err(unreadable)? {
                let event = match event {
                    Ok(event) => event,
                    Err(FileError::Line { file, line, problem }) if problem != BadLine::TooLong => {
                        self.bad_line(&file, line, problem, progress);
                        continue;
                    }
                    Err(error) => return Err(unreadable(error).into()),
                };
                if self.until.is_some_and(|until| event.at > until) {
                    self.counts.left_out += 1;
                    continue;
                }
                take(&event)?;
            }
        }
        progress.finish();
        Ok(())
    }

    /// Bytes of all files; `None` where one is no plain file.
    pub(in crate::cli) fn bytes(&self) -> Option<u64> {
        let length = |path: &PathBuf| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len());
        self.files.iter().map(length).sum()
    }

    fn bad_line(&mut self, file: &str, line: u64, problem: BadLine, progress: &Progress) {
        self.counts.bad_lines += 1;
        match self.counts.bad_lines {
            ..=REPORTED_MAX => progress.complain(&format!("{file}:{line}: {problem}")),
            more if more == REPORTED_MAX + 1 => {
                progress.complain("there are more such lines; from here on they are only counted")
            }
            _ => {}
        }
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

fn unreadable(error: FileError) -> Failure {
    Failure::Running(match error {
        FileError::Line { file, line, problem } => format!("{file}:{line}: {problem}"),
        FileError::Read { file, error } => format!("{file}: cannot be read ({error})"),
        error @ FileError::Container { .. } => error.to_string(),
    })
}
