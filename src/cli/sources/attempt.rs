//! `sources try`: maps the records of files or of the source's topics, and says where everything comes from.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::place::At;
use super::tally::{Detail, Tally};
use super::topics;
use crate::app::Failure;
use crate::app::sources_file::SourcesFile;
use crate::cli::arguments::TrySource;
use crate::cli::format::{counted, grouped};
use crate::cli::history::{MappedFile, csv};
use crate::cli::output::{self, Stopped};
use crate::codec::{FileError, RecordFile};
use crate::event::Value;
use crate::gather::Refused;
use crate::settings::Loaded;
use crate::sources::{EventName, MappedEvent, Mapping, Outcome, Path, Refusal, RefusalReason, Skip, Source};

/// The most details that are shown of one reason.
const DETAILS_SHOWN: usize = 3;

/// Maps the records of files, or the first ones of its topics, with one source.
///
/// # Errors
/// A sources file that cannot be read, or has mistakes; a file or topic that cannot be read; no record that became an
/// event.
pub(in crate::cli) fn attempt(settings: &Loaded, asked: &TrySource) -> Result<(), Stopped> {
    let file = SourcesFile::needed(settings, asked.file.given(), None)?;
    let source = file.source(&asked.name).map_err(Stopped::Usage)?;
    let mapping = Arc::new(Mapping::new(source.clone()));
    let mut out = output::results();
    let printed = if asked.json { Printed::Collected(Vec::new()) } else { Printed::Lines(&mut out) };
    let mut attempt = Attempt { mapping: &mapping, tally: Tally::default(), printed, left: asked.events };
    let mut unread = Vec::new();
    if asked.topic {
        let mapper = topics::read(settings, &file.document, &mapping, asked.records, |record, at, mapped| {
            attempt.tally.headers(record);
            match mapped {
                Ok(outcome) => attempt.outcome(outcome, at),
                Err(Refused { reason, detail, .. }) => {
                    attempt.tally.read += 1;
                    attempt.tally.refuse_for(reason, detail, 1, || at.to_string());
                    Ok(())
                }
            }
        })?;
        mapper.readers().for_each(|reader| attempt.tally.miss(reader.absent()));
    }
    for path in &asked.files {
        match RecordFile::open_as(path, csv(path, asked.rows)) {
            Ok(records) => unread.extend(attempt.file(records)?),
            Err(error) => unread.push(error.to_string()),
        }
    }
    let Attempt { tally, printed, .. } = attempt;
    match printed {
        Printed::Collected(events) => writeln!(out, "{}", as_json(&tally, source, events))?,
        Printed::Lines(out) => summary(&tally, source, out)?,
    }
    out.flush()?;
    if !unread.is_empty() {
        return Err(Failure::Running(unread.join("\n")).into());
    }
    if tally.events == 0 {
        let problem = match tally.read {
            0 if asked.topic => {
                let since = source.from.map(|from| format!(" written since {from} (from)")).unwrap_or_default();
                format!("there is no record in {}{since}", source.topics.join(", "))
            }
            0 => "there is no record in the files".to_owned(),
            read => format!("none of {} became an event", counted(read, "record", "records")),
        };
        return Err(Failure::Running(problem).into());
    }
    Ok(())
}

struct Attempt<'m, 'o, W: Write> {
    mapping: &'m Arc<Mapping>,
    tally: Tally,
    printed: Printed<'o, W>,
    /// Events that are still to be printed.
    left: u32,
}

enum Printed<'o, W: Write> {
    Lines(&'o mut W),
    Collected(Vec<Json>),
}

impl<W: Write> Attempt<'_, '_, W> {
    /// Maps all records of a file; returns why it could not be read to its end, if so.
    fn file(&mut self, records: RecordFile) -> io::Result<Option<String>> {
        let mut file = match MappedFile::new(records, self.mapping) {
            Ok(file) => file,
            Err(problem) => return Ok(Some(problem)),
        };
        self.tally.miss(file.absent());
        let name = file.name().to_owned();
        loop {
            let number = file.next_number();
            match file.map_next(|outcome| self.outcome(outcome, At::File { file: &name, number })) {
                Ok(None) => return Ok(None),
                Ok(Some(written)) => written?,
                Err(error) => {
                    let Some(lost) = error.lost() else { return Ok(Some(error.to_string())) };
                    let refusal = Refusal::new(RefusalReason::Undecodable, detail(&error));
                    self.tally.read += lost;
                    self.tally.refuse(refusal, lost, || format!("record {number} of {name}"));
                }
            }
        }
    }

    /// A record was read, and this became of it.
    fn outcome(&mut self, outcome: Outcome<'_>, at: At<'_>) -> io::Result<()> {
        self.tally.read += 1;
        match outcome {
            Outcome::Skipped(reason, _) => self.tally.skip(reason),
            Outcome::Refused(refusal) => self.tally.refuse(refusal, 1, || at.to_string()),
            Outcome::Mapped(events) => {
                self.tally.mapped += 1;
                for event in &events {
                    self.tally.event(event);
                    if self.left > 0 {
                        self.left -= 1;
                        self.print(event, at)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, event: &MappedEvent<'_>, at: At<'_>) -> io::Result<()> {
        let rows = rows(event, self.mapping.source());
        match &mut self.printed {
            Printed::Collected(events) => events.push(event_json(event, &rows, at)),
            Printed::Lines(out) => {
                let element = event.origin.element.map(|element| format!(", element {}", element + 1));
                writeln!(out, "{at}{}", element.unwrap_or_default())?;
                let names = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
                let values = rows.iter().map(|row| row.value.chars().count()).max().unwrap_or(0).min(40);
                for Row { name, value, origin } in &rows {
                    writeln!(out, "  {name:<names$}  {value:<values$}  {origin}")?;
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }
}

/// Without the file's name, which stands beside it.
fn detail(error: &FileError) -> String {
    match error {
        FileError::Line { problem, .. } => problem.to_string(),
        FileError::Record { problem, .. } => problem.to_string(),
        FileError::Container { problem, .. } => problem.to_string(),
        FileError::Read { .. } | FileError::Foreign { .. } | FileError::Header { .. } => error.to_string(),
    }
}

/// One field of an event, and where it comes from.
struct Row {
    name: String,
    value: String,
    origin: String,
}

fn rows(event: &MappedEvent<'_>, source: &Source) -> Vec<Row> {
    let row = |name: &str, value: String, origin: String| Row { name: name.to_owned(), value, origin };
    let from = |paths: &[Path], place: usize| paths.get(place).map(|path| path.text.clone()).unwrap_or_default();
    let kind = event.origin.kind.and_then(|kind| Some((kind, source.kinds[kind].event.as_ref()?)));
    let named = match kind.map(|(_, name)| name).or(source.event.as_ref()) {
        Some(EventName::Field { paths, .. }) => texts(paths),
        Some(EventName::Constant(_)) | None => "as written".to_owned(),
    };
    let entry = event.origin.kind.map(|kind| format!(", entry {} of events", kind + 1)).unwrap_or_default();
    let id = match event.origin.id {
        Some(place) => from(&source.id, place),
        None => "a hash of the record".to_owned(),
    };
    let mut rows = vec![
        row("customer", event.customer.to_string(), from(&source.customer, event.origin.customer)),
        row("event", event.name.to_string(), format!("{named}{entry}")),
        row("time", event.at.to_string(), from(&source.time.paths, event.origin.time)),
        row("id", event.id.to_string(), id),
        row("source", event.source.to_owned(), "dedupe".to_owned()),
    ];
    for (name, value) in &event.properties {
        let own = source.properties.iter().find(|property| property.name == *name);
        let origin = own.map(|property| property.path.text.clone()).unwrap_or_default();
        let value = match value.value() {
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::Text(value) => format!("{value:?}"),
        };
        rows.push(row(&format!("  {name}"), value, origin));
    }
    rows
}

fn texts(paths: &[Path]) -> String {
    let texts: Vec<&str> = paths.iter().map(|path| path.text.as_str()).collect();
    texts.join(", else ")
}

fn event_json(event: &MappedEvent<'_>, rows: &[Row], at: At<'_>) -> Json {
    let properties: Map<String, Json> = event
        .properties
        .iter()
        .map(|(name, value)| {
            let value = match value.value() {
                Value::Bool(value) => value.into(),
                // As written: a double would lose digits.
                Value::Number(value) => serde_json::from_str(&value.to_string()).unwrap_or(Json::Null),
                Value::Text(value) => value.into(),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    let origins: Map<String, Json> =
        rows.iter().map(|row| (row.name.trim().to_owned(), row.origin.as_str().into())).collect();
    let mut shown = match at {
        At::File { file, number } => json!({"file": file, "record": number}),
        At::Topic { topic, partition, offset } => json!({"topic": topic, "partition": partition, "offset": offset}),
    };
    let fields = json!({
        "element": event.origin.element.map(|element| element + 1),
        "customer_id": event.customer,
        "event": event.name,
        "time": event.at.0,
        "event_id": event.id,
        "source": event.source,
        "properties": properties,
        "origins": origins,
    });
    if let (Some(shown), Json::Object(fields)) = (shown.as_object_mut(), fields) {
        shown.extend(fields);
    }
    shown
}

fn as_json(tally: &Tally, source: &Source, events: Vec<Json>) -> Json {
    let skipped: Map<String, Json> =
        tally.skipped.iter().map(|(reason, count)| (reason.to_string(), (*count).into())).collect();
    let refused: Map<String, Json> = tally
        .refused
        .iter()
        .map(|((_, reason), refused)| {
            let (details, others) = refused.commonest(DETAILS_SHOWN);
            let detail =
                |detail: &&Detail| json!({"detail": detail.text, "records": detail.records, "first": detail.place});
            let details: Vec<Json> = details.iter().map(detail).collect();
            ((*reason).to_owned(), json!({"records": refused.records, "details": details, "others": others}))
        })
        .collect();
    let of = |name: &str| tally.properties.get(name).copied().unwrap_or(0);
    let properties: Map<String, Json> =
        source.properties.iter().map(|property| (property.name.clone(), of(&property.name).into())).collect();
    json!({
        "source": source.name,
        "first_events": events,
        "read": tally.read,
        "mapped": tally.mapped,
        "events": tally.events,
        "skipped": skipped,
        "refused": refused,
        "properties": properties,
        "unusable_values": tally.unusable_values(),
        "unusable": tally.unusable,
        "ids_by_hash": tally.hashed,
        "headers": tally.headers,
        "absent_paths": tally.absent,
    })
}

fn summary(tally: &Tally, source: &Source, out: &mut impl Write) -> io::Result<()> {
    let width = grouped(tally.read).len();
    let mut line = |count: u64, words: &str| writeln!(out, "{:>width$}  {words}", grouped(count));
    line(tally.read, &format!("read with the source {}", source.name))?;
    let ids = match tally.hashed {
        0 => String::new(),
        hashed => format!(", {} of them with a hash for an id", grouped(hashed)),
    };
    line(tally.mapped, &format!("mapped to {}{ids}", counted(tally.events, "event", "events")))?;
    line(tally.skipped_records(), "skipped")?;
    for (reason, count) in &tally.skipped {
        let why = match reason {
            Skip::NoCustomer => format!(": nothing at {}", texts(&source.customer)),
            _ => String::new(),
        };
        line(*count, &format!("  {reason}{why}"))?;
    }
    line(tally.refused_records(), "refused")?;
    for ((_, reason), refused) in &tally.refused {
        let (details, others) = refused.commonest(DETAILS_SHOWN);
        if let ([only], 0) = (details.as_slice(), others) {
            line(refused.records, &format!("  {reason}: {} ({})", only.text, only.place))?;
            continue;
        }
        line(refused.records, &format!("  {reason}"))?;
        for detail in details {
            line(detail.records, &format!("    {} (first in {})", detail.text, detail.place))?;
        }
        if others > 0 {
            line(others, "    with other details")?;
        }
    }
    if !source.properties.is_empty() && tally.events > 0 {
        writeln!(out, "\nEvents with each property")?;
        for property in &source.properties {
            let count = tally.properties.get(&property.name).copied().unwrap_or(0);
            writeln!(out, "{:>width$}  {} from {}", grouped(count), property.name, property.path.text)?;
        }
    }
    if !tally.unusable.is_empty() {
        writeln!(out, "\nValues of no use: a record, a list, bytes, or a text that is no number")?;
        for property in &source.properties {
            if let Some(count) = tally.unusable.get(&property.name) {
                writeln!(out, "{:>width$}  {} from {}", grouped(*count), property.name, property.path.text)?;
            }
        }
    }
    if !tally.headers.is_empty() {
        writeln!(out, "\nRecords with each header")?;
        for (path, count) in &tally.headers {
            writeln!(out, "{:>width$}  {path}", grouped(*count))?;
        }
    }
    if !tally.absent.is_empty() {
        writeln!(out, "\nPaths that the schema does not have")?;
    }
    tally.absent.iter().try_for_each(|(path, instead)| writeln!(out, "  {path}: {instead}"))
}
