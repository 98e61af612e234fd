//! What happens between the daemon and the brokers.

use std::time::Duration;

use super::{Begun, Happened, between};
use crate::field::Field;
use crate::random::Random;
use crate::support::proxy::{Lost, Proxy};

/// Kafka's numbers of requests.
const PRODUCE: i16 = 0;
const ADD_PARTITIONS_TO_TXN: i16 = 24;
const ADD_OFFSETS_TO_TXN: i16 = 25;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;
/// Fetch, ListOffsets, Metadata, OffsetFetch, FindCoordinator, JoinGroup, Heartbeat, LeaveGroup, SyncGroup,
/// InitProducerId.
const OTHERS: [i16; 10] = [1, 2, 3, 9, 10, 11, 12, 13, 14, 22];

/// A request that does not come within this does not come.
const REQUEST_WITHIN: Duration = Duration::from_millis(2_500);

/// One broker's connections, or half of the time all of them.
fn some(field: &Field, random: &mut Random) -> std::ops::Range<usize> {
    let count = field.cluster.proxies().len();
    if random.percent(50) {
        return 0..count;
    }
    let one = usize::try_from(random.below(i64::try_from(count).unwrap())).unwrap();
    one..one + 1
}

fn while_it_lasts(
    field: &mut Field,
    random: &mut Random,
    length: Duration,
    begin: impl Fn(&Proxy),
    end: impl Fn(&Proxy) + 'static,
) -> Begun {
    if field.brokers_busy {
        return Begun::NotNow;
    }
    field.brokers_busy = true;
    let which = some(field, random);
    field.cluster.proxies()[which.clone()].iter().for_each(begin);
    Begun::lasting(length, move |field| {
        field.cluster.proxies()[which].iter().for_each(end);
        field.brokers_busy = false;
        Happened::Yes
    })
}

pub(super) fn cut(field: &mut Field, random: &mut Random) -> Begun {
    while_it_lasts(field, random, Duration::ZERO, Proxy::cut, |_| {})
}

pub(super) fn refuse(field: &mut Field, random: &mut Random) -> Begun {
    let length = between(500, 4_000, random);
    while_it_lasts(field, random, length, Proxy::refuse, Proxy::accept)
}

pub(super) fn slow(field: &mut Field, random: &mut Random) -> Begun {
    let (delay, length) = (between(20, 400, random), between(1_000, 4_000, random));
    while_it_lasts(field, random, length, move |proxy| proxy.delay(delay), |proxy| proxy.delay(Duration::ZERO))
}

pub(super) fn black_hole(field: &mut Field, random: &mut Random) -> Begun {
    let length = between(1_000, 6_000, random);
    while_it_lasts(field, random, length, Proxy::hold, Proxy::release)
}

fn lose(field: &mut Field, random: &mut Random, api: i16, lost: Lost) -> Begun {
    if field.brokers_busy {
        return Begun::NotNow;
    }
    field.brokers_busy = true;
    let times = 1 + u32::try_from(random.below(3)).unwrap();
    for proxy in field.cluster.proxies() {
        proxy.lose(api, lost, times);
    }
    let mut waited = Duration::ZERO;
    while waited < REQUEST_WITHIN && field.cluster.proxies().iter().all(|proxy| proxy.losses() == 0) {
        let step = Duration::from_millis(30);
        field.pause(step);
        waited += step;
    }
    Begun::lasting(Duration::from_millis(300), |field| {
        field.brokers_busy = false;
        let found: u32 = field.cluster.proxies().iter().map(Proxy::found).sum();
        if found > 0 { Happened::Yes } else { Happened::No }
    })
}

pub(super) fn lose_end_txn(field: &mut Field, random: &mut Random) -> Begun {
    lose(field, random, END_TXN, Lost::Answer)
}

pub(super) fn lose_add_offsets(field: &mut Field, random: &mut Random) -> Begun {
    lose(field, random, ADD_OFFSETS_TO_TXN, Lost::Answer)
}

pub(super) fn lose_add_partitions(field: &mut Field, random: &mut Random) -> Begun {
    lose(field, random, ADD_PARTITIONS_TO_TXN, Lost::Answer)
}

pub(super) fn lose_offset_commit(field: &mut Field, random: &mut Random) -> Begun {
    lose(field, random, TXN_OFFSET_COMMIT, Lost::Answer)
}

pub(super) fn lose_produce(field: &mut Field, random: &mut Random) -> Begun {
    lose(field, random, PRODUCE, Lost::Answer)
}

pub(super) fn lose_other(field: &mut Field, random: &mut Random) -> Begun {
    let api = OTHERS[usize::try_from(random.below(OTHERS.len() as i64)).unwrap()];
    lose(field, random, api, Lost::Answer)
}

pub(super) fn lose_end_txn_request(field: &mut Field, random: &mut Random) -> Begun {
    lose(field, random, END_TXN, Lost::Request)
}

pub(super) fn late_end_txn(field: &mut Field, random: &mut Random) -> Begun {
    let by = between(200, 3_000, random);
    lose(field, random, END_TXN, Lost::Late(by))
}
