//! From where to where records are read, and how they come.

use std::time::Duration;

use cohortd::kafka::{Headers, Outcome, Outgoing, Polled, Producer, Publisher, Sizes, Watermarks, push_header};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{LONG, Lab, MIB, join, join_reading, next_record, poll_until, read};

#[test]
fn a_record_comes_as_it_was_written() {
    let Some(lab) = Lab::new("record", 1) else { return };
    let mut producer = lab.producer("host-0");
    producer.begin().unwrap();
    let mut headers = Vec::new();
    push_header(&mut headers, b"why", b"because");
    push_header(&mut headers, b"why", b"");
    let sent = Outgoing { headers: Headers::read(&headers), timestamp: Some(1_700_000_000_123), ..lab.record("x") };
    producer.send(&sent).unwrap();
    producer.send(&Outgoing { key: None, payload: None, ..sent }).unwrap();
    producer.drain().unwrap();
    assert_eq!(producer.commit(), Outcome::Committed);

    let consumer = lab.consumer("host-0");
    join_reading(&consumer);
    poll_until(&consumer, |polled| {
        let Polled::Record(record) = polled else { return None };
        assert_eq!((record.partition(), record.offset()), (0, 0));
        assert_eq!((record.key(), record.payload()), (Some(b"key".as_slice()), Some(b"x".as_slice())));
        assert_eq!(record.timestamp().millis(), Some(1_700_000_000_123));
        let headers: Vec<_> = record.headers().collect();
        assert_eq!(headers[0], (b"why".as_slice(), Some(b"because".as_slice())));
        assert_eq!((headers.len(), headers[1].0), (2, b"why".as_slice()));
        Some(())
    });
    poll_until(&consumer, |polled| {
        let Polled::Record(record) = polled else { return None };
        assert_eq!((record.offset(), record.key(), record.payload()), (1, None, None));
        Some(())
    });
    // The commit's own record counts.
    let end = poll_until(&consumer, |polled| match polled {
        Polled::End { partition: 0, offset } => Some(offset),
        _ => None,
    });
    assert_eq!((end, lab.end()), (3, 3));
}

#[test]
fn records_sent_together_come_as_they_were_written_and_in_their_order() {
    const MANY: usize = 3_000;
    let Some(lab) = Lab::new("together", 2) else { return };
    // A queue that does not take all of them at once.
    let mut producer = Producer::new(&lab.settings("host-0", &[]), MIB, Sizes::of_records(MIB), &lab.brokers).unwrap();
    producer.init(LONG).unwrap();
    let text = |number: usize| format!("{number:0600}");
    let payloads: Vec<String> = (0..MANY).map(text).collect();
    let headers: Vec<Vec<u8>> = (0..MANY)
        .map(|number| {
            let mut headers = Vec::new();
            (0..number % 3).for_each(|index| push_header(&mut headers, b"h", format!("{number}.{index}").as_bytes()));
            headers
        })
        .collect();
    let record = |number: usize| Outgoing {
        partition: 1,
        key: (!number.is_multiple_of(5)).then_some(b"key".as_slice()),
        payload: (!number.is_multiple_of(7)).then_some(payloads[number].as_bytes()),
        headers: Headers::read(&headers[number]),
        ..lab.record("")
    };
    let records: Vec<Outgoing<'_>> = (0..MANY).map(record).collect();
    let numbers: Vec<usize> = (0..MANY).map(|number| 10 * number).collect();
    producer.begin().unwrap();
    producer.send_together(&records, &numbers).unwrap();
    producer.drain().unwrap();
    assert_eq!(producer.delivered(&lab.name, 1), Some(2_999));
    assert_eq!(producer.commit(), Outcome::Committed);

    let consumer = lab.consumer("host-0");
    join_reading(&consumer);
    for (number, sent) in records.iter().enumerate() {
        poll_until(&consumer, |polled| {
            let Polled::Record(record) = polled else { return None };
            assert_eq!((record.partition(), record.offset()), (1, i64::try_from(number).unwrap()));
            assert_eq!((record.key(), record.payload()), (sent.key, sent.payload));
            let headers: Vec<_> = record.headers().map(|(name, value)| (name, value.unwrap_or_default())).collect();
            assert_eq!(headers, sent.headers.iter().collect::<Vec<_>>());
            Some(())
        });
    }
}

#[test]
fn a_partition_is_silent_until_it_is_read_and_can_be_read_again() {
    let Some(lab) = Lab::new("silent", 2) else { return };
    lab.publish(0, &["a", "b", "c"]);
    lab.publish(1, &["d"]);
    let consumer = lab.consumer("host-0");
    join(&consumer);
    let silent = || {
        for _ in 0..20 {
            assert!(!matches!(consumer.poll(Duration::from_millis(20)), Polled::Record(_)));
        }
    };
    silent();
    consumer.read_from(&[(0, 1)], LONG).unwrap();
    assert_eq!(next_record(&consumer), "b");
    // What was read ahead is dropped by a pause and read again after it; nothing comes twice.
    consumer.pause(&[0]).unwrap();
    silent();
    consumer.resume(&[0]).unwrap();
    assert_eq!(next_record(&consumer), "c");
    // Rewinding, as after an abort, and a partition that was not read before.
    consumer.pause(&[0]).unwrap();
    consumer.read_from(&[(0, 0), (1, 0)], LONG).unwrap();
    let mut seen = [(); 4].map(|()| next_record(&consumer));
    seen.sort_unstable();
    assert_eq!(seen, ["a", "b", "c", "d"]);
}

#[test]
fn the_end_is_reported_where_the_true_end_is() {
    let Some(lab) = Lab::new("end", 1) else { return };
    let watermarks = Watermarks::new(&lab.settings("host-0", &[]), &lab.brokers).unwrap();
    let consumer = lab.consumer("host-0");
    join_reading(&consumer);
    let next_end = || {
        poll_until(&consumer, |polled| match polled {
            Polled::End { offset, .. } => Some(offset),
            _ => None,
        })
    };
    assert_eq!(next_end(), 0);
    let mut producer = lab.producer("host-0");
    lab.committed_transaction(&mut producer, &["a"]);
    super::eventually("the end after the commit's own record", || next_end() == 2);
    // An aborted transaction moves the end without a record.
    lab.open_transaction(&mut producer, &["b"]);
    producer.abort().unwrap();
    super::eventually("the end after the abort's own record", || next_end() == 4);
    assert_eq!(watermarks.range(&lab.name, 0, LONG).unwrap(), 0..4);
}

#[test]
fn a_reader_ends_behind_control_records_and_can_start_elsewhere() {
    let Some(lab) = Lab::new("restore", 1) else { return };
    let mut producer = lab.producer("host-0");
    for payload in ["a", "b", "c"] {
        lab.committed_transaction(&mut producer, &[payload]);
    }
    lab.open_transaction(&mut producer, &["aborted"]);
    producer.abort().unwrap();
    // Four records and four marks; the broker answers before it writes the last one.
    super::eventually("the abort is marked", || lab.end() == 8);
    let mut reader = lab.reader(0, lab.end());
    assert_eq!(read(&mut reader), (["a", "b", "c"].map(str::to_owned).to_vec(), "done".to_owned()));
    // A range ends before its end, also where that is a control record.
    for (from, to, seen) in [(0, 2, vec!["a"]), (1, 3, vec!["b"]), (2, 4, vec!["b"]), (5, 8, vec![]), (4, 4, vec![])] {
        reader.start(&lab.name, 0, from, to).unwrap();
        assert_eq!(read(&mut reader), (seen.iter().map(|s| (*s).to_owned()).collect(), "done".to_owned()));
    }
    assert!(reader.close(LONG));
}

#[test]
fn an_offset_that_does_not_exist_is_reported() {
    let Some(lab) = Lab::new("range", 1) else { return };
    lab.publish(0, &["a", "b", "c", "d"]);
    delete_before(&lab, 2);
    assert_eq!(read(&mut lab.reader(0, 4)), (vec![], "0 is out of range".to_owned()));
    assert_eq!(read(&mut lab.reader(99, 100)), (vec![], "99 is out of range".to_owned()));
    assert_eq!(read(&mut lab.reader(2, 4)).0, ["c", "d"]);

    let consumer = lab.consumer("host-0");
    join_reading(&consumer);
    let (offset, reason) = poll_until(&consumer, |polled| match polled {
        Polled::OutOfRange { partition: 0, offset, reason } => Some((offset, reason)),
        Polled::Record(record) => panic!("a silent jump to {}", record.offset()),
        _ => None,
    });
    println!("{reason}");
    assert_eq!(offset, 0);
}

#[test]
fn a_time_finds_its_offset() {
    let Some(lab) = Lab::new("time", 1) else { return };
    let publisher = Publisher::new(&lab.settings("host-0", &[]), MIB, &lab.brokers).unwrap();
    for millis in [1_000, 2_000, 3_000] {
        publisher.send(&Outgoing { timestamp: Some(millis), ..lab.record("x") }).unwrap();
    }
    publisher.flush(LONG).unwrap();
    let watermarks = Watermarks::new(&lab.settings("host-0", &[]), &lab.brokers).unwrap();
    let found = [0, 1_500, 3_000, 9_000].map(|millis| watermarks.at_time(&lab.name, 0, millis, LONG).unwrap());
    assert_eq!(found, [0, 1, 2, 3]);
}

#[test]
fn a_backlog_larger_than_the_queue_is_read_whole() {
    let Some(lab) = Lab::new("backlog", 1) else { return };
    let payload = "x".repeat(500);
    let mut producer = lab.producer("host-0");
    for _ in 0..20 {
        lab.committed_transaction(&mut producer, &vec![payload.as_str(); 2_000]);
    }
    let started = std::time::Instant::now();
    assert_eq!(lab.visible().len(), 40_000);
    println!("40,000 records of 500 bytes in {:?}", started.elapsed());
}

fn delete_before(lab: &Lab, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &lab.bootstrap).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&lab.name, 0, Offset::Offset(offset)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}
