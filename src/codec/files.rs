//! Event files for `replay`, `explain` and `fit`: the records of a file, read as events. Those in Avro are decoded like
//! those of a topic, so a file gives exactly the same events.

use std::io::Read;
use std::path::Path;

use super::container::BadContainer;
use super::cursor::Cursor;
use super::line::read_line;
use super::owned::{All, OwnedEvent};
use super::records::{FileError, RecordFile};
use super::unread::Unread;
use super::{Reader, Undecodable};

/// The events of one file, in order. After an error it continues with the next line or record if that can be found: see
/// [`FileError::lost`].
pub struct EventFile {
    records: RecordFile,
    /// Of an Avro file.
    reader: Option<Reader>,
    unread: Unread,
}

impl EventFile {
    /// Opens a file; `-` is standard input. Compressed files are decompressed, whatever the name.
    ///
    /// # Errors
    /// When it cannot be opened, it is an Avro file which holds no events, or plainly a file of another kind.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        RecordFile::open(path).and_then(Self::of)
    }

    /// Reads events from a stream; `name` is for errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(name: &str, stream: impl Read + Send + 'static) -> Result<Self, FileError> {
        RecordFile::read(name, stream, None).and_then(Self::of)
    }

    fn of(records: RecordFile) -> Result<Self, FileError> {
        let reader = records.schema().map(Reader::compile).transpose();
        let no_events = |problem| FileError::Container { file: records.name().to_owned(), problem };
        let reader = reader.map_err(BadContainer::from).map_err(no_events)?;
        let unread = reader.as_ref().map_or_else(Unread::default, |reader| reader.unread().clone());
        Ok(Self { records, reader, unread })
    }

    /// The fields that are not used, in what was read so far.
    #[must_use]
    pub fn unread(&self) -> &Unread {
        &self.unread
    }
}

impl Iterator for EventFile {
    type Item = Result<OwnedEvent, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { records, reader, unread } = self;
        let read = records.next_by(|bytes| match reader {
            Some(reader) => {
                let (taken, event) = event(reader, bytes);
                (taken, event.map(Ok))
            }
            None => (bytes.len(), Ok(read_line(bytes, unread))),
        });
        match read {
            Ok(event) => Some(event?.map_err(|problem| records.bad_line(problem))),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The event at the start of these bytes, and how many it took.
fn event(reader: &Reader, bytes: &[u8]) -> (usize, Result<OwnedEvent, Undecodable>) {
    let mut cursor = Cursor::new(bytes);
    let mut properties = All::default();
    let read = reader.read(&mut cursor, &mut properties);
    let taken = bytes.len() - cursor.rest().len();
    (taken, read.map(|envelope| OwnedEvent::new(&envelope, &bytes[..taken], properties)))
}
