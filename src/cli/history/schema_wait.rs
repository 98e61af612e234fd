//! Waits for schemas while a topic is read, and says so.

use std::time::{Duration, Instant};

use crate::app::Failure;
use crate::cli::progress::Progress;
use crate::codec::{FromSchema, Lookup, SchemaKey, Schemas};

/// How long the registry may give no answer before the command gives up.
const NO_ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longer waits are reported.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(1);
/// How often a schema that is being fetched is checked.
const LOOK: Duration = Duration::from_millis(5);

/// How long a command has waited for schemas that the registry lacks.
#[derive(Default)]
pub(in crate::cli) struct SchemaWait {
    waited: Duration,
}

impl SchemaWait {
    /// Waits for a schema, or until it is known not to exist. For schemas that the registry lacks, a command waits for
    /// at most `schemas.retry_for` in all, however many there are.
    ///
    /// # Errors
    /// A registry that gives no useful answer.
    pub(in crate::cli) fn wait_for<T: FromSchema>(
        &mut self,
        key: SchemaKey,
        schemas: &mut Schemas<T>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let retry_for = schemas.retry_for();
        let started = Instant::now();
        let (mut looked, mut announced) = (started, false);
        loop {
            let what = match schemas.lookup(key) {
                Lookup::Ready(_) | Lookup::NotFound { .. } | Lookup::Unusable(_) => return Ok(()),
                Lookup::Missing { .. } if self.waited >= retry_for => return Ok(()),
                Lookup::Missing { lacks, .. } => {
                    self.waited += looked.elapsed();
                    match lacks {
                        Some(lacks) => format!("{key}: {lacks}, and is asked again"),
                        None => format!("the schema registry does not know {key}, and is asked again"),
                    }
                }
                Lookup::Pending => format!("waiting for the schema registry's answer about {key}"),
                Lookup::NoAnswer { reason, .. } if started.elapsed() >= NO_ANSWER_MAX => {
                    return Err(Failure::Running(format!("{reason} (for {} s)", NO_ANSWER_MAX.as_secs())));
                }
                Lookup::NoAnswer { reason, .. } => {
                    format!("{reason}; trying again for {} s", NO_ANSWER_MAX.as_secs())
                }
            };
            looked = Instant::now();
            if !announced && started.elapsed() >= ANNOUNCED_AFTER {
                announced = true;
                progress.complain(&what);
            }
            std::thread::sleep(LOOK);
        }
    }
}
