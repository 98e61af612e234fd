//! The client of a producer. rdkafka's own hands every delivery report to the application, one message after the other;
//! this one does so for failures only. The offsets of delivered messages come from an interceptor, on the thread that
//! got the answer.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaType};

use super::super::delivery_reports::{Acknowledged, DeliveryReports, Tag};
use super::super::failure::Cause;
use super::super::record::Report;
use super::produce::set_headers;
use super::{Content, Event, Queue, TransactionError, millis, outcome, text};

/// How long the thread of a client waits for an event before it looks whether the client ends.
const POLL: Duration = Duration::from_millis(100);

/// How long dropping a client waits for the failures of messages that it purges.
const PURGE_FOR: Duration = Duration::from_millis(500);

/// By which librdkafka names the interceptors in its log.
const INTERCEPTOR: &CStr = c"cohortd";

/// A producer's client, and the thread that serves its events.
pub(in super::super) struct ProducerClient {
    client: Arc<Client<DeliveryReports>>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProducerClient {
    /// # Errors
    /// An option that librdkafka refuses, or no thread.
    pub(in super::super) fn new(config: &ClientConfig, reports: DeliveryReports) -> Result<Self, Cause> {
        let what = "creating the producer";
        let failed = |error: &KafkaError| Cause::of(error, what);
        let native = config.create_native_config().map_err(|error| failed(&error))?;
        let acknowledged = Arc::as_ptr(reports.acknowledged()).cast_mut().cast();
        // SAFETY: the configuration is alive. What the interceptors get belongs to the client's context, which outlives
        // librdkafka's part of the client, and is shared between threads.
        let added = unsafe {
            let events = rd::RD_KAFKA_EVENT_DR
                | rd::RD_KAFKA_EVENT_STATS
                | rd::RD_KAFKA_EVENT_ERROR
                | rd::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
            rd::rd_kafka_conf_set_events(native.ptr(), events);
            rd::rd_kafka_conf_interceptor_add_on_new(native.ptr(), INTERCEPTOR.as_ptr(), Some(on_new), acknowledged)
        };
        if Code::from(added) != Code::NoError {
            return Err(Cause::new(added.into(), what, ""));
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, reports);
        let client = Arc::new(client.map_err(|error| failed(&error))?);
        let is_ending = Arc::new(AtomicBool::new(false));
        let thread = {
            let (client, is_ending) = (Arc::clone(&client), Arc::clone(&is_ending));
            thread::Builder::new().name("kafka-producer".to_owned()).spawn(move || serve(&client, &is_ending))
        };
        let thread = thread.map_err(|error| Cause::new(Code::Fail, what, &error.to_string()))?;
        Ok(Self { client, is_ending, thread: Some(thread) })
    }

    pub(in super::super) fn client(&self) -> &Client<DeliveryReports> {
        &self.client
    }

    pub(in super::super) fn reports(&self) -> &DeliveryReports {
        self.client.context()
    }

    pub(in super::super) fn init_transactions(&self, limit: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the call gives an error or null.
        unsafe { outcome(rd::rd_kafka_init_transactions(self.client.native_ptr(), millis(limit))) }
    }

    pub(in super::super) fn begin_transaction(&self) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the call gives an error or null.
        unsafe { outcome(rd::rd_kafka_begin_transaction(self.client.native_ptr())) }
    }

    /// Without a time limit. Waits for all messages first.
    pub(in super::super) fn commit_transaction(&self) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the call gives an error or null.
        unsafe { outcome(rd::rd_kafka_commit_transaction(self.client.native_ptr(), -1)) }
    }

    pub(in super::super) fn abort_transaction(&self, limit: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the call gives an error or null.
        unsafe { outcome(rd::rd_kafka_abort_transaction(self.client.native_ptr(), millis(limit))) }
    }
}

impl Drop for ProducerClient {
    fn drop(&mut self) {
        // SAFETY: the client is alive.
        unsafe {
            let all = rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT;
            rd::rd_kafka_purge(self.client.native_ptr(), all);
        }
        super::flush(&self.client, PURGE_FOR);
        self.is_ending.store(true, Ordering::Release);
        if let Some(queue) = Queue::main(&self.client) {
            queue.wake();
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!(target: "kafka", "The thread of a producer panicked.");
        }
    }
}

/// Handles the events of a client until it ends.
fn serve(client: &Client<DeliveryReports>, is_ending: &AtomicBool) {
    let Some(queue) = Queue::main(client) else { return };
    while !is_ending.load(Ordering::Acquire) {
        if let Some(event) = queue.poll(POLL) {
            handle(event, client.context());
        }
    }
}

fn handle(event: Event<'_>, reports: &DeliveryReports) {
    // SAFETY: the event is alive.
    if unsafe { rd::rd_kafka_event_type(event.ptr.as_ptr()) } == rd::RD_KAFKA_EVENT_DR {
        // SAFETY: the messages of an event live as long as it does.
        while let Some(message) = unsafe { rd::rd_kafka_event_message_next(event.ptr.as_ptr()).as_ref() } {
            let code = Code::from(message.err);
            if code != Code::NoError {
                // SAFETY: the message's topic is alive as long as the message.
                let topic = unsafe { text(rd::rd_kafka_topic_name(message.rkt)) };
                reports.failed(code, &topic, message.partition, Tag::read(message._private.addr()));
            }
        }
        return;
    }
    match event.content() {
        Content::Log { level, facility, line } => reports.log(level, &facility, &line),
        Content::Error(error) => reports.error(error.code, &error.text),
        Content::Statistics(json) => reports.statistics(&json),
        Content::Record(_) | Content::Rebalance { .. } | Content::Other => {}
    }
}

/// Adds the other interceptors to a new client.
unsafe extern "C" fn on_new(
    client: *mut rd::rd_kafka_t,
    _: *const rd::rd_kafka_conf_t,
    acknowledged: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> rd::rd_kafka_resp_err_t {
    // SAFETY: librdkafka passes the new client, and what was given to it with this function.
    unsafe {
        let name = INTERCEPTOR.as_ptr();
        rd::rd_kafka_interceptor_add_on_send(client, name, Some(on_send), acknowledged);
        rd::rd_kafka_interceptor_add_on_acknowledgement(client, name, Some(on_acknowledgement), acknowledged)
    }
}

/// A message is about to be queued, by the thread that sends it.
unsafe extern "C" fn on_send(
    _: *mut rd::rd_kafka_t,
    message: *mut rd::rd_kafka_message_t,
    _: *mut c_void,
) -> rd::rd_kafka_resp_err_t {
    // SAFETY: librdkafka passes a message that nobody else knows yet.
    unsafe { set_headers(message) };
    rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// A message was delivered or failed. Failures are reported as events.
unsafe extern "C" fn on_acknowledgement(
    _: *mut rd::rd_kafka_t,
    message: *mut rd::rd_kafka_message_t,
    acknowledged: *mut c_void,
) -> rd::rd_kafka_resp_err_t {
    let ok = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: librdkafka passes a message that is alive, with its topic, and what was given to it with this function:
    // an `Acknowledged` of the client's context.
    unsafe {
        let message = &*message;
        // A retry that turned out to be a duplicate is reported without an offset.
        if message.err == ok && message.offset >= 0 && Tag::read(message._private.addr()).report == Report::Offset {
            let topic = CStr::from_ptr(rd::rd_kafka_topic_name(message.rkt));
            (*acknowledged.cast_const().cast::<Acknowledged>()).note(topic, message.partition, message.offset);
        }
    }
    ok
}

impl Queue {
    /// The queue of a client's own events.
    fn main(client: &Client<DeliveryReports>) -> Option<Self> {
        // SAFETY: the client is alive; the call returns a new reference.
        NonNull::new(unsafe { rd::rd_kafka_queue_get_main(client.native_ptr()) }).map(Self)
    }

    /// Ends a wait of another thread.
    fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd::rd_kafka_queue_yield(self.0.as_ptr()) }
    }
}
