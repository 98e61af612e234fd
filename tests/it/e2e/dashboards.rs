//! What the dashboards ask for is there: every query of every panel, asked of a real Prometheus that scrapes a running daemon
//! with a shop's history behind it, and another one that gathers sources, a forecast that is a week old, and customers who come and go.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cohortd::clock::wall_clock;
use cohortd::event::{Number, Span};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::clocks::Clock;
use super::lab::{Lab, Writer};
use super::shop::{self, Random};
use super::{avro, churn, eventually};
use crate::alerts::has;
use crate::dashboards::{boards, panels};
use crate::naive::OwnedValue;
use crate::support::broker::free_ports;

const RULES: &str = r#"
[churn]
on          = "purchase"
amount      = "purchase.amount"
currency    = "EUR"
horizon     = "30 days"
min_silence = "5 days"

[cohorts.slipping]
who  = "churn_risk >= 80"
stay = "churn_risk >= 60"

[cohorts.lost]
who = "churn_level = lost"

[cohorts.best]
who = "among the 20 highest by sum(purchase.amount in the last 365 days)"

[cohorts.looking]
who = "did visit in the last 3 seconds"
"#;

/// The same in a time zone in which it is about noon: the day must not end between the two surveys that are compared.
fn rules_at_noon() -> String {
    let hours = 12 - wall_clock().0.rem_euclid(Span::DAY.0) / Span::HOUR.0;
    // These names count westwards.
    let zone = if hours == 0 { "UTC".to_owned() } else { format!("Etc/GMT{:+}", -hours) };
    format!("time_zone = \"{zone}\"\n{RULES}")
}

const WEEK: Span = Span(7 * Span::DAY.0);

fn send(writer: &Writer, number: usize, customer: &str, name: &str, at: i64, amount: i64) {
    let mut event = avro::event(customer, name, at, Some(format!("e{number}")));
    event.properties.push(("amount".into(), OwnedValue::Number(Number::from_integer(amount))));
    writer.send(customer, &avro::encode(&event));
}

/// Customers who visit and leave, until stopped. Some of them buy, however long ago they did before: their risk falls,
/// whatever the model has learnt.
fn visits(lab: &Lab, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (writer, stop) = (lab.writer(), Arc::clone(stop));
    thread::spawn(move || {
        let mut number = 1_000_000;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let name = if number % 7 == 0 { "purchase" } else { "visit" };
            send(&writer, number, &format!("c{}", number % 120), name, wall_clock().0, 1);
            thread::sleep(Duration::from_millis(100));
        }
        writer.flush();
    })
}

/// Two sources, as a group of its own gathers them; what they send is partly skipped, and partly of no use.
const SOURCES: &str = r#"
[sources.clicks]
topic = "{name}-clicks"
format = "json"
customer = "who"
time = { field = "ts", unit = "milliseconds" }
event = { field = "action", names = { look = "visit" } }
"#;

/// Clicks, until stopped.
fn clicks(lab: &Lab, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (writer, stop) = (lab.writer_to("clicks"), Arc::clone(stop));
    thread::spawn(move || {
        for number in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (action, at) = (["look", "scroll"][usize::from(number % 3 == 0)], wall_clock().0);
            let click = format!("{{\"who\": \"c{}\", \"ts\": {at}, \"action\": \"{action}\"}}", number % 20);
            writer.send("session", if number % 20 == 19 { b"nonsense" } else { click.as_bytes() });
            thread::sleep(Duration::from_millis(100));
        }
        writer.flush();
    })
}

/// Prometheus, scraping daemons each second.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    fn start(lab: &Lab, daemons: &[String]) -> Self {
        let [port] = free_ports();
        let address = format!("127.0.0.1:{port}");
        let daemons = daemons.iter().map(|daemon| format!("'{daemon}'")).collect::<Vec<_>>().join(", ");
        let settings = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: cohortd\n    static_configs: [{{targets: [{daemons}]}}]\n"
        );
        fs::write(lab.path("prometheus.yml"), settings).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", lab.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", lab.path("prometheus").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(lab.path("prometheus.log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// The result of a query; `None` while Prometheus does not answer.
    fn ask(&self, query: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        assert!(answer["status"] == "success" || answer["errorType"] == "unavailable", "{query}: {answer}");
        Some(answer["data"]["result"].clone())
    }

    /// Waits until a query brings a number.
    fn brings(&self, what: &str, query: &str) {
        let query = filled_in(query);
        eventually(&format!("{what}: {query}"), || {
            let found = self.ask(&query)?;
            let is_number = |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
            found.as_array()?.iter().any(is_number).then_some(())
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// As Grafana does with all jobs, processes and cohorts chosen.
fn filled_in(query: &str) -> String {
    let all = ["$job", "$instance", "$cohort"].iter().fold(query.to_owned(), |query, name| query.replace(name, ".*"));
    let whole = all.replace("$__rate_interval", "20s");
    assert!(!whole.contains('$'), "{query} asks for a variable that there is not");
    whole
}

#[test]
fn every_query_of_the_dashboards_brings_something_from_a_running_daemon() {
    if !has("prometheus") {
        return;
    }
    let Some(lab) = Lab::new("dashboards", 2, &rules_at_noon()) else { return };
    let Some(clock) = Clock::new(&lab) else { return };
    let mut random = Random::seeded("dashboards");
    let sets = [
        &shop::SETS[..],
        &["ranks.refresh=1 s", "time.live_after=10 s", "state.flush_after_events=300", "state.flush_after=1 s"],
    ]
    .concat();
    let (week_ago, writer) = (wall_clock().0 - WEEK.0, lab.writer());
    let bought = churn::history(&mut random, wall_clock().0 - 60_000);
    let (before, after) = bought.split_at(bought.partition_point(|(at, _)| *at < week_ago - 60_000));
    let amount = |number: usize| 1 + i64::try_from(number * 7 % 90).unwrap();
    // A week ago, as far as the daemon knows: what it foretells then is compared with what came.
    clock.is_off_by(-WEEK.0 / 1_000);
    let mut daemon = lab.start_with(&clock.environment, "one", &sets);
    churn::sell(&lab, &lab.rules, before, |number, at, customer| {
        send(&writer, number, customer, "purchase", at, amount(number));
    });
    writer.flush();
    eventually("parameters are trained, and a week is forecast", || {
        let metrics = daemon.metrics();
        let is_learnt = metrics["cohortd_churn_parameters_version"] > 0.0;
        (is_learnt && metrics.contains_key("cohortd_cohort_forecast_changes")).then_some(())
    });
    eventually("the forecast is published", || (!lab.read("forecasts").concat().is_empty()).then_some(()));
    daemon.stop();
    clock.is_off_by(0);
    for (number, (at, customer)) in (before.len()..).zip(after) {
        send(&writer, number, customer, "purchase", *at, amount(number));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let shop = visits(&lab, &stop);
    let mut daemon = lab.start("one", &sets);
    daemon.ready();
    let rules = "[cohorts.seen]\nwho = 'did visit ever'\n";
    let Some(other) = Lab::gathering("dashboards-sources", 1, rules, &[("clicks", 2)], SOURCES) else { return };
    let desk = clicks(&other, &stop);
    let mut gathering = other.start("one", &["time.live_after=1 s"]);
    gathering.ready();
    let prometheus = Prometheus::start(&lab, &[daemon.address("metrics"), gathering.address("metrics")]);
    let (mut queries, all) = (0, panels());
    for panel in &all {
        for query in panel.queries() {
            prometheus.brings(&panel.title, query);
            queries += 1;
        }
    }
    for (name, board) in boards() {
        for variable in board["templating"]["list"].as_array().unwrap().iter().skip(1) {
            let query = variable["query"]["query"].as_str().unwrap();
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (series, label) = inside.rsplit_once(", ").unwrap();
            prometheus.brings(name, &format!("group by ({label}) ({series})"));
        }
    }
    println!("{queries} queries of {} panels brought something", all.len());
    keep_for_a_look(&prometheus);
    stop.store(true, Ordering::Relaxed);
    shop.join().unwrap();
    desk.join().unwrap();
    daemon.stop();
    gathering.stop();
}

/// `COHORTD_LOOK=SECONDS` leaves all of it running, to look at the dashboards.
fn keep_for_a_look(prometheus: &Prometheus) {
    if let Some(seconds) = std::env::var_os("COHORTD_LOOK").and_then(|seconds| seconds.to_str()?.parse().ok()) {
        println!("Prometheus answers at http://{} for {seconds} s", prometheus.address);
        thread::sleep(Duration::from_secs(seconds));
    }
}
