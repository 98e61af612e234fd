//! Passes requests about customers from HTTP to the inbox of the lane that owns them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use super::found::Found;
use crate::kafka::partition_of;

/// The capacity of the inbox of one lane; an HTTP request that finds it full is refused at once.
const WAITING_MAX: usize = 64;

/// No lane.
const NOBODY: u32 = u32::MAX;
/// A flag next to the number of the lane: the partition is being restored.
const RESTORING: u32 = 1 << 31;

/// The entry for HTTP requests. Closed until the topics are known.
#[derive(Debug, Default)]
pub struct RequestRouter {
    open: OnceLock<Open>,
}

#[derive(Debug)]
struct Open {
    lanes: Vec<SyncSender<Request>>,
    places: Places,
}

/// The lane of each partition. The values are independent, like those of [`Health`](crate::metrics::Health); the lane
/// notices an outdated one.
type Places = Arc<[AtomicU32]>;

/// The partitions to search for a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Partition(i32),
    /// Every restored partition of the lane.
    Lane,
}

/// A customer id, and the channel for the answer.
#[derive(Debug)]
pub struct Request {
    pub scope: Scope,
    pub customer: String,
    reply: oneshot::Sender<Answer>,
}

/// The answer of a lane.
#[derive(Debug)]
pub enum Answer {
    /// The customer in each partition that knows them, ascending; usually one.
    Found(Vec<Found>),
    /// No event of such a customer was ever applied in the searched partitions.
    Unknown,
    Unavailable(Unavailable),
    /// The state cannot be read; the log says why.
    Unreadable,
}

/// Why this process cannot answer at present, each with the partition if it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The topics are not known yet.
    Starting,
    /// Another process of the group owns the partition, or it has no owner: the group knows.
    NotOurs {
        partition: i32,
    },
    Restoring {
        partition: i32,
    },
    /// Too many requests wait, or the lane has ended.
    Busy {
        partition: i32,
    },
}

/// The state of the input partitions in this process, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionStates {
    pub running: Vec<i32>,
    pub restoring: Vec<i32>,
    /// Owned by other processes, or by none.
    pub absent: Vec<i32>,
}

/// The lane's side.
#[derive(Debug)]
pub struct Inbox {
    lane: u32,
    places: Places,
    requests: Receiver<Request>,
}

impl RequestRouter {
    /// Opens it, with one inbox for each lane, in order.
    ///
    /// # Panics
    /// When called twice.
    #[must_use]
    pub fn open(&self, lanes: usize, partitions: u32) -> Vec<Inbox> {
        let places: Places = (0..partitions).map(|_| AtomicU32::new(NOBODY)).collect();
        let (senders, inboxes) = (0..lanes)
            .zip(0..)
            .map(|(_, lane)| {
                let (sender, requests) = sync_channel(WAITING_MAX);
                (sender, Inbox { lane, places: Arc::clone(&places), requests })
            })
            .unzip();
        self.open.set(Open { lanes: senders, places }).expect("the desk is opened once");
        inboxes
    }

    /// The partition that Kafka's default partitioner chooses for a customer. Other partitioners may have chosen
    /// another.
    ///
    /// # Errors
    /// The topics are not known yet.
    pub fn home(&self, customer: &str) -> Result<i32, Unavailable> {
        let open = self.open.get().ok_or(Unavailable::Starting)?;
        let partitions = u32::try_from(open.places.len()).unwrap_or(u32::MAX);
        Ok(partition_of(customer.as_bytes(), partitions))
    }

    /// Sends a request to one partition. The answer arrives at the receiver, or an error if the lane ends first.
    ///
    /// # Errors
    /// Why no lane of this process can answer.
    pub fn ask(&self, partition: i32, customer: &str) -> Result<oneshot::Receiver<Answer>, Unavailable> {
        let open = self.open.get().ok_or(Unavailable::Starting)?;
        let lane = lane_of(partition, &open.places)?;
        open.send(lane, Scope::Partition(partition), customer).ok_or(Unavailable::Busy { partition })
    }

    /// Sends a request to every restored partition: one for each lane that has any.
    ///
    /// # Errors
    /// As `ask`.
    pub fn ask_all(&self, customer: &str) -> Result<Vec<oneshot::Receiver<Answer>>, Unavailable> {
        let open = self.open.get().ok_or(Unavailable::Starting)?;
        let lanes: BTreeMap<usize, i32> = (0..)
            .zip(open.places.iter())
            .filter_map(|(partition, _)| Some((lane_of(partition, &open.places).ok()?, partition)))
            .collect();
        let ask = |(lane, partition)| open.send(lane, Scope::Lane, customer).ok_or(Unavailable::Busy { partition });
        lanes.into_iter().map(ask).collect()
    }

    /// The state of the partitions in this process.
    #[must_use]
    pub fn partition_states(&self) -> PartitionStates {
        let mut partition_states = PartitionStates::default();
        let Some(open) = self.open.get() else { return partition_states };
        for (partition, _) in (0..).zip(open.places.iter()) {
            match lane_of(partition, &open.places) {
                Ok(_) => partition_states.running.push(partition),
                Err(Unavailable::Restoring { .. }) => partition_states.restoring.push(partition),
                Err(_) => partition_states.absent.push(partition),
            }
        }
        partition_states
    }
}

impl Open {
    /// `None`: too many requests wait, or the lane has ended.
    fn send(&self, lane: usize, scope: Scope, customer: &str) -> Option<oneshot::Receiver<Answer>> {
        let (reply, answer) = oneshot::channel();
        let request = Request { scope, customer: customer.to_owned(), reply };
        match self.lanes[lane].try_send(request) {
            Ok(()) => Some(answer),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

/// The lane that owns a restored partition.
fn lane_of(partition: i32, places: &Places) -> Result<usize, Unavailable> {
    let place = usize::try_from(partition).ok().and_then(|place| places.get(place));
    match place.map_or(NOBODY, |place| place.load(Ordering::Relaxed)) {
        NOBODY => Err(Unavailable::NotOurs { partition }),
        place if place & RESTORING != 0 => Err(Unavailable::Restoring { partition }),
        lane => Ok(lane as usize),
    }
}

impl Inbox {
    /// The next request whose client still waits.
    #[must_use]
    pub fn next(&self) -> Option<Request> {
        self.requests.try_iter().find(|request| !request.reply.is_closed())
    }

    /// The reason for a partition that the lane no longer owns.
    #[must_use]
    pub fn unavailable(&self, partition: i32) -> Unavailable {
        // Another lane of this process has taken it over meanwhile: retrying finds it.
        lane_of(partition, &self.places).err().unwrap_or(Unavailable::Busy { partition })
    }

    /// Updates the partitions of the lane: restored ones, and those being restored.
    pub fn set_partitions(&self, mut running: impl FnMut(i32) -> bool, mut restoring: impl FnMut(i32) -> bool) {
        for (place, partition) in self.places.iter().zip(0..) {
            if running(partition) {
                place.store(self.lane, Ordering::Relaxed);
            } else if restoring(partition) {
                place.store(self.lane | RESTORING, Ordering::Relaxed);
            } else {
                // Another lane may own it by now.
                let ours = |was: u32| (was != NOBODY && was & !RESTORING == self.lane).then_some(NOBODY);
                place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, ours).ok();
            }
        }
    }
}

impl Request {
    /// Answers; a client that has disconnected is ignored.
    pub fn answer(self, answer: Answer) {
        self.reply.send(answer).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, PartitionStates, RequestRouter, Scope, Unavailable};

    #[test]
    fn a_question_goes_to_the_lane_that_has_the_partition() {
        let router = RequestRouter::default();
        assert_eq!(router.home("c").unwrap_err(), Unavailable::Starting);
        assert_eq!(router.ask(0, "c").unwrap_err(), Unavailable::Starting);
        let lanes = router.open(2, 1);
        assert_eq!(router.home("c"), Ok(0));
        assert_eq!(router.ask(0, "c").unwrap_err(), Unavailable::NotOurs { partition: 0 });
        lanes[1].set_partitions(|_| false, |_| true);
        assert_eq!(router.ask(0, "c").unwrap_err(), Unavailable::Restoring { partition: 0 });
        lanes[1].set_partitions(|_| true, |_| false);
        lanes[0].set_partitions(|_| false, |_| false);
        let mut answer = router.ask(0, "c").unwrap();
        assert!(lanes[0].next().is_none());
        let request = lanes[1].next().unwrap();
        assert_eq!(request.customer, "c");
        request.answer(Answer::Unknown);
        assert!(matches!(answer.try_recv(), Ok(Answer::Unknown)));
        lanes[1].set_partitions(|_| false, |_| false);
        assert_eq!(router.ask(0, "c").unwrap_err(), Unavailable::NotOurs { partition: 0 });
    }

    #[test]
    fn every_lane_that_has_a_partition_is_asked_once() {
        let router = RequestRouter::default();
        let lanes = router.open(3, 5);
        lanes[0].set_partitions(|partition| partition < 2, |partition| partition == 3);
        lanes[2].set_partitions(|partition| partition == 2, |_| false);
        let answers = router.ask_all("c").unwrap();
        assert_eq!(answers.len(), 2);
        for (lane, asked) in lanes.iter().zip([true, false, true]) {
            assert_eq!(lane.next().map(|request| request.scope), asked.then_some(Scope::Lane));
            assert!(lane.next().is_none());
        }
        let partition_states = PartitionStates { running: vec![0, 1, 2], restoring: vec![3], absent: vec![4] };
        assert_eq!(router.partition_states(), partition_states);
    }

    #[test]
    fn an_inbox_is_bounded_and_passes_over_those_who_have_gone() {
        let router = RequestRouter::default();
        let lanes = router.open(1, 1);
        lanes[0].set_partitions(|_| true, |_| false);
        let mut waiting = Vec::new();
        let full = loop {
            match router.ask(0, "c") {
                Ok(answer) => waiting.push(answer),
                Err(unavailable) => break unavailable,
            }
        };
        assert_eq!(full, Unavailable::Busy { partition: 0 });
        // The other clients disconnect.
        let first = waiting.into_iter().next();
        assert!(first.is_some());
        assert!(lanes[0].next().is_some());
        assert!(lanes[0].next().is_none());
    }
}
