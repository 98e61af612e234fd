//! The marks of all partitions together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant as Moment;

use serde::de::DeserializeOwned;

use super::mark::{Ignored, Mark, Place, read};
use crate::event::Instant;

/// What the marks of all partitions of all sources say together, as of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The earliest of all `complete_to`: what comes before it is complete. `Instant::MIN` while a partition has no mark.
    pub complete_to: Instant,
    /// Has every partition been read to its end once?
    pub caught_up: bool,
    /// Does the time of every partition follow the wall clock?
    pub live: bool,
    /// When this was known. Everything before `complete_to` was written before then.
    pub known_at: Moment,
}

/// The marks as last read, shared by all threads of a process.
#[derive(Debug, Default)]
pub struct Marks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The number of partitions of each topic that is gathered.
    topics: BTreeMap<String, i32>,
    marks: BTreeMap<Place, Mark>,
    /// Topics that are not waited for.
    ignored: Arc<BTreeSet<String>>,
    /// The offset up to which the topic of the marks was read.
    read_to: i64,
    /// The group of a mark that another one wrote.
    foreign: Option<String>,
    view: Option<View>,
}

/// One record of the topic of the marks. `None`: deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    Mark(Place, Option<Mark>),
    /// Of a topic.
    Ignored(String, Option<Ignored>),
}

impl Saying {
    /// What a record says; `None`: it is of something else.
    #[must_use]
    pub fn read(key: &[u8], value: Option<&[u8]>) -> Option<Self> {
        if let Some(topic) = Ignored::topic_of(key) {
            return Some(Self::Ignored(topic.to_owned(), content(value)?));
        }
        Some(Self::Mark(Place::read(key)?, content(value)?))
    }
}

/// The inner `None`: deleted; the outer one: something else, or of a later release.
fn content<T: DeserializeOwned>(value: Option<&[u8]>) -> Option<Option<T>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

impl Marks {
    /// The topics that are gathered, each with its number of partitions. Marks of others are passed over.
    pub fn expect(&self, topics: BTreeMap<String, i32>) {
        let mut state = self.lock();
        if state.topics != topics {
            state.topics = topics;
            state.look();
        }
    }

    /// The number of all partitions that are gathered.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a source")]
    pub fn len(&self) -> usize {
        self.lock().topics.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum()
    }

    /// Applies records that were read. `read_to`: up to where the topic was read. `group`: ours.
    pub fn take_up(&self, records: Vec<Saying>, read_to: i64, group: &str) {
        let mut state = self.lock();
        for record in records {
            match record {
                Saying::Mark(_, Some(mark)) if mark.group != group => state.foreign = Some(mark.group),
                Saying::Mark(place, Some(mark)) => drop(state.marks.insert(place, mark)),
                Saying::Mark(place, None) => drop(state.marks.remove(&place)),
                Saying::Ignored(_, Some(ignored)) if ignored.group != group => state.foreign = Some(ignored.group),
                Saying::Ignored(topic, ignored) => {
                    // Copied only while somebody holds them.
                    let topics = Arc::make_mut(&mut state.ignored);
                    match ignored {
                        Some(_) => drop(topics.insert(topic)),
                        None => drop(topics.remove(&topic)),
                    }
                }
            }
        }
        state.read_to = state.read_to.max(read_to);
        state.look();
    }

    /// Topics that are not waited for.
    #[must_use]
    pub fn ignored(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.lock().ignored)
    }

    /// The wall clock when the latest record of one of these topics was read; `None`: none of them has a mark.
    #[must_use]
    pub fn heard_at(&self, topics: &[String]) -> Option<Instant> {
        let state = self.lock();
        let of_topics = state.marks.iter().filter(|(place, _)| topics.contains(&place.topic));
        of_topics.map(|(_, mark)| Instant(mark.heard_at)).max()
    }

    /// All marks together; `None` until the topic was read to its end.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        self.lock().view
    }

    /// The mark of a partition.
    #[must_use]
    pub fn of(&self, place: &Place) -> Option<Mark> {
        self.lock().marks.get(place).cloned()
    }

    /// Has a partition of this topic a mark?
    #[must_use]
    pub fn has_any_of(&self, topic: &str) -> bool {
        self.lock().marks.keys().any(|place| place.topic == topic)
    }

    /// The offset up to which the topic of the marks was read.
    #[must_use]
    pub fn read_to(&self) -> i64 {
        self.lock().read_to
    }

    /// Another group that writes marks into the topic.
    #[must_use]
    pub fn foreign(&self) -> Option<String> {
        self.lock().foreign.clone()
    }

    /// The earliest time up to which a partition with a backlog was read, of those that are not excepted; `Instant::MAX`
    /// if no other has one. Partitions without a mark are somebody's who has not begun yet; what is ignored does not count.
    #[must_use]
    pub fn backlog_read_to(&self, except: impl Fn(&Place) -> bool) -> Instant {
        let state = self.lock();
        let read_to = |place: Place| match state.marks.get(&place) {
            None => Instant::MIN,
            Some(mark) if mark.has_backlog => Instant(mark.read_to),
            Some(_) => Instant::MAX,
        };
        state.waited_for().filter(|place| !except(place)).map(read_to).min().unwrap_or(Instant::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.topics
            .iter()
            .flat_map(|(topic, count)| (0..*count).map(|partition| Place { topic: topic.clone(), partition }))
    }

    /// Those that an operator has not told the group to ignore.
    fn waited_for(&self) -> impl Iterator<Item = Place> + '_ {
        self.places().filter(|place| !self.ignored.contains(&place.topic))
    }

    fn look(&mut self) {
        let mut view = View { complete_to: Instant::MAX, caught_up: true, live: true, known_at: Moment::now() };
        let mut some = false;
        for place in self.waited_for() {
            some = true;
            let mark = self.marks.get(&place);
            view.complete_to = view.complete_to.min(mark.map_or(Instant::MIN, |mark| Instant(mark.complete_to)));
            view.caught_up &= mark.is_some_and(|mark| mark.caught_up);
            view.live &= mark.is_some_and(|mark| mark.live);
        }
        self.view = some.then_some(view);
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Ignored, Instant, Mark, Marks, Place, Saying};

    fn place(topic: &str, partition: i32) -> Place {
        Place { topic: topic.to_owned(), partition }
    }

    fn mark(complete_to: i64, caught_up: bool) -> Option<Mark> {
        let read_to = complete_to + 10;
        Some(Mark { complete_to, read_to, caught_up, has_backlog: !caught_up, ..Mark::new("g", "", 0) })
    }

    fn said(topic: &str, partition: i32, mark: Option<Mark>) -> Saying {
        Saying::Mark(place(topic, partition), mark)
    }

    #[test]
    fn what_an_operator_has_told_to_ignore_holds_nothing_until_that_is_taken_back() {
        let marks = Marks::default();
        marks.expect(BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
        let ignored = |group: &str| Some(Ignored { group: group.to_owned(), since: 7 });
        marks.take_up(vec![said("a", 0, mark(50, true)), said("b", 0, mark(20, false))], 2, "g");
        marks.take_up(vec![Saying::Ignored("b".to_owned(), ignored("other"))], 3, "g");
        assert_eq!(marks.view().unwrap().complete_to, Instant(20), "another group's word");
        marks.take_up(vec![Saying::Ignored("b".to_owned(), ignored("g"))], 4, "g");
        let view = marks.view().unwrap();
        assert_eq!((view.complete_to, view.caught_up, marks.ignored().len()), (Instant(50), true, 1));
        assert_eq!(marks.backlog_read_to(|_| false), Instant::MAX);
        marks.take_up(vec![Saying::Ignored("b".to_owned(), None)], 5, "g");
        assert_eq!((marks.view().unwrap().complete_to, marks.backlog_read_to(|_| false)), (Instant(20), Instant(30)));
    }

    #[test]
    fn the_least_of_all_marks_counts_and_a_missing_one_holds_everything() {
        let marks = Marks::default();
        assert_eq!(marks.view(), None);
        marks.expect(BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        marks.take_up(vec![said("a", 0, mark(50, true)), said("a", 1, mark(70, true))], 2, "g");
        let view = marks.view().unwrap();
        assert_eq!((view.complete_to, view.caught_up), (Instant::MIN, false), "b/0 has none");
        marks.take_up(vec![said("b", 0, mark(60, false)), said("gone", 0, mark(1, false))], 4, "g");
        let view = marks.view().unwrap();
        assert_eq!((view.complete_to, view.caught_up, view.live), (Instant(50), false, false));
        marks.take_up(vec![said("b", 0, mark(80, true))], 5, "g");
        assert!(marks.view().unwrap().caught_up);
        assert_eq!((marks.read_to(), marks.foreign()), (5, None));
    }

    #[test]
    fn of_partitions_with_a_backlog_the_one_that_was_read_least_far_counts() {
        let marks = Marks::default();
        marks.expect(BTreeMap::from([("a".to_owned(), 3)]));
        assert_eq!(marks.backlog_read_to(|_| false), Instant::MIN);
        let all = [(0, mark(50, false)), (1, mark(30, false)), (2, mark(10, true))];
        marks.take_up(all.map(|(number, mark)| said("a", number, mark)).into(), 3, "g");
        assert_eq!(marks.backlog_read_to(|_| false), Instant(40));
        assert_eq!(marks.backlog_read_to(|place| place.partition == 1), Instant(60), "of the others");
        assert_eq!(marks.backlog_read_to(|place| place.partition < 2), Instant::MAX);
    }

    #[test]
    fn marks_of_another_group_do_not_count_and_are_told() {
        let marks = Marks::default();
        marks.expect(BTreeMap::from([("a".to_owned(), 1)]));
        marks.take_up(vec![said("a", 0, mark(50, true))], 1, "other");
        assert_eq!((marks.foreign().as_deref(), marks.of(&place("a", 0))), (Some("g"), None));
    }
}
