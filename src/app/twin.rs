//! Two processes with one `kafka.instance_id`: the broker admits the newer one and fences the older one, so two that
//! are restarted again and again would alternate forever.
//!
//! With the same `state.dir` the older one stays: a file lock there, which the system releases when the process ends in
//! any way, prevents the newer one from joining at all. With different ones neither can tell whether the other is alive
//! or was just killed, and a start after a kill must not wait for a session timeout; so the newer one wins. The older
//! one exits, records that in its `state.dir`, and does not join again before the group has no member of its name any
//! more.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ending::Ending;
use super::failure::Failure;
use crate::kafka::{self, Admin, Brokers};
use crate::metrics::{Health, Wait, WaitCause};
use crate::settings::{Loaded, Settings};
use crate::shutdown::Shutdown;

/// A process needs up to 9 s to stop: a restart waits that long.
const LOCK_WITHIN: Duration = Duration::from_secs(12);
/// The pause between attempts to take the lock.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// In addition to a session, for the coordinator to notice its end.
const SESSION_MARGIN: Duration = Duration::from_secs(5);
/// How often the members are checked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);

/// While its lock is held no other process on this machine uses our name with this `state.dir`.
pub(super) struct Alone {
    /// `None`: locks are unavailable, no protection.
    _lock: Option<File>,
}

fn path(settings: &Settings, suffix: &str) -> PathBuf {
    let kafka = &settings.kafka;
    settings.state.dir.join(&kafka.group_id).join(format!(".{}.{suffix}", kafka.instance_id))
}

/// Takes the lock, waiting for a process that is stopping. `None`: a stop was requested while waiting.
///
/// # Errors
/// Another process holds it.
pub(super) fn lock(loaded: &Loaded, health: &Health, shutdown: &Shutdown) -> Result<Option<Alone>, Failure> {
    let path = path(&loaded.settings, "lock");
    let id = &loaded.settings.kafka.instance_id;
    let opened = path.parent().map_or(Ok(()), fs::create_dir_all);
    let opened = opened.and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(&path));
    // A read-only disk is reported elsewhere.
    let Ok(file) = opened else { return Ok(Some(Alone { _lock: None })) };
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => {
                health.resume(WaitCause::Group, None);
                return Ok(Some(Alone { _lock: Some(file) }));
            }
            // Some file systems have no locks.
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

/// Records that another process with our name has fenced this one.
pub(super) fn record_fenced(settings: &Settings) {
    if let Err(error) = fs::write(path(settings, "fenced"), "") {
        tracing::warn!(%error, "Recording that another process has the same kafka.instance_id failed.");
    }
}

/// After this process was fenced: waits until the other one is no longer a member of the group, or a session has
/// passed.
///
/// # Errors
/// It is a member for longer than a session, so it is alive.
pub(super) fn wait_until_twin_left(
    loaded: &Loaded,
    brokers: &Brokers,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let marker = path(settings, "fenced");
    if !marker.exists() {
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
                        "{id:?} is the name of another process that is a member of the group and has fenced this one; give \
                         each process its own"
                    ),
                ));
            }
            Ok(true) => {
                let detail = format!(
                    "another process named {id} has fenced this one, and is a member of the group; if it has ended, its session \
                     ends within {} s",
                    limit.as_secs()
                );
                health.wait(Wait { cause: WaitCause::Group, partition: None, detail });
                std::thread::sleep(LOOK_EVERY);
            }
            Ok(false) => {
                fs::remove_file(&marker).ok();
                break;
            }
            // If it is still there, joining the group will fail.
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
