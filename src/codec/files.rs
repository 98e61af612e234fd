//! Files of events for `replay`, `explain` and `fit`: JSON Lines or Avro, compressed or not, told apart by how they begin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::container::{BadContainer, Container, MAGIC};
use super::json::{BadLine, read_line};
use super::owned::OwnedEvent;

/// The longest line, in bytes: a record of a topic is far shorter.
pub(super) const MAX_LINE: usize = 16 << 20;

/// Why a file's events cannot be read. Says where, never what stands there.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{file}: {error}")]
    Read { file: String, error: io::Error },
    /// Later lines can still be read.
    #[error("{file}, line {line}: {problem}")]
    Line { file: String, line: u64, problem: BadLine },
    /// Nothing more of this file can be read.
    #[error("{file}: {problem}")]
    Container { file: String, problem: BadContainer },
}

/// The events of one file, in its order. After an error in a line it goes on with the next; after any other it ends.
pub struct EventFile {
    name: String,
    content: Content,
}

type Input = Box<dyn BufRead + Send>;

enum Content {
    Lines { input: Input, line: u64, buffer: Vec<u8> },
    Container(Box<Container<Input>>),
    Ended,
}

impl EventFile {
    /// Opens a file; `-` is standard input. gzip and zstd are read through, whatever the name.
    ///
    /// # Errors
    /// When it cannot be opened, or its header is that of an Avro file which holds no events.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        if path == Path::new("-") {
            return Self::read("standard input", io::stdin());
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::read(&name, file),
            Err(error) => Err(FileError::Read { file: name, error }),
        }
    }

    /// Reads events from a stream; `name` is for errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(name: &str, stream: impl Read + Send + 'static) -> Result<Self, FileError> {
        let name = name.to_owned();
        let unread = |error| FileError::Read { file: name.clone(), error };
        let (start, input) = peeked(Box::new(BufReader::new(stream))).map_err(unread)?;
        let (start, input) = match start.as_slice() {
            [0x1f, 0x8b, ..] => {
                peeked(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(input)))).map_err(unread)?
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let decoder = zstd::Decoder::with_buffer(input).map_err(unread)?;
                peeked(Box::new(BufReader::new(decoder))).map_err(unread)?
            }
            _ => (start, input),
        };
        let content = if start == MAGIC {
            match Container::open(input) {
                Ok(container) => Content::Container(Box::new(container)),
                Err(problem) => return Err(FileError::Container { file: name, problem }),
            }
        } else {
            Content::Lines { input, line: 0, buffer: Vec::new() }
        };
        Ok(Self { name, content })
    }
}

impl Iterator for EventFile {
    type Item = Result<OwnedEvent, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = || self.name.clone();
        let (error, goes_on) = match &mut self.content {
            Content::Lines { input, line, buffer } => match next_line(input, line, buffer) {
                Ok(event) => return event.map(Ok),
                Err(Trouble::Read(error)) => (FileError::Read { file: file(), error }, false),
                Err(Trouble::Line(problem)) => {
                    let goes_on = problem != BadLine::TooLong;
                    (FileError::Line { file: file(), line: *line, problem }, goes_on)
                }
            },
            Content::Container(container) => match container.next() {
                Ok(event) => return event.map(Ok),
                Err(problem) => (FileError::Container { file: file(), problem }, false),
            },
            Content::Ended => return None,
        };
        if !goes_on {
            self.content = Content::Ended;
        }
        Some(Err(error))
    }
}

enum Trouble {
    Read(io::Error),
    Line(BadLine),
}

/// The event of the next line that is not blank. `line` counts from 1.
fn next_line(input: &mut Input, line: &mut u64, buffer: &mut Vec<u8>) -> Result<Option<OwnedEvent>, Trouble> {
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
        let mut text = buffer.strip_suffix(b"\n").unwrap_or(buffer);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if *line == 1 {
            // Some editors mark UTF-8 so.
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if !text.trim_ascii().is_empty() {
            return read_line(text).map(Some).map_err(Trouble::Line);
        }
    }
}

/// The first four bytes, or all there are, and the stream from its beginning.
fn peeked(mut input: Input) -> io::Result<(Vec<u8>, Input)> {
    // A pipe may give fewer at first, so its buffer cannot simply be looked into.
    let mut start = Vec::with_capacity(MAGIC.len());
    (&mut input).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    let whole: Input = Box::new(io::Cursor::new(start.clone()).chain(input));
    Ok((start, whole))
}
