//! Whether the comparison would notice: at the end of a run, when no process is left to put it right, a change is written
//! a second time and an event is written that no process decides. Both must be found.

use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::event::Number;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::avro;
use crate::checker::Checker;
use crate::field::{Field, PARTITIONS};
use crate::naive::OwnedValue;
use crate::reader::{Reader, Seen};

const WITHIN: Duration = Duration::from_secs(60);
const UNDECIDED: &str = "undecided";

/// Spoils the topics, and adds a finding for what the checker does not notice. Only after the last comparison.
pub(super) fn must_be_noticed(field: &Field, checker: &mut Checker) {
    let direct = field.cluster.direct();
    let client: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", &direct).set("partitioner", "murmur2_random").create().unwrap();
    let seen = Reader::new(&direct, &field.topic("changes"), PARTITIONS).read();
    let Some(last) = seen.unwrap_or_default().pop() else {
        field.findings.add("nothing changed in the whole run");
        return;
    };
    repeat(&client, &field.topic("changes"), &last);
    let mut event = avro::event(UNDECIDED, "purchase", wall_clock().0, Some("undecided".into()));
    event.properties.push(("amount".into(), OwnedValue::Number(Number::from_integer(500))));
    let payload = avro::encode(&event);
    let input = field.topic("in");
    client.send(BaseRecord::<str, [u8]>::to(&input).key(UNDECIDED).payload(&payload)).expect("it is written");
    client.flush(WITHIN).expect("it is written");
    let found = checker.check(field.version).err().unwrap_or_default();
    for (what, text) in [("a change that is there twice", "twice: "), ("an event that nobody decided", UNDECIDED)] {
        if !found.iter().any(|difference| difference.contains(text)) {
            field.findings.add(&format!("the comparison does not notice {what}, but: {found:?}"));
        }
    }
}

fn repeat(client: &ThreadedProducer<DefaultProducerContext>, topic: &str, seen: &Seen) {
    let headers = seen
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value.as_str()) }));
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(seen.partition).headers(headers);
    record.key = seen.key.as_deref();
    record.payload = seen.payload.as_deref();
    client.send(record).expect("it is written");
}
