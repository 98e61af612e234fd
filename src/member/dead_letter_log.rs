//! Logging dead letters: the first of each kind at once, then at intervals how many more there were, so that a bad
//! source is noticed without filling the log.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

/// Between two lines about the same kind.
const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// Kinds of one reason that are logged apart; further ones are counted together.
const KINDS_MAX: usize = 16;

/// The kinds seen so far, by reason. `D` says what is wrong, and is the same for all records of a kind.
#[derive(Debug)]
pub(crate) struct DeadLetterLog<D> {
    kinds: Mutex<BTreeMap<&'static str, Vec<Kind<D>>>>,
}

#[derive(Debug)]
struct Kind<D> {
    detail: D,
    logged: Moment,
    /// Records since then.
    more: u64,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
enum Line<D> {
    First(D),
    More(u64, D),
}

impl<D> Default for DeadLetterLog<D> {
    fn default() -> Self {
        Self { kinds: Mutex::default() }
    }
}

impl<D: Clone + PartialEq + Display + From<&'static str>> DeadLetterLog<D> {
    /// Logs one dead letter, with the place of the letter or of the record.
    pub(crate) fn note(&self, reason: &'static str, detail: &D, (topic, partition, offset): (&str, i32, i64)) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match count(kinds.entry(reason).or_default(), detail, Moment::now()) {
            Some(Line::First(detail)) => {
                tracing::warn!(reason, topic, partition, offset, "A record is set aside as a dead letter: {detail}.");
            }
            Some(Line::More(records, detail)) => tracing::warn!(
                reason,
                records,
                topic,
                partition,
                offset,
                "More records were set aside, the last one here: {detail}."
            ),
            None => {}
        }
    }
}

/// Counts one more record of a reason; returns the line to log, if any.
fn count<D: Clone + PartialEq + From<&'static str>>(
    of_reason: &mut Vec<Kind<D>>,
    detail: &D,
    now: Moment,
) -> Option<Line<D>> {
    let known = of_reason.iter().position(|kind| kind.detail == *detail);
    let last = of_reason.len() == KINDS_MAX;
    if let Some(place) = known.or(last.then_some(KINDS_MAX - 1)) {
        let kind = &mut of_reason[place];
        kind.more += 1;
        if now.duration_since(kind.logged) < AGAIN_AFTER {
            return None;
        }
        kind.logged = now;
        return Some(Line::More(std::mem::take(&mut kind.more), kind.detail.clone()));
    }
    let detail = match of_reason.len() + 1 {
        KINDS_MAX => "of this reason there are many kinds".into(),
        _ => detail.clone(),
    };
    of_reason.push(Kind { detail: detail.clone(), logged: now, more: 0 });
    Some(Line::First(detail))
}

#[cfg(test)]
mod tests {
    use super::{AGAIN_AFTER, KINDS_MAX, Line, Moment, count};

    #[test]
    fn dead_letters_of_a_kind_are_logged_at_once_and_then_counted() {
        let (mut kinds, start) = (Vec::new(), Moment::now());
        let (late, early) = (String::from("late"), String::from("early"));
        assert_eq!(count(&mut kinds, &late, start), Some(Line::First(late.clone())));
        assert_eq!(count(&mut kinds, &early, start), Some(Line::First(early)));
        assert_eq!(count(&mut kinds, &late, start + AGAIN_AFTER / 2), None);
        assert_eq!(count(&mut kinds, &late, start + AGAIN_AFTER), Some(Line::More(2, late.clone())));
        assert_eq!(count(&mut kinds, &late, start + AGAIN_AFTER), None);
    }

    #[test]
    fn of_very_many_kinds_the_last_ones_are_taken_together() {
        let (mut kinds, start) = (Vec::new(), Moment::now());
        let logged = (0..1_000).filter(|n| count(&mut kinds, &format!("schema {n}"), start).is_some()).count();
        assert_eq!((logged, kinds.len(), kinds[KINDS_MAX - 1].more), (KINDS_MAX, KINDS_MAX, 1_000 - KINDS_MAX as u64));
    }
}
