//! Where questions are handed in, and the inbox of each lane.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use super::found::Found;
use crate::kafka::partition_of;

/// Questions that wait for one lane; a door that finds the inbox full says so at once.
const WAITING_MAX: usize = 64;

/// A place that no lane has.
const NOBODY: u32 = u32::MAX;
/// Beside a lane's number: the partition is being restored.
const RESTORING: u32 = 1 << 31;

/// Where doors ask. Closed until the topics are known.
#[derive(Debug, Default)]
pub struct Desk {
    open: OnceLock<Open>,
}

#[derive(Debug)]
struct Open {
    lanes: Vec<SyncSender<Question>>,
    places: Places,
}

/// For each partition the lane that has it. Each value stands alone, as those of [`Health`](crate::metrics::Health); one
/// that is a moment old is found out by the lane.
type Places = Arc<[AtomicU32]>;

/// A customer's id, and where the answer goes.
#[derive(Debug)]
pub struct Question {
    pub partition: i32,
    pub customer: String,
    reply: oneshot::Sender<Answer>,
}

/// What comes back.
#[derive(Debug)]
pub enum Answer {
    Found(Box<Found>),
    /// Nothing was ever applied of such a customer.
    Unknown,
    Elsewhere(Elsewhere),
    /// The state cannot be read; the log says why.
    Unreadable,
}

/// Why this process does not know at present, each with the partition where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// The topics are not known yet.
    Starting,
    /// Another process of the group has the partition, or nobody has: the group knows.
    NotOurs {
        partition: i32,
    },
    Restoring {
        partition: i32,
    },
    /// Too many questions wait, or the lane has ended.
    Busy {
        partition: i32,
    },
}

/// A lane's side.
#[derive(Debug)]
pub struct Inbox {
    lane: u32,
    places: Places,
    questions: Receiver<Question>,
}

impl Desk {
    /// Opens it: one inbox for each lane, in order.
    ///
    /// # Panics
    /// When called twice.
    #[must_use]
    pub fn open(&self, lanes: usize, partitions: u32) -> Vec<Inbox> {
        let places: Places = (0..partitions).map(|_| AtomicU32::new(NOBODY)).collect();
        let (senders, inboxes) = (0..lanes)
            .zip(0..)
            .map(|(_, lane)| {
                let (sender, questions) = sync_channel(WAITING_MAX);
                (sender, Inbox { lane, places: Arc::clone(&places), questions })
            })
            .unzip();
        self.open.set(Open { lanes: senders, places }).expect("the desk is opened once");
        inboxes
    }

    /// Hands a question in. The answer comes to the receiver, or an error if the lane ends first.
    ///
    /// # Errors
    /// Why nobody here can be asked.
    pub fn ask(&self, customer: String) -> Result<oneshot::Receiver<Answer>, Elsewhere> {
        let open = self.open.get().ok_or(Elsewhere::Starting)?;
        let partitions = u32::try_from(open.places.len()).unwrap_or(u32::MAX);
        let partition = partition_of(customer.as_bytes(), partitions);
        let lane = lane_of(partition, &open.places)?;
        let (reply, answer) = oneshot::channel();
        match open.lanes[lane].try_send(Question { partition, customer, reply }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Elsewhere::Busy { partition }),
        }
    }
}

/// The lane at work on a partition.
fn lane_of(partition: i32, places: &Places) -> Result<usize, Elsewhere> {
    let place = usize::try_from(partition).ok().and_then(|place| places.get(place));
    match place.map_or(NOBODY, |place| place.load(Ordering::Relaxed)) {
        NOBODY => Err(Elsewhere::NotOurs { partition }),
        place if place & RESTORING != 0 => Err(Elsewhere::Restoring { partition }),
        lane => Ok(lane as usize),
    }
}

impl Inbox {
    /// The next question whose asker still waits.
    #[must_use]
    pub fn next(&self) -> Option<Question> {
        self.questions.try_iter().find(|question| !question.reply.is_closed())
    }

    /// Why a question for a partition that the lane no longer has cannot be answered by it.
    #[must_use]
    pub fn elsewhere(&self, partition: i32) -> Elsewhere {
        // Another lane of this process has taken it over meanwhile: asking again finds it.
        lane_of(partition, &self.places).err().unwrap_or(Elsewhere::Busy { partition })
    }

    /// Says which partitions the lane has now: those at work, and those being restored.
    pub fn has(&self, mut at_work: impl FnMut(i32) -> bool, mut restoring: impl FnMut(i32) -> bool) {
        for (place, partition) in self.places.iter().zip(0..) {
            if at_work(partition) {
                place.store(self.lane, Ordering::Relaxed);
            } else if restoring(partition) {
                place.store(self.lane | RESTORING, Ordering::Relaxed);
            } else {
                // Another lane may have it by now.
                let ours = |was: u32| (was != NOBODY && was & !RESTORING == self.lane).then_some(NOBODY);
                place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, ours).ok();
            }
        }
    }
}

impl Question {
    /// Answers; that the asker has gone is no loss.
    pub fn answer(self, answer: Answer) {
        self.reply.send(answer).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Desk, Elsewhere};

    #[test]
    fn a_question_goes_to_the_lane_that_has_the_partition() {
        let desk = Desk::default();
        assert_eq!(desk.ask("c".into()).unwrap_err(), Elsewhere::Starting);
        let lanes = desk.open(2, 1);
        assert_eq!(desk.ask("c".into()).unwrap_err(), Elsewhere::NotOurs { partition: 0 });
        lanes[1].has(|_| false, |_| true);
        assert_eq!(desk.ask("c".into()).unwrap_err(), Elsewhere::Restoring { partition: 0 });
        lanes[1].has(|_| true, |_| false);
        lanes[0].has(|_| false, |_| false);
        let mut answer = desk.ask("c".into()).unwrap();
        assert!(lanes[0].next().is_none());
        let question = lanes[1].next().unwrap();
        assert_eq!(question.customer, "c");
        question.answer(Answer::Unknown);
        assert!(matches!(answer.try_recv(), Ok(Answer::Unknown)));
        lanes[1].has(|_| false, |_| false);
        assert_eq!(desk.ask("c".into()).unwrap_err(), Elsewhere::NotOurs { partition: 0 });
    }

    #[test]
    fn an_inbox_is_bounded_and_passes_over_those_who_have_gone() {
        let desk = Desk::default();
        let lanes = desk.open(1, 1);
        lanes[0].has(|_| true, |_| false);
        let mut waiting = Vec::new();
        let full = loop {
            match desk.ask("c".into()) {
                Ok(answer) => waiting.push(answer),
                Err(elsewhere) => break elsewhere,
            }
        };
        assert_eq!(full, Elsewhere::Busy { partition: 0 });
        // The others lose patience.
        let first = waiting.into_iter().next();
        assert!(first.is_some());
        assert!(lanes[0].next().is_some());
        assert!(lanes[0].next().is_none());
    }
}
