//! The sources in force: the newest version in the rules topic, for all processes of the group. The sources file becomes
//! the next one when it is edited.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::rules_topic::{RulesTopic, Unwritten, Written, WrittenSources};
use super::rules_watch::{FileCheck, Signature, Watch};
use super::sources_file::SourcesFile;
use crate::sources::{Document, read};

/// One version.
#[derive(Debug)]
pub(super) struct SourcesVersion {
    pub(super) number: u64,
    pub(super) document: Document,
    /// Topics that the first version did not have: they only matter from when they joined.
    pub(super) joined_later: BTreeSet<String>,
}

/// The version in force, for the threads that gather.
#[derive(Debug, Default)]
pub(super) struct SourcesBook {
    /// The number of the version in force; 0: none.
    number: AtomicU64,
    newest: Mutex<Option<Arc<SourcesVersion>>>,
}

impl SourcesBook {
    /// Sources that do not change.
    pub(super) fn of(document: Document) -> Self {
        let book = Self::default();
        book.set(SourcesVersion { number: 1, document, joined_later: BTreeSet::new() });
        book
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(super) fn newest(&self) -> Option<Arc<SourcesVersion>> {
        self.lock().clone()
    }

    fn set(&self, version: SourcesVersion) {
        let number = version.number;
        *self.lock() = Some(Arc::new(version));
        self.number.store(number, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<SourcesVersion>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the sources up to date; part of the thread that keeps the rules.
pub(super) struct SourcesKeeper {
    file: PathBuf,
    name: String,
    /// The text of the file as last read.
    text: String,
    author: String,
    /// Topics that no source may read.
    own_topics: Vec<String>,
    watch: Watch,
    /// The newest version that was looked at, whether it can be used or not.
    seen: u64,
    pub(super) book: Arc<SourcesBook>,
}

impl SourcesKeeper {
    pub(super) fn new(file: &SourcesFile, path: PathBuf, author: &str, own_topics: &[&str]) -> Self {
        Self {
            watch: Watch::new(Signature::of(&path)),
            file: path,
            name: file.name.clone(),
            text: file.text.clone(),
            author: author.to_owned(),
            own_topics: own_topics.iter().map(|topic| (*topic).to_owned()).collect(),
            seen: 0,
            book: Arc::default(),
        }
    }

    /// At the start, once the topic was read: the file becomes the next version, unless it is one already. Then the newest
    /// version is in force.
    ///
    /// # Errors
    /// A version that this release does not support.
    pub(super) fn settle(
        &mut self,
        topic: &mut RulesTopic,
        take: &mut dyn FnMut(Written),
    ) -> Result<Result<(), Failure>, Unwritten> {
        let older = topic.sources().iter().rev().skip(1).find(|version| version.text == self.text);
        let is_newest = topic.sources().last().is_some_and(|newest| newest.text == self.text);
        match older.filter(|_| !is_newest) {
            Some(older) => tracing::warn!(
                file = self.name,
                file_version = older.version,
                version = topic.sources().last().map(|newest| newest.version),
                "The sources file is an older version than the one in force, which stays; edit it to go back to it."
            ),
            None => {
                let author = format!("{} ({})", self.author, self.name);
                let (version, is_new) = topic.write_sources(&self.text, &author, take)?;
                if is_new {
                    tracing::info!(version, "The sources file is in force.");
                }
            }
        }
        Ok(self.take_up(topic.sources()).map_err(|problem| {
            Failure::Configuration(format!("the sources in force cannot be used by this release: {problem}"))
        }))
    }

    /// Reads the file if it was edited, and puts newer versions in force.
    pub(super) fn look(&mut self, topic: &mut RulesTopic, take: &mut dyn FnMut(Written)) {
        self.look_at_file(topic, take);
        if let Err(problem) = self.take_up(topic.sources()) {
            tracing::error!(
                version = self.seen,
                "The newest sources are not supported by this release, and stay without effect: {problem}"
            );
        }
    }

    fn look_at_file(&mut self, topic: &mut RulesTopic, take: &mut dyn FnMut(Written)) {
        if self.watch.check(Signature::of(&self.file)) != FileCheck::Changed {
            return;
        }
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) if self.watch.is_still(Signature::of(&self.file).as_ref()) => text,
            Ok(_) => return,
            Err(error) => {
                self.watch.took();
                return tracing::error!(from = self.name, "The edit of the sources is refused: {error}");
            }
        };
        if let Err(mistakes) = self.parse(&self.name, &text) {
            self.watch.took();
            return tracing::error!(from = self.name, "The edit of the sources is refused: {mistakes}");
        }
        let author = format!("{} ({})", self.author, self.name);
        match topic.write_sources(&text, &author, take) {
            Ok((version, is_new)) => {
                self.watch.took();
                self.text = text;
                if is_new {
                    tracing::info!(version, from = self.name, "New sources; records are mapped by them from here on.");
                }
            }
            // Tried again at the next look.
            Err(Unwritten { failure, .. }) => {
                tracing::warn!(reason = %failure, "An edit of the sources waits for Kafka.");
            }
        }
    }

    /// Puts the newest version in force. `Err`: its first mistake.
    fn take_up(&mut self, versions: &[WrittenSources]) -> Result<(), String> {
        let Some(newest) = versions.last().filter(|newest| newest.version > self.seen) else { return Ok(()) };
        self.seen = newest.version;
        let document = self.parse(&newest.author, &newest.text)?;
        let topics = |document: &Document| -> BTreeSet<String> {
            document.sources.iter().flat_map(|source| source.topics.iter().cloned()).collect()
        };
        // A first version that this release does not support says nothing.
        let first = versions.first().and_then(|first| self.parse(&first.author, &first.text).ok());
        let first = first.map(|document| topics(&document)).unwrap_or_default();
        let joined_later = topics(&document).difference(&first).cloned().collect();
        self.book.set(SourcesVersion { number: newest.version, document, joined_later });
        Ok(())
    }

    fn parse(&self, name: &str, text: &str) -> Result<Document, String> {
        let own: Vec<&str> = self.own_topics.iter().map(String::as_str).collect();
        read(name, text, &own).map_err(|errors| {
            errors.first().map_or_else(String::new, |error| {
                let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
                format!("{}:{}:{}: {}{hint}", error.file, error.line, error.column, error.message)
            })
        })
    }
}
