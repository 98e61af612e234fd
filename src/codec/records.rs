//! The records of a file in whatever shape they have: JSON Lines or Avro, compressed or not, recognized by their first
//! bytes; or CSV, where the caller says so.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::Undecodable;
use super::compressed::{Compression, Input};
use super::container::{BadContainer, Container, MAGIC};
use super::foreign::{self, Foreign};
use super::line::{BadLine, MAX_LINE};
use super::table::{BadHeader, Csv, Table, Trouble as NoRow};

/// The number of bytes that identify a file.
const START: usize = 8;

/// What cannot be read in a file. Contains the position, never the contents.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{file}: {error}")]
    Read { file: String, error: io::Error },
    #[error("{file}, line {line}: {problem}")]
    Line { file: String, line: u64, problem: BadLine },
    /// A line for a reader that wanted another encoding.
    #[error("{file}, line {line}: {problem}")]
    Record { file: String, line: u64, problem: Undecodable },
    #[error("{file}: {problem}")]
    Container { file: String, problem: BadContainer },
    #[error("{file}: {foreign}")]
    Foreign { file: String, foreign: Foreign },
    /// Of CSV.
    #[error("{file}: {problem}")]
    Header { file: String, problem: BadHeader },
}

impl FileError {
    /// The number of lost lines or records; the next one can be read. `None`: the rest of the file cannot.
    #[must_use]
    pub fn lost(&self) -> Option<u64> {
        match self {
            Self::Line { problem, .. } => (*problem != BadLine::TooLong).then_some(1),
            Self::Record { .. } => Some(1),
            Self::Container { problem, .. } => problem.lost(),
            Self::Read { .. } | Self::Foreign { .. } | Self::Header { .. } => None,
        }
    }
}

/// The records of one file, in order. After an error it continues with the next line or record if that can be found: see
/// [`FileError::lost`].
pub struct RecordFile {
    name: String,
    content: Content,
}

enum Content {
    Lines { input: Input, line: u64, buffer: Vec<u8> },
    Container(Box<Container<Input>>),
    Rows(Box<Table>),
    Ended,
}

impl RecordFile {
    /// Opens a file; `-` is standard input. Compressed files are decompressed, whatever the name.
    ///
    /// # Errors
    /// When it cannot be opened, or is plainly a file of another kind.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_as(path, None)
    }

    /// The same of a file whose rows are CSV, if `csv` says how.
    ///
    /// # Errors
    /// As [`open`](Self::open); or it has no header that is of use.
    pub fn open_as(path: &Path, csv: Option<Csv>) -> Result<Self, FileError> {
        let (name, stream) = stream(path)?;
        Self::read(&name, stream, csv)
    }

    /// Reads records from a stream; `name` is for errors. With `csv` each row of CSV is a line of JSON; an Avro file is one
    /// nevertheless.
    ///
    /// # Errors
    /// As [`open_as`](Self::open_as).
    pub fn read(name: &str, stream: impl Read + Send + 'static, csv: Option<Csv>) -> Result<Self, FileError> {
        let expected = if csv.is_some() { Expected::Rows } else { Expected::Lines };
        let (start, file) = (start(name, stream, expected)?, name.to_owned());
        let content = match (start, csv) {
            (Start::Container(input), _) => match Container::open(input) {
                Ok(container) => Content::Container(Box::new(container)),
                Err(problem) => return Err(FileError::Container { file, problem }),
            },
            (Start::Lines(input), None) => Content::Lines { input, line: 0, buffer: Vec::new() },
            (Start::Lines(input), Some(csv)) => match Table::open(input, csv) {
                Ok(Ok(table)) => Content::Rows(Box::new(table)),
                Ok(Err(problem)) => return Err(FileError::Header { file, problem }),
                Err(error) => return Err(FileError::Read { file, error }),
            },
        };
        Ok(Self { name: file, content })
    }

    /// As it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is each record a row of CSV?
    #[must_use]
    pub fn is_csv(&self) -> bool {
        matches!(self.content, Content::Rows(_))
    }

    /// The writer's schema of an Avro file; `None`: each record is a line of JSON, or given as one.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        match &self.content {
            Content::Container(container) => Some(container.schema()),
            Content::Lines { .. } | Content::Rows(_) | Content::Ended => None,
        }
    }

    /// The error of the line that was read last.
    pub(super) fn bad_line(&self, problem: BadLine) -> FileError {
        let line = match &self.content {
            Content::Lines { line, .. } => *line,
            Content::Rows(table) => table.line(),
            Content::Container(_) | Content::Ended => 0,
        };
        FileError::Line { file: self.name.clone(), line, problem }
    }

    /// The next record; `None` at the end. `read` is given a line, or the bytes from where a record of Avro begins; it
    /// returns how many bytes the record took, which is ignored of a line, and what it is.
    ///
    /// # Errors
    /// What cannot be read. Where `read` fails, the start of the next record of Avro is unknown.
    pub fn next_by<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> (usize, Result<T, Undecodable>),
    ) -> Result<Option<T>, FileError> {
        let file = || self.name.clone();
        let error = match &mut self.content {
            Content::Lines { input, line, buffer } => match next_text(input, line, buffer) {
                Ok(None) => return Ok(None),
                Ok(Some(text)) => match read(text).1 {
                    Ok(read) => return Ok(Some(read)),
                    Err(problem) => FileError::Record { file: file(), line: *line, problem },
                },
                Err(Trouble::Read(error)) => FileError::Read { file: file(), error },
                Err(Trouble::Line(problem)) => FileError::Line { file: file(), line: *line, problem },
            },
            Content::Container(container) => match container.next_by(read) {
                Ok(read) => return Ok(read),
                Err(problem) => FileError::Container { file: file(), problem },
            },
            Content::Rows(table) => {
                let problem = match table.next() {
                    Ok(None) => return Ok(None),
                    Ok(Some(row)) => match read(row).1 {
                        Ok(read) => return Ok(Some(read)),
                        Err(problem) => Err(problem),
                    },
                    Err(NoRow::Read(error)) => return Err(FileError::Read { file: file(), error }),
                    Err(NoRow::Row(problem)) => Ok(problem),
                };
                let line = table.line();
                match problem {
                    Ok(problem) => FileError::Line { file: file(), line, problem },
                    Err(problem) => FileError::Record { file: file(), line, problem },
                }
            }
            Content::Ended => return Ok(None),
        };
        if error.lost().is_none() {
            self.content = Content::Ended;
        }
        Err(error)
    }
}

/// Why there is no line.
enum Trouble {
    Read(io::Error),
    Line(BadLine),
}

/// The next line that is not blank, without its end. `line` counts from 1.
fn next_text<'b>(input: &mut Input, line: &mut u64, buffer: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>, Trouble> {
    loop {
        buffer.clear();
        let read = input.take(MAX_LINE as u64 + 1).read_until(b'\n', buffer).map_err(Trouble::Read)?;
        if read == 0 {
            return Ok(None);
        }
        *line += 1;
        if read > MAX_LINE {
            return Err(Trouble::Line(BadLine::TooLong));
        }
        let mut content = 0..buffer.len();
        content.end -= usize::from(buffer.ends_with(b"\n"));
        content.end -= usize::from(buffer[content.clone()].ends_with(b"\r"));
        // The byte order mark of some editors.
        if *line == 1 && buffer[content.clone()].starts_with(foreign::UTF8_MARK) {
            content.start = foreign::UTF8_MARK.len();
        }
        if !buffer[content.clone()].trim_ascii().is_empty() {
            return Ok(Some(&buffer[content]));
        }
    }
}

/// A file, or standard input for `-`, with the name for errors.
///
/// # Errors
/// It cannot be opened.
pub fn stream(path: &Path) -> Result<(String, Box<dyn Read + Send>), FileError> {
    if path == Path::new("-") {
        return Ok(("standard input".to_owned(), Box::new(io::stdin())));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((name, Box::new(file))),
        Err(error) => Err(FileError::Read { file: name, error }),
    }
}

/// What a stream holds that is no container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Lines,
    Rows,
}

/// What a stream holds by its first bytes.
enum Start {
    Container(Input),
    Lines(Input),
}

/// Recognizes a stream, and decompresses it.
fn start(name: &str, stream: impl Read + Send + 'static, expected: Expected) -> Result<Start, FileError> {
    let unread = |error| FileError::Read { file: name.to_owned(), error };
    let (mut start, mut input) = peeked(Box::new(BufReader::new(stream))).map_err(unread)?;
    if let Some(compression) = Compression::of(&start) {
        (start, input) = compression.read(input).and_then(peeked).map_err(unread)?;
    }
    if start.starts_with(MAGIC) {
        return Ok(Start::Container(input));
    }
    let (input, foreign) = foreign::of(&start, input).map_err(unread)?;
    match foreign {
        Some(Foreign::Csv) if expected == Expected::Rows => Ok(Start::Lines(input)),
        Some(foreign) => Err(FileError::Foreign { file: name.to_owned(), foreign }),
        None => Ok(Start::Lines(input)),
    }
}

/// The first bytes, or all of them, and the stream from its beginning.
fn peeked(mut input: Input) -> io::Result<(Vec<u8>, Input)> {
    // A pipe may return fewer at first, so its buffer cannot simply be inspected.
    let mut start = Vec::with_capacity(START);
    (&mut input).take(START as u64).read_to_end(&mut start)?;
    let whole: Input = Box::new(io::Cursor::new(start.clone()).chain(input));
    Ok((start, whole))
}
