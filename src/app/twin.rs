//! Two processes under one `kafka.instance_id`: the broker lets the newer one in and shuts the older one out, so two that
//! are started again and again would take turns for ever.
//!
//! On one `state.dir` the older one stays: a lock on a file there, which the system takes back with the process that holds
//! it however that ends, keeps the newer one from joining at all. On different ones neither can tell whether the other is
//! alive or was just killed, and a start after a kill must not wait for a session to end; so the newer one wins. The
//! older one ends, leaves word of it in its `state.dir`, and while that is there it does not join again before the group
//! has no member of its name any more.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ending::Ending;
use super::failure::Failure;
use crate::kafka::{self, Admin, Brokers};
use crate::metrics::{Health, Wait, WaitCause};
use crate::settings::{Loaded, Settings};
use crate::shutdown::Shutdown;

/// A process that is told to stop needs up to 9 s: whoever starts the next one need not wait for it.
const LOCK_WITHIN: Duration = Duration::from_secs(12);
/// Between two tries to take the lock.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// On top of a session, for the coordinator to notice its end.
const SESSION_MARGIN: Duration = Duration::from_secs(5);
/// Between two looks at who is a member.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(5);

/// Our name is ours alone on this machine as long as this is held.
pub(super) struct Alone {
    _lock: Option<File>,
}

fn path(settings: &Settings, suffix: &str) -> PathBuf {
    let kafka = &settings.kafka;
    settings.state.dir.join(&kafka.group_id).join(format!(".{}.{suffix}", kafka.instance_id))
}

/// Takes the lock, waiting for a process that is just ending. `None`: told to stop meanwhile.
///
/// # Errors
/// Another process holds it.
pub(super) fn lock(loaded: &Loaded, health: &Health, shutdown: &Shutdown) -> Result<Option<Alone>, Failure> {
    let path = path(&loaded.settings, "lock");
    let id = &loaded.settings.kafka.instance_id;
    let opened = path.parent().map_or(Ok(()), fs::create_dir_all);
    let opened = opened.and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(&path));
    // A disk that cannot be written to is not this lock's to judge.
    let Ok(file) = opened else { return Ok(Some(Alone { _lock: None })) };
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => {
                health.resume(WaitCause::Group, None);
                return Ok(Some(Alone { _lock: Some(file) }));
            }
            // Some file systems know no locks.
            Err(TryLockError::Error(_)) => return Ok(Some(Alone { _lock: None })),
            Err(TryLockError::WouldBlock) if shutdown.is_requested() => return Ok(None),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WITHIN => {
                let detail =
                    format!("a process with the same kafka.instance_id, {id}, and the same state.dir still runs");
                health.wait(Wait { cause: WaitCause::Group, partition: None, detail });
                std::thread::sleep(RETRY_EVERY);
            }
            Err(TryLockError::WouldBlock) => {
                let problem = format!(
                    "{id:?} is the name of a process that runs on the same state.dir ({} is locked); give each process \
                     its own kafka.instance_id and state.dir",
                    path.display()
                );
                return Err(refusal(loaded, problem));
            }
        }
    }
}

/// Leaves word that another process under our name has shut this one out.
pub(super) fn shut_out(settings: &Settings) {
    if let Err(error) = fs::write(path(settings, "fenced"), "") {
        tracing::warn!(%error, "It cannot be noted that another process has the same kafka.instance_id.");
    }
}

/// After this process was shut out: waits until whoever did it is no member of the group any more, or a session is over.
///
/// # Errors
/// It is a member for longer than a session: it lives.
pub(super) fn check(loaded: &Loaded, brokers: &Brokers, health: &Health, shutdown: &Shutdown) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let word = path(settings, "fenced");
    if !word.exists() {
        return Ok(());
    }
    let admin = Admin::new(&settings.kafka, brokers)?;
    let limit = settings.kafka.session() + SESSION_MARGIN;
    let id = &settings.kafka.instance_id;
    let started = Instant::now();
    while !shutdown.is_requested() {
        match admin.has_member(&settings.kafka, settings.lanes, ASK) {
            Ok(true) if started.elapsed() > limit => {
                return Err(refusal(
                    loaded,
                    format!(
                        "{id:?} is the name of another process that is a member of the group and has shut this one out; give \
                         each process its own"
                    ),
                ));
            }
            Ok(true) => {
                let detail = format!(
                    "another process named {id} shut this one out, and is a member of the group; if it is gone, its session \
                     ends within {} s",
                    limit.as_secs()
                );
                health.wait(Wait { cause: WaitCause::Group, partition: None, detail });
                std::thread::sleep(LOOK_EVERY);
            }
            Ok(false) => {
                fs::remove_file(&word).ok();
                break;
            }
            // Whoever cannot ask learns it by joining.
            Err(kafka::Failure::Retry(_)) => break,
            Err(failure) => return Err(failure.into()),
        }
    }
    health.resume(WaitCause::Group, None);
    Ok(())
}

fn refusal(loaded: &Loaded, problem: String) -> Failure {
    Failure::Ended(Ending::Twin, loaded.refusal("kafka.instance_id", problem).to_string())
}
