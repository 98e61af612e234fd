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
use crate::event::{Instant, Span};
use crate::rules::JoinedEvents;
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
    /// Something has joined that the rules do not know yet.
    has_joined: bool,
    max_lateness: Span,
    pub(super) book: Arc<SourcesBook>,
}

impl SourcesKeeper {
    pub(super) fn new(
        file: &SourcesFile,
        path: PathBuf,
        author: &str,
        own_topics: &[&str],
        max_lateness: Span,
    ) -> Self {
        Self {
            watch: Watch::new(Signature::of(&path)),
            file: path,
            name: file.name.clone(),
            text: file.text.clone(),
            author: author.to_owned(),
            own_topics: own_topics.iter().map(|topic| (*topic).to_owned()).collect(),
            seen: 0,
            has_joined: false,
            max_lateness,
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

    /// Reads the file if it was edited, and puts newer versions in force. `occurred`: has an event of this name been met?
    /// Where the edit was made here, events whose sources have joined are written, too.
    pub(super) fn look(
        &mut self,
        topic: &mut RulesTopic,
        take: &mut dyn FnMut(Written),
        occurred: &dyn Fn(&str) -> Option<bool>,
    ) {
        self.has_joined |= self.look_at_file(topic, take);
        if self.has_joined {
            match self.write_joined(topic, take, occurred) {
                Ok(()) => self.has_joined = false,
                // Tried again at the next look.
                Err(Unwritten { failure, .. }) => {
                    tracing::warn!(reason = %failure, "What has joined the sources waits for Kafka.");
                }
            }
        }
        if let Err(problem) = self.take_up(topic.sources()) {
            tracing::error!(
                version = self.seen,
                "The newest sources are not supported by this release, and stay without effect: {problem}"
            );
        }
    }

    /// Writes for the rules since when events have been read whose sources joined later.
    ///
    /// # Errors
    /// It may or may not be there: try again.
    pub(super) fn write_joined(
        &self,
        topic: &mut RulesTopic,
        take: &mut dyn FnMut(Written),
        occurred: &dyn Fn(&str) -> Option<bool>,
    ) -> Result<(), Unwritten> {
        let versions: Vec<(Instant, Document)> = (topic.sources().iter())
            .filter_map(|version| {
                Some((Instant::parse(&version.at)?, self.parse(&version.author, &version.text).ok()?))
            })
            .collect();
        let joined = joined(&versions, self.max_lateness, occurred);
        if !joined.is_empty() && topic.write_joined(&joined, &self.author, take)? {
            tracing::info!(
                events = ?joined.keys().collect::<Vec<_>>(),
                "These events have joined; rules about their absence count from then on."
            );
        }
        Ok(())
    }

    /// True: the edit is in force.
    fn look_at_file(&mut self, topic: &mut RulesTopic, take: &mut dyn FnMut(Written)) -> bool {
        if self.watch.check(Signature::of(&self.file)) != FileCheck::Changed {
            return false;
        }
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) if self.watch.is_still(Signature::of(&self.file).as_ref()) => text,
            Ok(_) => return false,
            Err(error) => {
                self.watch.took();
                tracing::error!(from = self.name, "The edit of the sources is refused: {error}");
                return false;
            }
        };
        if let Err(mistakes) = self.parse(&self.name, &text) {
            self.watch.took();
            tracing::error!(from = self.name, "The edit of the sources is refused: {mistakes}");
            return false;
        }
        let author = format!("{} ({})", self.author, self.name);
        match topic.write_sources(&text, &author, take) {
            Ok((version, is_new)) => {
                self.watch.took();
                self.text = text;
                if is_new {
                    tracing::info!(version, from = self.name, "New sources; records are mapped by them from here on.");
                }
                is_new
            }
            // Tried again at the next look.
            Err(Unwritten { failure, .. }) => {
                tracing::warn!(reason = %failure, "An edit of the sources waits for Kafka.");
                false
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

/// Since when the events are read whose sources joined later than the first ones, by all versions with the times at which
/// they were written. An event that an earlier source may have had under a name that it takes from its records counts as
/// known unless it is known not to have `occurred`.
fn joined(
    versions: &[(Instant, Document)],
    max_lateness: Span,
    occurred: &dyn Fn(&str) -> Option<bool>,
) -> JoinedEvents {
    let mut joined = JoinedEvents::new();
    let (mut names, mut topics, mut others) = (BTreeSet::new(), BTreeSet::new(), false);
    for (number, (written, document)) in versions.iter().enumerate() {
        let known = (names.clone(), topics.clone(), others);
        for source in &document.sources {
            let own = source.event_names();
            for name in own.named.iter().filter(|name| number > 0 && !known.0.contains(*name)) {
                if known.2 && occurred(name).unwrap_or(true) {
                    continue;
                }
                // A topic that joins is read from some time ago, one that is mapped otherwise from where it is read.
                let is_new = source.topics.iter().all(|topic| !known.1.contains(topic));
                let begins = if is_new { *written - max_lateness } else { *written };
                let begins = source.from.map_or(begins, |from| from.max(begins));
                let earliest = joined.entry(name.clone()).or_insert(begins);
                *earliest = begins.min(*earliest);
            }
            names.extend(own.named);
            topics.extend(source.topics.iter().cloned());
            others |= own.others;
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::{Document, Instant, Span, joined, read};

    fn version(at: i64, sources: &[(&str, &str, &str)]) -> (Instant, Document) {
        let source = |(name, topic, event): &(&str, &str, &str)| {
            format!("[sources.{name}]\ntopic = '{topic}'\ncustomer = 'c'\ntime = 't'\nevent = {event}\n")
        };
        let text: String = sources.iter().map(source).collect();
        (Instant(at), read("s.toml", &text, &[]).unwrap())
    }

    #[test]
    fn events_are_read_from_when_their_first_source_joined() {
        let clicks = ("clicks", "clicks", "'visit'");
        let orders = ("orders", "orders", "{ field = 'kind', names = { paid = 'purchase', back = 'refund' } }");
        let first = version(1_000, &[clicks]);
        let all = |versions: &[(Instant, Document)]| -> Vec<(String, i64)> {
            joined(versions, Span(100), &|_| None).into_iter().map(|(name, at)| (name, at.0)).collect()
        };
        assert_eq!(all(std::slice::from_ref(&first)), []);
        let both = [first, version(5_000, &[clicks, orders])];
        assert_eq!(all(&both), [("purchase".to_owned(), 4_900), ("refund".to_owned(), 4_900)]);
        // A later source of the same event changes nothing; a name that a known topic gets begins with the edit.
        let web = ("web", "web", "'purchase'");
        let more = ("clicks", "clicks", "{ field = 'kind', names = { v = 'visit', l = 'login' } }");
        let three = [&both[..], &[version(9_000, &[more, orders, web])]].concat();
        let expected = [("login", 9_000), ("purchase", 4_900), ("refund", 4_900)];
        assert_eq!(all(&three), expected.map(|(name, at)| (name.to_owned(), at)));
    }

    #[test]
    fn an_event_that_any_source_may_have_had_counts_as_known_unless_it_never_occurred() {
        let any = ("any", "any", "{ field = 'kind' }");
        let versions = [version(1_000, &[any]), version(5_000, &[any, ("orders", "orders", "'purchase'")])];
        for (occurred, expected) in [(None, 0), (Some(true), 0), (Some(false), 1)] {
            assert_eq!(joined(&versions, Span(100), &|_| occurred).len(), expected, "{occurred:?}");
        }
    }
}
