//! What the log says of dead letters, once they are written: of each kind the first one at once, then seldom how many more
//! there were.
//!
//! A source that sends rubbish must not fill the log, and one whose every record is refused must not do so unnoticed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use crate::codec::{Reader, SchemaKey};
use crate::event::{DeadLetterReason, Vocabulary};

/// What in particular is wrong, in words without anything of the record.
pub(in crate::lane) type Detail = Cow<'static, str>;

/// Between two lines about the same kind.
const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// Kinds of one reason that are told apart; those after them are taken together.
const KINDS_MAX: usize = 16;

/// A record that is among the dead letters of a batch.
pub(in crate::lane) struct SetAside {
    pub(in crate::lane) reason: DeadLetterReason,
    pub(in crate::lane) detail: Detail,
    pub(in crate::lane) offset: i64,
}

/// The kinds seen so far, of all partitions of this process.
#[derive(Debug, Default)]
pub(in crate::lane) struct Refusals {
    kinds: Mutex<BTreeMap<DeadLetterReason, Vec<Kind>>>,
}

#[derive(Debug)]
struct Kind {
    detail: Detail,
    said: Moment,
    /// Records since then.
    more: u64,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    First(Detail),
    More(u64, Detail),
}

impl Refusals {
    /// Records of a batch that counts went to the dead letters, which are in `topic`. Cheap where there are none.
    pub(in crate::lane) fn wrote(&self, topic: &str, partition: i32, letters: &[SetAside]) {
        if letters.is_empty() {
            return;
        }
        let now = Moment::now();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for SetAside { reason, detail, offset } in letters {
            match count(kinds.entry(*reason).or_default(), detail, now) {
                Some(Line::First(detail)) => {
                    tracing::warn!(%reason, topic, partition, offset, "A record is set aside as a dead letter: {detail}.");
                }
                Some(Line::More(records, detail)) => tracing::warn!(
                    %reason, records, topic, partition, offset,
                    "More records were set aside, the last one here: {detail}."
                ),
                None => {}
            }
        }
    }
}

/// Counts one more record of a reason; what is to be said of it.
fn count(of_reason: &mut Vec<Kind>, detail: &Detail, now: Moment) -> Option<Line> {
    let known = of_reason.iter().position(|kind| kind.detail == *detail);
    let last = of_reason.len() == KINDS_MAX;
    if let Some(place) = known.or(last.then_some(KINDS_MAX - 1)) {
        let kind = &mut of_reason[place];
        kind.more += 1;
        if now.duration_since(kind.said) < AGAIN_AFTER {
            return None;
        }
        kind.said = now;
        return Some(Line::More(std::mem::take(&mut kind.more), kind.detail.clone()));
    }
    let detail = match of_reason.len() + 1 {
        KINDS_MAX => "of this reason there are many kinds".into(),
        _ => detail.clone(),
    };
    of_reason.push(Kind { detail: detail.clone(), said: now, more: 0 });
    Some(Line::First(detail))
}

/// Says once of each schema which of its fields are passed over: what they say is lost, and nothing else would show it.
pub(in crate::lane) fn say_what_is_not_read(reader: &Reader, schema: SchemaKey, vocabulary: &Vocabulary) {
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

#[cfg(test)]
mod tests {
    use super::{AGAIN_AFTER, Detail, KINDS_MAX, Line, Moment, count};

    #[test]
    fn dead_letters_of_a_kind_are_said_at_once_and_then_added_up() {
        let (mut kinds, start) = (Vec::new(), Moment::now());
        let (late, early) = (Detail::from("late"), Detail::from("early"));
        assert_eq!(count(&mut kinds, &late, start), Some(Line::First(late.clone())));
        assert_eq!(count(&mut kinds, &early, start), Some(Line::First(early)));
        assert_eq!(count(&mut kinds, &late, start + AGAIN_AFTER / 2), None);
        assert_eq!(count(&mut kinds, &late, start + AGAIN_AFTER), Some(Line::More(2, late.clone())));
        assert_eq!(count(&mut kinds, &late, start + AGAIN_AFTER), None);
    }

    #[test]
    fn of_very_many_kinds_the_last_ones_are_taken_together() {
        let (mut kinds, start) = (Vec::new(), Moment::now());
        let said = (0..1_000).filter(|n| count(&mut kinds, &format!("schema {n}").into(), start).is_some()).count();
        assert_eq!((said, kinds.len(), kinds[KINDS_MAX - 1].more), (KINDS_MAX, KINDS_MAX, 1_000 - KINDS_MAX as u64));
    }
}
