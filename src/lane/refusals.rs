//! Says in the log what is set aside: of each kind of refusal the first one at once, then seldom how many more there were.
//!
//! A source that sends rubbish must not fill the log, and one whose every record is refused must not do so unnoticed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use crate::codec::{Reader, SchemaKey};
use crate::event::{DeadLetterReason, Vocabulary};

/// What in particular is wrong, in words without anything of the record.
pub(super) type Detail = Cow<'static, str>;

/// Between two lines about the same kind.
const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// Kinds of one reason that are told apart; those after them are taken together.
const KINDS_MAX: usize = 16;

/// The kinds seen so far, of all partitions of this process.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    kinds: Mutex<BTreeMap<DeadLetterReason, Vec<Kind>>>,
}

#[derive(Debug)]
struct Kind {
    detail: Detail,
    said: Moment,
    /// Records since then.
    more: u64,
}

impl Refusals {
    /// A record at this place is set aside.
    pub(super) fn refused(&self, reason: DeadLetterReason, detail: &Detail, partition: i32, offset: i64) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let of_reason = kinds.entry(reason).or_default();
        let known = of_reason.iter().position(|kind| kind.detail == *detail);
        let last = of_reason.len() == KINDS_MAX;
        if let Some(place) = known.or(last.then_some(KINDS_MAX - 1)) {
            return of_reason[place].again(reason, partition, offset);
        }
        let detail = match of_reason.len() + 1 {
            KINDS_MAX => "of this reason there are many kinds".into(),
            _ => detail.clone(),
        };
        tracing::warn!(%reason, partition, offset, "A record is set aside as a dead letter: {detail}.");
        of_reason.push(Kind { detail, said: Moment::now(), more: 0 });
    }
}

impl Kind {
    fn again(&mut self, reason: DeadLetterReason, partition: i32, offset: i64) {
        self.more += 1;
        if self.said.elapsed() < AGAIN_AFTER {
            return;
        }
        let (records, detail) = (self.more, &self.detail);
        tracing::warn!(%reason, records, partition, offset, "More records were set aside, the last one here: {detail}.");
        (self.said, self.more) = (Moment::now(), 0);
    }
}

/// Says once of each schema which of its fields are passed over: what they say is lost, and nothing else would show it.
pub(super) fn say_what_is_not_read(reader: &Reader, schema: SchemaKey, vocabulary: &Vocabulary) {
    let Some(fields) = reader.unread_unsaid() else { return };
    let used = fields.names().iter().filter(|name| vocabulary.property(name).is_some());
    let used: Vec<&str> = used.map(String::as_str).collect();
    match used.as_slice() {
        [] => tracing::warn!("Fields of {schema} are not read: {fields}; put them into properties."),
        used => {
            let used = used.join(", ");
            tracing::warn!(
                "Fields of {schema} are not read: {fields}; put them into properties. The rules use {used}."
            );
        }
    }
}
