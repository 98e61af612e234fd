//! The sources file: of the settings, or of a command.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::rules_file::mistakes;
use super::{Ending, Failure};
use crate::settings::Loaded;
use crate::sources::{Document, EventName, NoCustomer, Path as FieldPath, Source, read};

/// Its name beside the rules.
const NAME: &str = "sources.toml";

/// A sources file as written and checked.
#[derive(Debug)]
pub struct SourcesFile {
    /// As the operator named it.
    pub name: String,
    pub text: String,
    pub document: Document,
}

impl SourcesFile {
    /// The file that is `given`; else that of `gather.sources`; else the one beside the rules, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read; or every mistake in it, each with its line and a caret.
    pub fn beside(settings: &Loaded, given: Option<&Path>, rules: Option<&Path>) -> Result<Option<Self>, Failure> {
        let rules = rules.unwrap_or(&settings.settings.rules.file);
        let named = given.or(settings.settings.gather.sources.as_deref());
        let path: PathBuf = named.map_or_else(|| rules.with_file_name(NAME), Path::to_owned);
        if named.is_none() && !path.exists() {
            return Ok(None);
        }
        Self::load(settings, &path).map(Some)
    }

    /// The topics of all sources.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.document.sources.iter().flat_map(|source| source.topics.iter().cloned()).collect()
    }

    /// As [`beside`](Self::beside), where there must be one.
    ///
    /// # Errors
    /// As there, and that there is none.
    pub fn needed(settings: &Loaded, given: Option<&Path>, rules: Option<&Path>) -> Result<Self, Failure> {
        Self::beside(settings, given, rules)?.ok_or_else(|| {
            let beside = rules.unwrap_or(&settings.settings.rules.file).with_file_name(NAME);
            let text = format!("there is no sources file: give --sources FILE, or write {}", beside.display());
            Failure::Ended(Ending::Rules, text)
        })
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// As [`beside`](Self::beside).
    pub fn load(settings: &Loaded, path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let text = match error.kind() {
                ErrorKind::InvalidData => format!("{name}: is not text in UTF-8; save it as UTF-8"),
                _ => format!("{name}: cannot be read ({error}); check the path given with --sources"),
            };
            Failure::Ended(Ending::Rules, text)
        })?;
        let document = read(&name, &text, &own_topics(settings)).map_err(|errors| mistakes(path, &errors))?;
        Ok(Self { name, text, document })
    }

    /// The source of this name.
    ///
    /// # Errors
    /// There is none; with those that there are.
    pub fn source(&self, name: &str) -> Result<&Source, String> {
        self.document.source(name).ok_or_else(|| {
            let names: Vec<&str> = self.document.sources.iter().map(|source| source.name.as_str()).collect();
            let hint = match crate::rules::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", names.join(", ")),
            };
            format!("{} has no source {name}; {hint}", self.name)
        })
    }

    /// A few lines on each source.
    #[must_use]
    pub fn described(&self, settings: &Loaded) -> Vec<String> {
        let mut lines: Vec<String> = self.document.sources.iter().flat_map(described).collect();
        if settings.settings.gather.sources.is_none() {
            lines.push("`run` gathers them once gather.sources names this file.".to_owned());
        }
        lines
    }
}

/// The sources that `run` gathers; `None`: it reads its input directly.
///
/// # Errors
/// As [`SourcesFile::beside`].
pub fn of_run(settings: &Loaded) -> Result<Option<SourcesFile>, Failure> {
    settings.settings.gather.sources.as_deref().map(|path| SourcesFile::load(settings, path)).transpose()
}

/// The topics that this group writes.
#[must_use]
pub fn own_topics(settings: &Loaded) -> Vec<&str> {
    let topics = &settings.settings.topics;
    let others = [topics.rules.as_str(), &topics.events, &topics.marks];
    topics.outputs().into_iter().chain(others).collect()
}

fn described(source: &Source) -> Vec<String> {
    let preset = source.preset.map(|preset| format!(", preset {}", preset.word())).unwrap_or_default();
    let without = match source.no_customer {
        NoCustomer::Skip => "skipped without one",
        NoCustomer::DeadLetter => "a dead letter without one",
    };
    let id = match source.id.as_slice() {
        [] => "a hash of the record".to_owned(),
        paths => listed(paths),
    };
    let events = match (&source.event, source.kinds.len()) {
        (Some(EventName::Constant(name)), 0) => name.clone(),
        (Some(EventName::Field { paths, .. }), 0) => format!("by {}", listed(paths)),
        (_, 1) => "of one kind of record".to_owned(),
        (_, kinds) => format!("of {kinds} kinds of records"),
    };
    let each = source.each.as_ref().map(|each| format!(", one for each of {}", each.text)).unwrap_or_default();
    let mut lines = vec![
        format!("{}: {} ({}{preset})", source.name, source.topics.join(", "), source.format.word()),
        format!("  customer {} ({without}); time {}; id {id}", listed(&source.customer), listed(&source.time.paths)),
        format!("  event {events}{each}; {} properties", source.properties.len()),
    ];
    if let Some(from) = source.from {
        lines.push(format!("  without what was written before {from}"));
    }
    if let Some(every) = source.expect_every {
        let every = every.0 / 1_000;
        lines.push(format!("  when it has said nothing for {every} s, nobody's silence counts until it does"));
    }
    if source.kinds.iter().any(|kind| kind.became.is_some()) {
        lines.push(
            "  `became` needs the row before a change: in Postgres updates have none without REPLICA IDENTITY FULL,"
                .to_owned(),
        );
        lines.push("  and are then refused as no_before".to_owned());
    }
    lines
}

/// `buyer.id, else buyer.email`
fn listed(paths: &[FieldPath]) -> String {
    let texts: Vec<&str> = paths.iter().map(|path| path.text.as_str()).collect();
    texts.join(", else ")
}
