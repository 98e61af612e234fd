//! Invalid records, and the expected handling of each.

use cohortd::clock::wall_clock;

use crate::avro;
use crate::random::Random;
use crate::reader::Seen;

/// One that cannot be used as it is.
pub(super) struct Hostile {
    /// Written into a header of the record, so that a reader knows what to expect of it.
    pub(super) kind: &'static str,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
}

/// The header with the kind.
pub(super) const HEADER: &str = "chaos";

/// Of this kind it is the daemon's choice to apply it or to set it aside, as long as it does one of them.
pub(super) const LONG_ID: &str = "long id";
/// Passed over, and counted.
pub(super) const TOMBSTONE: &str = "tombstone";

pub(super) const OF_INPUT: [&str; 12] = [
    "foreign bytes",
    "unknown id",
    "impossible id",
    "unknown fingerprint",
    "cut short",
    "wrong key",
    "no key",
    "no customer",
    "oversized",
    LONG_ID,
    "other unit of time",
    TOMBSTONE,
];

/// Of these a source is as careful as the input: there the key says nothing.
pub(super) const OF_SOURCES: [&str; 9] = [
    "foreign bytes",
    "unknown id",
    "impossible id",
    "unknown fingerprint",
    "cut short",
    "no customer",
    "oversized",
    "other unit of time",
    TOMBSTONE,
];

/// A record that was set aside.
pub(super) struct Letter {
    pub(super) reason: String,
    content: u64,
    /// It was larger than the dead letters' topic takes.
    is_cut: bool,
}

impl Letter {
    pub(super) fn of(seen: &Seen) -> Self {
        let is_cut = seen.headers.keys().any(|name| name.contains("truncat") || name.contains("original"));
        Self { reason: seen.header("cohortd_reason").to_owned(), content: seen.content(), is_cut }
    }

    /// Is it as the record with this content came?
    pub(super) fn is_as_it_came(&self, content: u64) -> bool {
        self.is_cut || self.content == content
    }
}

/// The reasons with which a kind may be set aside; of an empty kind, and of one that is passed over, none.
pub(super) fn reasons(kind: &str) -> &'static [&'static str] {
    match kind {
        "" | TOMBSTONE => &[],
        "foreign bytes" | "cut short" => &["undecodable"],
        "unknown id" | "unknown fingerprint" => &["unknown_schema"],
        "impossible id" => &["unknown_schema", "undecodable"],
        "wrong key" => &["wrong_key"],
        "no key" => &["no_key"],
        "no customer" => &["no_customer"],
        "oversized" => &["oversized"],
        LONG_ID => &["oversized", "no_customer", "undecodable", "id_too_long", "long_id"],
        "other unit of time" => &["bad_time", "future"],
        other => panic!("{other} is never set aside"),
    }
}

impl Hostile {
    /// One of these kinds.
    pub(super) fn new(kinds: &[&'static str], random: &mut Random) -> Self {
        let kind = kinds[usize::try_from(random.below(kinds.len() as i64)).unwrap()];
        let now = wall_clock().0;
        let customer = format!("h{}", random.below(1_000));
        let event = |customer: &str, at: i64| avro::encode(&avro::event(customer, "visit", at, None));
        let fine = event(&customer, now);
        let key = Some(customer.clone().into_bytes());
        let noise = |random: &mut Random, length: i64| -> Vec<u8> {
            (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
        };
        let (key, payload) = match kind {
            "foreign bytes" => {
                let length = 1 + random.below(300);
                (key, Some([&b"{"[..], &noise(random, length)].concat()))
            }
            "unknown id" => {
                let id = u32::try_from(9_000 + random.below(7)).unwrap();
                (key, Some([&[0][..], &id.to_be_bytes(), &noise(random, 40)].concat()))
            }
            "impossible id" => (key, Some([&[0, 0xff, 0xff, 0xff, 0xff][..], &noise(random, 40)].concat())),
            "unknown fingerprint" => (key, Some([&[0xc3, 1][..], &noise(random, 60)].concat())),
            "cut short" => (key, Some(fine[..fine.len() - 3].to_vec())),
            "wrong key" => (Some(b"somebody else".to_vec()), Some(fine)),
            "no key" => (None, Some(fine)),
            "no customer" => (Some(Vec::new()), Some(event("", now))),
            // Compressible, so that the broker takes what it would not take as it is; or not, just below its limit.
            "oversized" if random.percent(50) => {
                (key, Some([fine, vec![b'x'; usize::try_from(1_500_000 + random.below(2_000_000)).unwrap()]].concat()))
            }
            "oversized" => (key, Some([fine, noise(random, 900_000)].concat())),
            LONG_ID => {
                let long = "i".repeat(usize::try_from(1_000 + random.below(200_000)).unwrap());
                (Some(long.clone().into_bytes()), Some(event(&long, now)))
            }
            "other unit of time" => {
                let at = if random.percent(50) { now / 1_000 } else { now * 1_000 };
                (key, Some(event(&customer, at)))
            }
            _ => (key, None),
        };
        Self { kind, key, payload }
    }
}
