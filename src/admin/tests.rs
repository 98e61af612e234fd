use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Doors, Views};
use crate::inquiry::{Answer, Desk};
use crate::metrics::{GroupSeen, Health, Holder, Metrics};
use crate::settings;

struct House {
    runtime: Runtime,
    metrics: SocketAddr,
    admin: SocketAddr,
    health: Arc<Health>,
    desk: Arc<Desk>,
    close: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// Both doors on free ports, before a single lane.
fn house() -> House {
    let local = "127.0.0.1:0".parse().unwrap();
    let doors = Doors::open(&settings::Metrics { listen: local }, &settings::Admin { listen: local }).unwrap();
    let (metrics, admin) = (doors.metrics_address().unwrap(), doors.admin_address().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shown = Arc::new(Metrics::new("0", "0"));
    let health = Arc::new(Health::new(1, &shown));
    let desk = Arc::new(Desk::default());
    let views = Views {
        metrics: shown,
        health: Arc::clone(&health),
        desk: Arc::clone(&desk),
        board: Arc::default(),
        rules: None,
    };
    let (close, closing) = oneshot::channel::<()>();
    let closing = async move { drop(closing.await) };
    let serving = doors.serve(runtime.handle(), views, closing).unwrap();
    House { runtime, metrics, admin, health, desk, close, serving }
}

/// Status and body of one request.
fn ask(door: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(door).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn the_metrics_door_shows_metrics_and_the_other_does_not() {
    let house = house();
    let (status, text) = ask(house.metrics, "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("\ncohortd_rules_rejected_total 0\n"), "{text}");
    assert_eq!(ask(house.admin, "GET", "/metrics").0, 404);
}

/// Another process holds these, and nobody those.
fn group(held: &[i32], unowned: &[i32]) -> GroupSeen {
    GroupSeen {
        state: "stable",
        holders: vec![Holder { name: "other-0".into(), partitions: held.to_vec() }],
        unowned: unowned.to_vec(),
        unowned_for: Duration::from_secs(4),
    }
}

#[test]
fn ready_says_in_json_what_is_waited_for() {
    let house = house();
    let joining = "{\"detail\":\"Lanes that the group has given no assignment yet: 1, for 0 s; its coordinator does not \
                   answer.\",\"status\":\"joining\"}\n";
    assert_eq!(ask(house.metrics, "GET", "/health/ready"), (503, joining.to_owned()));
    assert_eq!(ask(house.metrics, "GET", "/health/live").0, 200);
    house.health.lane(0).partitions(2, [7]);
    let (status, text) = ask(house.metrics, "GET", "/health/ready");
    assert_eq!(status, 503);
    assert!(text.contains("\"status\":\"restoring\"") && text.contains("\"partitions\":[7]"), "{text}");
    house.health.lane(0).partitions(2, []);
    assert_eq!(ask(house.admin, "GET", "/health/ready"), (200, "{\"status\":\"ok\"}\n".to_owned()));
    house.health.set_group(Some(group(&[0, 1], &[7])));
    let (status, text) = ask(house.admin, "GET", "/health/ready");
    assert_eq!(status, 200, "what others do not read makes this process no less ready");
    let shown = "\"group\":{\"members\":[{\"name\":\"other-0\",\"partitions\":[0,1]}],\"state\":\"stable\",\
                 \"unowned\":[7],\"unowned_seconds\":4}";
    assert!(text.contains(shown), "{text}");
}

#[test]
fn a_customer_is_asked_for_at_the_operators_door_only_and_where_their_partition_is() {
    let house = house();
    assert_eq!(ask(house.metrics, "GET", "/customers/c1").0, 404);
    let (status, text) = ask(house.admin, "GET", "/customers/c1");
    assert_eq!(status, 503);
    assert!(text.contains("\"status\":\"starting\""), "{text}");
    let lanes = house.desk.open(1, 1);
    for (seen, status, word) in [
        (None, 503, "not_assigned"),
        (Some(group(&[], &[])), 503, "not_assigned"),
        (Some(group(&[], &[0])), 503, "unowned"),
        (Some(group(&[0], &[])), 421, "not_here"),
    ] {
        house.health.set_group(seen);
        let (found, text) = ask(house.admin, "GET", "/customers/c1/cohorts/vip");
        assert_eq!(found, status);
        assert!(text.contains(&format!("\"status\":\"{word}\"")) && text.contains("\"partition\":0"), "{text}");
        assert_eq!(text.contains("other-0 has"), status == 421, "{text}");
    }
    lanes[0].has(|_| false, |_| true);
    assert_eq!(ask(house.admin, "GET", "/customers/c1?lang=fr").0, 503);
    assert_eq!(ask(house.admin, "GET", "/customers/c1?lang=de").0, 400);
    lanes[0].has(|_| true, |_| false);
    let answering = std::thread::spawn(move || {
        let question = loop {
            match lanes[0].next() {
                Some(question) => break question,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(question.customer, "c/1 é");
        question.answer(Answer::Unknown);
    });
    let (status, text) = ask(house.admin, "GET", "/customers/c%2F1%20%C3%A9");
    assert_eq!(status, 404);
    assert!(text.contains("\"status\":\"unknown_customer\"") && !text.contains("c/1"), "{text}");
    answering.join().unwrap();
}

#[test]
fn a_wrong_path_or_method_is_told_what_there_is() {
    let house = house();
    let (status, text) = ask(house.metrics, "GET", "/metricz");
    assert_eq!(status, 404);
    assert!(text.contains("/health/ready"), "{text}");
    assert_eq!(ask(house.metrics, "POST", "/metrics").0, 405);
    assert!(ask(house.admin, "GET", "/").1.starts_with("/  "));
}

#[test]
fn an_address_in_use_is_named_with_its_setting() {
    let house = house();
    let free = "127.0.0.1:0".parse().unwrap();
    let taken = settings::Metrics { listen: house.metrics };
    let error = Doors::open(&taken, &settings::Admin { listen: free }).unwrap_err();
    assert_eq!(error.key, "metrics.listen");
    assert!(error.to_string().starts_with(&format!("cannot listen on {} (", house.metrics)), "{error}");
}

#[test]
fn closing_does_not_wait_for_a_connection_that_says_nothing() {
    let House { runtime, metrics, close, serving, .. } = house();
    let _silent = TcpStream::connect(metrics).unwrap();
    ask(metrics, "GET", "/health/live");
    let began = Instant::now();
    close.send(()).unwrap();
    runtime.block_on(serving).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}
