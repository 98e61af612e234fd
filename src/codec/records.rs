//! The records of a file in whatever shape they have: JSON Lines or Avro, compressed or not, recognized by their first
//! bytes.

use std::io::Read;
use std::path::Path;

use super::Undecodable;
use super::compressed::Input;
use super::container::Container;
use super::files::{FileError, Start, Trouble, next_text, start, stream};

/// The records of one file, in order. After an error it continues with the next line or record if that can be found: see
/// [`FileError::lost`].
pub struct RecordFile {
    name: String,
    content: Content,
}

enum Content {
    Lines { input: Input, line: u64, buffer: Vec<u8> },
    Container(Box<Container<Input, String>>),
    Ended,
}

impl RecordFile {
    /// Opens a file; `-` is standard input. Compressed files are decompressed, whatever the name.
    ///
    /// # Errors
    /// When it cannot be opened, or is plainly a file of another kind.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let (name, stream) = stream(path)?;
        Self::read(&name, stream)
    }

    /// Reads records from a stream; `name` is for errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(name: &str, stream: impl Read + Send + 'static) -> Result<Self, FileError> {
        let name = name.to_owned();
        let content = match start(&name, stream)? {
            Start::Lines(input) => Content::Lines { input, line: 0, buffer: Vec::new() },
            Start::Container(input) => match Container::open_any(input) {
                Ok(container) => Content::Container(Box::new(container)),
                Err(problem) => return Err(FileError::Container { file: name, problem }),
            },
        };
        Ok(Self { name, content })
    }

    /// As it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The writer's schema of an Avro file; `None`: each record is a line of JSON.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        match &self.content {
            Content::Container(container) => Some(container.schema()),
            Content::Lines { .. } | Content::Ended => None,
        }
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
            Content::Container(container) => match container.next_by(|_, bytes| read(bytes)) {
                Ok(read) => return Ok(read),
                Err(problem) => FileError::Container { file: file(), problem },
            },
            Content::Ended => return Ok(None),
        };
        if error.lost().is_none() {
            self.content = Content::Ended;
        }
        Err(error)
    }
}
