//! Keeps the rules up to date: follows the rules topic, watches the file, accepts posted rules.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Moment};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use super::ending::Ending;
use super::failure::Failure;
use super::last_rules_file::LastRulesFile;
use super::pause::{self, pause};
use super::rules_file::RulesFile;
use super::rules_topic::{RulesTopic, Unwritten, Written};
use super::rules_watch::{FileCheck, Signature, Watch};
use super::sources_keeper::SourcesKeeper;
use crate::admin::{PostOutcome, Posted};
use crate::kafka;
use crate::lane::Rulebook;
use crate::metrics::{Health, Metrics, Retry, Wait, WaitCause};
use crate::rules::{self, RuleError, RuleSet, TEXT_BYTES_MAX};
use crate::settings::Loaded;
use crate::shutdown::Shutdown;

/// How often posted rules are checked.
const TURN: Duration = Duration::from_millis(100);
/// How often the topic and the file are checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What to do at the start with a rules file that is not the newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// `--accept-rules`: make it the next version, whatever it is.
    Accept,
    /// What a running process would have done: the usual roll-out is a new file and a restart.
    AsWhileRunning,
}

/// The state of the keeper thread.
pub(super) struct Keeper {
    topic: RulesTopic,
    book: Arc<Rulebook>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    file: PathBuf,
    /// The author of versions written here.
    author: String,
    said_foreign: bool,
    watch: Watch,
    seen: LastRulesFile,
    /// Must an edit of the file that removes most cohorts be confirmed?
    confirm_removal: bool,
    /// The fingerprint of the edit that waits for that.
    unconfirmed: Option<String>,
    /// The sources, where they are gathered.
    sources: Option<SourcesKeeper>,
}

impl Keeper {
    /// Reads all versions, and determines the one in force: the newest, or the file as the first or, if it is accepted,
    /// the next one. `None`: stopped while waiting for a broker.
    pub(super) fn start(
        loaded: &Loaded,
        file: RulesFile,
        sources: Option<SourcesKeeper>,
        edit: Edit,
        topic: RulesTopic,
        views: (Arc<Rulebook>, Arc<Metrics>, Arc<Health>),
        shutdown: &Shutdown,
    ) -> Result<Option<Self>, Failure> {
        let (book, metrics, health) = views;
        let path = loaded.settings.rules.file.clone();
        let watch = Watch::new(Signature::of(&path));
        let author = loaded.settings.kafka.instance_id.clone();
        let mut backoff = pause::backoff();
        let confirm_removal = loaded.settings.rules.confirm_removal;
        let mut keeper = Self {
            topic,
            book,
            metrics,
            health,
            file: path,
            author,
            said_foreign: false,
            watch,
            seen: LastRulesFile::open(&loaded.settings),
            confirm_removal,
            unconfirmed: None,
            sources,
        };
        loop {
            match keeper.settle(loaded, &file, edit) {
                Ok(()) => break,
                Err(Problem::Waiting(detail)) => {
                    tracing::warn!(reason = detail, "The topic of the rules cannot be read yet.");
                    keeper.health.wait(Wait { cause: WaitCause::Rules, partition: None, detail });
                }
                Err(Problem::Refused(failure)) => return Err(failure),
            }
            keeper.metrics.retries(Retry::Rules).inc();
            if !pause(&mut backoff, shutdown) {
                return Ok(None);
            }
        }
        keeper.health.resume(WaitCause::Rules, None);
        keeper.book.get(keeper.book.newest())?;
        keeper.book.replace_newest(Arc::clone(&file.rules));
        Ok(Some(keeper))
    }

    fn settle(&mut self, loaded: &Loaded, file: &RulesFile, edit: Edit) -> Result<(), Problem> {
        let book = Arc::clone(&self.book);
        let mut add = |written: Written| {
            let joined = written.joined_events();
            book.add(written.version, &written.fingerprint, written.text, joined, None);
        };
        self.topic.read(&mut add)?;
        if let Some(problem) = self.topic.foreign() {
            return Err(Problem::Refused(Failure::Ended(
                Ending::Rules,
                loaded.refusal("topics.rules", problem).to_string(),
            )));
        }
        if let Some(sources) = &mut self.sources {
            sources.settle(&mut self.topic, &mut add)?.map_err(Problem::Refused)?;
        }
        let fingerprint = &file.rules.fingerprint;
        let newest = self.topic.newest().map(|(version, fingerprint)| (version, fingerprint.to_owned()));
        let is_newest = newest.as_ref().is_some_and(|(_, newest)| newest == fingerprint);
        if !is_newest && edit == Edit::AsWhileRunning {
            if let (Some(older), Some((newest, _)), false) =
                (book.number_of(fingerprint), &newest, self.seen.differs_from(fingerprint))
            {
                tracing::warn!(
                    file = file.name,
                    file_version = older,
                    version = newest,
                    "The rules file is an older version than the one in force, and was not edited since it was read here; \
                     --accept-rules would go back to it."
                );
                self.seen.note(fingerprint);
                return Ok(());
            }
            if self.needs_confirmation(&file.name, &file.rules) {
                return Ok(());
            }
        }
        if !is_newest {
            let author = format!("{} ({})", self.author, file.name);
            let (version, _) = self.topic.write(&file.text, fingerprint, &author, &mut add)?;
            tracing::info!(version, fingerprint, "The rules file is in force.");
        }
        self.seen.note(fingerprint);
        if let Some(sources) = &self.sources {
            // Also for a process that ended before it had said so. Nothing has occurred here yet.
            sources.write_joined(&mut self.topic, &mut add, &|_| None)?;
        }
        Ok(())
    }

    /// Runs until stopped.
    pub(super) fn run(mut self, mut posts: Receiver<Posted>, runtime: &Handle, shutdown: &Shutdown) {
        let asked = hangups(runtime);
        let mut looked = Moment::now();
        while !shutdown.is_requested() {
            std::thread::sleep(TURN);
            while let Ok(post) = posts.try_recv() {
                let Some((text, answer)) = post.begin() else { continue };
                // The client may be gone.
                answer.send(self.propose("POST /rules", &text)).ok();
            }
            if asked.swap(false, Ordering::Relaxed) {
                self.watch.force();
            } else if looked.elapsed() < LOOK_EVERY {
                continue;
            }
            looked = Moment::now();
            self.look_at_file();
            match self.follow() {
                Ok(()) => {
                    self.look_at_sources();
                    self.warn_of_foreign();
                    self.health.resume(WaitCause::Rules, None);
                    self.book.mark_current();
                }
                // Other parts report that brokers are away.
                Err(failure) if failure.cause().kind == kafka::Kind::TimedOut => {
                    let detail = failure.cause().text.clone();
                    self.health.wait(Wait { cause: WaitCause::Rules, partition: None, detail });
                    self.book.mark_behind();
                }
                Err(failure) => tracing::debug!(reason = %failure, "The topic of the rules."),
            }
        }
    }

    /// Warns once that another group writes into the rules topic.
    fn warn_of_foreign(&mut self) {
        let Some(group) = self.topic.foreign().filter(|_| !self.said_foreign) else { return };
        self.said_foreign = true;
        tracing::error!(
            group,
            "Another group writes its rules into the topic of this one's; they are passed over. Give each group a topics.rules \
             of its own."
        );
    }

    fn look_at_sources(&mut self) {
        let Self { topic, book, metrics, health, sources, .. } = self;
        if let Some(sources) = sources {
            let occurred = |name: &str| book.has_occurred(name);
            sources.look(topic, &mut |written| add(book, metrics, health, written), &occurred);
        }
    }

    fn follow(&mut self) -> Result<(), kafka::Failure> {
        let Self { topic, book, metrics, health, .. } = self;
        topic.read(&mut |written| add(book, metrics, health, written))
    }

    /// Reads the file if it differs from the last one read, and is complete.
    fn look_at_file(&mut self) {
        let name = self.file.display().to_string();
        match self.watch.check(Signature::of(&self.file)) {
            FileCheck::Nothing => return,
            FileCheck::Changed => {}
            FileCheck::Gone => {
                let problem = stays(&format!("{name} is missing"), &self.book);
                tracing::warn!(file = name, "The rules file is missing, which changes nothing: {problem}.");
                return self.health.set_rules_problem(Some(problem));
            }
            FileCheck::Back => {
                tracing::info!(file = name, "The rules file is back.");
                return self.health.set_rules_problem(None);
            }
        }
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) if self.watch.is_still(Signature::of(&self.file).as_ref()) => text,
            Ok(_) => return,
            Err(error) => {
                self.watch.took();
                return self.reject(&name, &[error.to_string()]);
            }
        };
        if self.removes_most(&name, &text) {
            return self.watch.took();
        }
        match self.propose(&name, &text) {
            // Kafka is away: retried at the next check.
            PostOutcome::Unavailable(reason) | PostOutcome::Unknown(reason) => {
                tracing::warn!(reason, "An edit of the rules waits for Kafka.")
            }
            ruling => {
                if let PostOutcome::InForce { fingerprint, .. } = ruling {
                    self.seen.note(&fingerprint);
                }
                self.unconfirmed = None;
                self.watch.took();
            }
        }
    }

    fn removes_most(&mut self, name: &str, text: &str) -> bool {
        check(name, text).is_ok_and(|rules| self.needs_confirmation(name, &rules))
    }

    /// Does this file lack most of the cohorts in force, so that it must be confirmed first? Half a file may be as
    /// valid as a whole one.
    fn needs_confirmation(&mut self, name: &str, rules: &RuleSet) -> bool {
        // Rules that this release does not support cannot be compared.
        let Some(in_force) = self.book.get(self.book.newest()).ok().flatten() else { return false };
        let Some(removed) = most_removed(&in_force.rules, rules).filter(|_| self.confirm_removal) else {
            return false;
        };
        let cohorts = in_force.rules.cohorts.len();
        let known = self.unconfirmed.replace(rules.fingerprint.clone()).as_ref() == Some(&rules.fingerprint);
        if known && self.watch.is_forced() {
            return false;
        }
        if !known {
            tracing::warn!(
                file = name,
                removed,
                cohorts,
                "The rules file has lost most of its cohorts. Nothing is changed until SIGHUP confirms it; \
                 rules.confirm_removal = false takes such an edit up like any other."
            );
            let problem = format!("{name} has lost {removed} of {cohorts} cohorts, and SIGHUP has not confirmed it");
            self.health.set_rules_problem(Some(stays(&problem, &self.book)));
        }
        true
    }

    /// Makes a text the next version, if it is valid.
    fn propose(&mut self, name: &str, text: &str) -> PostOutcome {
        let rules = match check(name, text) {
            Ok(rules) => rules,
            Err(errors) => {
                self.reject(name, &errors.lines);
                return PostOutcome::Refused(errors.shown);
            }
        };
        let author = format!("{} ({name})", self.author);
        let Self { topic, book, metrics, health, .. } = self;
        let mut take = |written| add(book, metrics, health, written);
        let written = topic.write(text, &rules.fingerprint, &author, &mut take);
        match written {
            Ok((version, new)) => {
                let fingerprint = rules.fingerprint;
                if new {
                    tracing::info!(version, fingerprint, from = name, "New rules; each partition migrates to them.");
                } else {
                    tracing::info!(
                        version,
                        from = name,
                        "The rules decide as before; only names, owners or actions have changed."
                    );
                }
                self.health.set_rules_problem(None);
                PostOutcome::InForce { version, fingerprint, new }
            }
            Err(Unwritten { failure, was_sent: true }) => PostOutcome::Unknown(failure.to_string()),
            Err(Unwritten { failure, was_sent: false }) => PostOutcome::Unavailable(failure.to_string()),
        }
    }

    fn reject(&self, name: &str, errors: &[String]) {
        for error in errors {
            tracing::error!(from = name, "The edit of the rules is refused: {error}");
        }
        self.metrics.rules_rejected.inc();
        let problem = format!("an edit of the rules was refused: {}", first_of(errors));
        self.health.set_rules_problem(Some(stays(&problem, &self.book)));
    }
}

enum Problem {
    Waiting(String),
    Refused(Failure),
}

impl From<Unwritten> for Problem {
    fn from(unwritten: Unwritten) -> Self {
        unwritten.failure.into()
    }
}

impl From<kafka::Failure> for Problem {
    fn from(failure: kafka::Failure) -> Self {
        match failure {
            kafka::Failure::Retry(cause) => Self::Waiting(cause.text),
            failure => Self::Refused(failure.into()),
        }
    }
}

/// The first of several mistakes, and how many there are.
fn first_of(mistakes: &[String]) -> String {
    match mistakes {
        [] => String::new(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first} (and {} more)", more.len()),
    }
}

fn stays(problem: &str, book: &Rulebook) -> String {
    format!("{problem}; version {} stays in force", book.newest())
}

/// Adds a version that was written here or by another process. One that this release does not support is not loaded.
fn add(book: &Rulebook, metrics: &Metrics, health: &Health, written: Written) {
    let joined = written.joined_events();
    let Written { version, fingerprint, author, text, .. } = written;
    match rules::load(&format!("version {version}"), &text) {
        Ok(rules) => {
            tracing::info!(version, fingerprint, author, "A new version of the rules.");
            book.add(version, &fingerprint, text, joined, Some(Arc::new(rules)));
            health.set_rules_problem(None);
        }
        Err(errors) => {
            metrics.rules_rejected.inc();
            let mistakes: Vec<String> = errors.iter().map(line).collect();
            for mistake in &mistakes {
                tracing::error!(version, author, "This release does not support these rules: {mistake}");
            }
            let problem = format!("this release does not support the rules of {author}: {}", first_of(&mistakes));
            health.set_rules_problem(Some(stays(&problem, book)));
        }
    }
}

/// Mistakes, one per line and as shown to people.
struct Mistakes {
    lines: Vec<String>,
    shown: String,
}

fn check(name: &str, text: &str) -> Result<RuleSet, Mistakes> {
    if text.len() > TEXT_BYTES_MAX {
        let problem = format!("{} bytes are more than {TEXT_BYTES_MAX}", text.len());
        return Err(Mistakes { lines: vec![problem.clone()], shown: problem });
    }
    rules::load(name, text).map_err(|errors| Mistakes {
        lines: errors.iter().map(line).collect(),
        shown: errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"),
    })
}

fn line(error: &RuleError) -> String {
    let RuleError { file, line, column, message, .. } = error;
    let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{file}:{line}:{column}: {message}{hint}")
}

/// The number of cohorts missing from `new`, if that is more than half of all and they were not replaced by others.
fn most_removed(old: &RuleSet, new: &RuleSet) -> Option<usize> {
    let missing = |of: &RuleSet, from: &RuleSet| {
        let has = |name: &str| from.cohorts.iter().any(|cohort| cohort.name == name);
        of.cohorts.iter().filter(|cohort| !has(&cohort.name)).count()
    };
    let removed = missing(old, new);
    (removed.saturating_sub(missing(new, old)) * 2 > old.cohorts.len()).then_some(removed)
}

/// Set by each SIGHUP.
fn hangups(runtime: &Handle) -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    let _runtime = runtime.enter();
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            let asked = Arc::clone(&asked);
            runtime.spawn(async move {
                while hangup.recv().await.is_some() {
                    asked.store(true, Ordering::Relaxed);
                }
            });
        }
        Err(error) => tracing::warn!(%error, "Handling SIGHUP failed; the file is polled all the same."),
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::most_removed;
    use crate::rules::load;

    #[test]
    fn half_a_file_loses_most_cohorts_and_a_renamed_one_none() {
        let rules = |names: &[&str]| {
            let cohort = |name: &&str| format!("[cohorts.{name}]\nwho = \"did visit in the last 1 day\"\n");
            load("rules.toml", &names.iter().map(cohort).collect::<String>()).unwrap()
        };
        let removed = |old: &[&str], new: &[&str]| most_removed(&rules(old), &rules(new));
        assert_eq!(removed(&["a", "b", "c", "d"], &["a"]), Some(3));
        assert_eq!(removed(&["a", "b", "c", "d"], &["a", "b"]), None);
        assert_eq!(removed(&["a", "b", "c"], &["a"]), Some(2));
        assert_eq!(removed(&["a"], &["b"]), None);
        assert_eq!(removed(&["a", "b"], &["c", "d", "e"]), None);
        assert_eq!(removed(&["a"], &["a", "b"]), None);
    }
}
