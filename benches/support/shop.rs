//! A shop's traffic, the same at each run: Avro records in Confluent framing, 75 to 120 bytes, spread over some days.

use std::io::Write as _;

/// The id under which the records name their schema, `schemas/customer-event.avsc`.
pub(crate) const SCHEMA_ID: u32 = 1;

/// 2025-01-01: behind every clock, so that nothing lies in the future or makes a partition live.
const START: u64 = 1_735_689_600_000;
const DAY: u64 = 86_400_000;
/// Long enough for all deadlines of the default cohorts but the yearly one.
pub(crate) const DAYS: u64 = 60;
/// How long a visit takes, with all its events.
const VISIT: u64 = 20 * 60_000;
/// Events arrive up to this much out of order; `time.arrives_within` is a minute.
const DISORDER: u64 = 30_000;

const PAGES: [&str; 4] = ["home", "search", "category", "returns"];

/// How events come: by the visit, as people shop, or each from somebody else, which no cache can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    Visits,
    Scattered,
}

/// Makes records one by one.
pub(crate) struct Shop {
    random: u64,
    customers: u64,
    events: u64,
    made: u64,
    traffic: Traffic,
    /// How long all of it takes, milliseconds.
    length: u64,
    /// Who is in the shop, and how many events of the visit they made.
    visits: Vec<(u32, u32)>,
    /// Who has signed up, one bit each.
    known: Vec<u64>,
}

/// What an event says besides who and when.
enum Detail {
    Nothing,
    Page(&'static str),
    Product(u64),
    Amount(f64),
    Step(i64),
}

impl Shop {
    pub(crate) fn new(customers: u64, events: u64, traffic: Traffic) -> Self {
        Self::over(DAYS, customers, events, traffic)
    }

    /// The same, over so many days: the longer, the more changes for each event.
    pub(crate) fn over(days: u64, customers: u64, events: u64, traffic: Traffic) -> Self {
        let length = days * DAY;
        // A visit has about three events.
        let at_once = usize::try_from(events * VISIT / length / 3).unwrap_or(1).max(1);
        let known = vec![0; usize::try_from(customers / 64 + 1).unwrap_or(1)];
        let mut shop = Self { random: 42, customers, events, made: 0, traffic, length, visits: Vec::new(), known };
        shop.visits = (0..at_once).map(|_| shop.enter()).collect();
        shop
    }

    /// Writes the next record and its key over what the buffers held. False: there are no more.
    pub(crate) fn next(&mut self, key: &mut Vec<u8>, record: &mut Vec<u8>) -> bool {
        if self.made == self.events {
            return false;
        }
        let at = START + self.made * self.length / self.events - self.below(DISORDER);
        self.made += 1;
        let place = usize::try_from(self.below(self.visits.len() as u64)).unwrap_or(0);
        if self.traffic == Traffic::Scattered {
            self.visits[place] = self.enter();
        }
        let (customer, done) = self.visits[place];
        let (event, detail, stays) = self.act(customer, done);
        self.visits[place] = if stays { (customer, done + 1) } else { self.enter() };

        self.write(customer, event, at, &detail, (key, record));
        true
    }

    /// A record of somebody who signs up at this instant, milliseconds since 1970, or, `new` false, of a visitor.
    #[allow(dead_code, reason = "the engine's bench has no clock")]
    pub(crate) fn live(&mut self, at: u64, new: bool, key: &mut Vec<u8>, record: &mut Vec<u8>) {
        self.made += 1;
        let customer = if new { self.made } else { self.below(self.customers) };
        let customer = u32::try_from(customer).expect("fewer than 2^32 customers");
        let detail = if new { Detail::Nothing } else { Detail::Product(self.below(5_000)) };
        self.write(customer, if new { "signup" } else { "product_viewed" }, at, &detail, (key, record));
    }

    fn write(
        &mut self,
        customer: u32,
        event: &str,
        at: u64,
        detail: &Detail,
        (key, record): (&mut Vec<u8>, &mut Vec<u8>),
    ) {
        key.clear();
        write!(key, "c{customer:08}").expect("a vector takes everything");
        record.clear();
        record.push(0);
        record.extend_from_slice(&SCHEMA_ID.to_be_bytes());
        record.push(2);
        let id = self.next_random();
        text(record, &format!("{id:016x}"));
        put(record, key.len() as i64);
        record.extend_from_slice(key);
        text(record, event);
        put(record, at.cast_signed());
        record.push(2);
        text(record, "web");
        properties(record, detail, id);
    }

    fn enter(&mut self) -> (u32, u32) {
        (u32::try_from(self.below(self.customers)).expect("fewer than 2^32 customers"), 0)
    }

    /// What a customer does next, and whether they stay.
    fn act(&mut self, customer: u32, done: u32) -> (&'static str, Detail, bool) {
        let (word, bit) = (customer as usize / 64, customer % 64);
        if self.known[word] >> bit & 1 == 0 {
            self.known[word] |= 1 << bit;
            return ("signup", Detail::Nothing, true);
        }
        let roll = self.below(1_000);
        let stays = self.below(3) > 0;
        match (done, roll) {
            (0, 0..600) => ("visit", Detail::Page(PAGES[usize::try_from(roll % 4).unwrap_or(0)]), stays),
            (0, 600..750) => ("login", Detail::Nothing, stays),
            (0, 750..850) => ("email_clicked", Detail::Nothing, stays),
            (0, 850..900) => ("ticket_opened", Detail::Nothing, stays),
            (1, 0..80) => ("onboarding_started", Detail::Nothing, stays),
            (2, 0..150) => ("onboarding_step_completed", Detail::Step(i64::from(roll > 75) + 1), stays),
            (3, 0..50) => ("onboarding_completed", Detail::Nothing, false),
            (_, 995..) => ("unsubscribed", Detail::Nothing, false),
            (1.., 850..) => {
                let cents = u32::try_from(500 + self.below(20_000)).unwrap_or(0);
                ("purchase", Detail::Amount(f64::from(cents) / 100.0), false)
            }
            _ => ("product_viewed", Detail::Product(self.below(5_000)), stays),
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next_random() % end
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn properties(record: &mut Vec<u8>, detail: &Detail, id: u64) {
    put(record, if matches!(detail, Detail::Nothing) { 1 } else { 2 });
    text(record, "device");
    put(record, 4);
    text(record, if id.is_multiple_of(3) { "desktop" } else { "phone" });
    match detail {
        Detail::Nothing => {}
        Detail::Page(page) => {
            text(record, "page");
            put(record, 4);
            text(record, page);
        }
        Detail::Product(product) => {
            text(record, "product");
            put(record, 4);
            text(record, &format!("sku-{product}"));
        }
        Detail::Amount(amount) => {
            text(record, "amount");
            put(record, 3);
            record.extend_from_slice(&amount.to_le_bytes());
        }
        Detail::Step(step) => {
            text(record, "step");
            put(record, 2);
            put(record, *step);
        }
    }
    put(record, 0);
}

/// An Avro long.
/// A whole number: zigzag, as Avro has it.
pub(crate) fn put(record: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        record.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    record.push(rest as u8);
}

pub(crate) fn text(record: &mut Vec<u8>, text: &str) {
    put(record, text.len() as i64);
    record.extend_from_slice(text.as_bytes());
}
