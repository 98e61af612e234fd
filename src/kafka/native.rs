//! What rdkafka does not expose safely, taken from librdkafka itself: events with their partition and offset (rdkafka
//! reports an error or an end of partition without saying where), the fields of the group metadata (rdkafka's type is
//! opaque), a flush that ends with the last message, admin requests, and the destruction of a consumer.
#![expect(unsafe_code, reason = "the one place that calls librdkafka directly; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::timestamp::Timestamp;
use crate::prefetch::prefetch_from;

pub(super) mod ask;
pub(super) mod produce;
pub(super) mod producing;

pub(super) use rdkafka::client::Client;

/// librdkafka takes whole milliseconds; anything longer than 24 days is capped.
fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// # Safety
/// `text` is null or a NUL-terminated string that outlives the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}

/// A source of events: the queue of a consumer, or one created for an admin request.
///
/// A queue holds its own reference, but its events point into the client: in a struct, declare a queue before its
/// client, so that it is dropped first.
pub(super) struct Queue(NonNull<rd::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues are locked inside and may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// The queue on which a consumer with a group id receives everything: records, rebalances, errors, log lines.
    pub(super) fn of_consumer<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client is alive; the call returns a new reference, or null without a group id.
        NonNull::new(unsafe { rd::rd_kafka_queue_get_consumer(client.native_ptr()) }).map(Self)
    }

    fn of_request<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client is alive; the queue belongs to this value.
        NonNull::new(unsafe { rd::rd_kafka_queue_new(client.native_ptr()) }).map(Self)
    }

    /// The next event, waiting at most `timeout` for it. Polling the queue of a consumer resets `max.poll.interval.ms`.
    pub(super) fn poll(&self, timeout: Duration) -> Option<Event<'_>> {
        // SAFETY: the queue is alive; the event is owned by the returned value and destroyed once.
        let event = unsafe { rd::rd_kafka_queue_poll(self.0.as_ptr(), millis(timeout)) };
        NonNull::new(event).map(|ptr| Event { ptr, queue: PhantomData })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference was taken when this value was made and is given back once.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// A consumer that is destroyed without being closed.
///
/// Closing asks the application to give up its partitions and waits for the acknowledgement, by requests to a queue
/// that librdkafka may have stopped serving a moment before: such a request waits forever (librdkafka issue 4884).
/// Nothing needs closing: offsets are committed in transactions, and a static member does not leave. The partitions are
/// given up without asking.
pub(super) struct Unclosed<C: ConsumerContext>(ManuallyDrop<BaseConsumer<C>>);

impl<C: ConsumerContext> Unclosed<C> {
    pub(super) fn new(client: BaseConsumer<C>) -> Self {
        Self(ManuallyDrop::new(client))
    }
}

impl<C: ConsumerContext> Deref for Unclosed<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<C: ConsumerContext> Drop for Unclosed<C> {
    fn drop(&mut self) {
        // An unacknowledged assignment, polled or not, is the only thing that librdkafka waits for here. Clients that
        // read outside a group get an error for this, and do not need it.
        self.0.incremental_assign(&TopicPartitionList::new()).ok();
        // SAFETY: the client is destroyed here, once, and not used again: what rdkafka holds of it is leaked, that is
        // its context and a queue handle, some hundred bytes. Records borrow the client, so none is left.
        unsafe {
            rd::rd_kafka_destroy_flags(self.0.client().native_ptr(), rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// One event, and the memory a fetched record lives in.
pub(super) struct Event<'a> {
    ptr: NonNull<rd::rd_kafka_event_t>,
    queue: PhantomData<&'a Queue>,
}

/// What a rebalance does with the partitions that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Assign,
    Revoke,
}

/// The content of an event.
pub(super) enum Content<'a> {
    Record(Fetched<'a>),
    Rebalance {
        change: Change,
        /// Topics and partitions.
        partitions: Vec<(String, i32)>,
    },
    Error(Error),
    Log {
        level: i32,
        facility: String,
        line: String,
    },
    /// librdkafka's statistics, as JSON.
    Statistics(Vec<u8>),
    /// Offset commits, token refreshes: not used in this module.
    Other,
}

/// An error event. `place` is set when the error concerns one partition, of `topic`: the partition and the offset reached.
pub(super) struct Error {
    pub(super) code: RDKafkaErrorCode,
    pub(super) fatal: bool,
    pub(super) text: String,
    pub(super) place: Option<(i32, i64)>,
    pub(super) topic: String,
}

impl<'a> Event<'a> {
    pub(super) fn content(self) -> Content<'a> {
        let event = self.ptr.as_ptr();
        // SAFETY: the event is alive and owned by `self`; everything read from it is copied before it is destroyed,
        // except a fetched message, which takes the event with it.
        unsafe {
            match rd::rd_kafka_event_type(event) {
                rd::RD_KAFKA_EVENT_FETCH => match NonNull::new(rd::rd_kafka_event_message_next(event).cast_mut()) {
                    Some(message) => Content::Record(Fetched { event: self, message }),
                    None => Content::Other,
                },
                rd::RD_KAFKA_EVENT_REBALANCE => {
                    let change = match rd::rd_kafka_event_error(event) {
                        rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assign,
                        _ => Change::Revoke,
                    };
                    let list = rd::rd_kafka_event_topic_partition_list(event);
                    let partitions = elements(list).iter().map(|e| (text(e.topic), e.partition)).collect();
                    Content::Rebalance { change, partitions }
                }
                rd::RD_KAFKA_EVENT_ERROR => {
                    let mut topic = String::new();
                    let place = NonNull::new(rd::rd_kafka_event_topic_partition(event)).map(|at| {
                        let place = (at.as_ref().partition, at.as_ref().offset);
                        topic = text(at.as_ref().topic);
                        rd::rd_kafka_topic_partition_destroy(at.as_ptr());
                        place
                    });
                    Content::Error(Error {
                        code: rd::rd_kafka_event_error(event).into(),
                        fatal: rd::rd_kafka_event_error_is_fatal(event) != 0,
                        text: text(rd::rd_kafka_event_error_string(event)),
                        place,
                        topic,
                    })
                }
                rd::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
                    if rd::rd_kafka_event_log(event, &raw mut facility, &raw mut line, &raw mut level) != 0 {
                        return Content::Other;
                    }
                    Content::Log { level, facility: text(facility), line: text(line) }
                }
                rd::RD_KAFKA_EVENT_STATS => {
                    let json = rd::rd_kafka_event_stats(event);
                    if json.is_null() {
                        return Content::Other;
                    }
                    Content::Statistics(CStr::from_ptr(json).to_bytes().to_vec())
                }
                _ => Content::Other,
            }
        }
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: owned, and destroyed once.
        unsafe { rd::rd_kafka_event_destroy(self.ptr.as_ptr()) }
    }
}

/// What librdkafka has of a message beyond what it shows, its timestamp for one, follows in memory.
const MESSAGE_BYTES: usize = 192;

/// A fetched message and the event that keeps its memory.
pub(super) struct Fetched<'a> {
    #[expect(dead_code, reason = "keeps the message's memory alive")]
    event: Event<'a>,
    message: NonNull<rd::rd_kafka_message_t>,
}

impl Fetched<'_> {
    fn message(&self) -> &rd::rd_kafka_message_t {
        // SAFETY: the message lives as long as the event beside it.
        unsafe { self.message.as_ref() }
    }

    /// Empty where it is no text in UTF-8, which Kafka does not allow.
    pub(super) fn topic(&self) -> &str {
        // SAFETY: the message's topic is alive as long as the message, and its name a NUL-terminated string in it.
        let name = unsafe {
            let name = rd::rd_kafka_topic_name(self.message().rkt);
            if name.is_null() { c"" } else { CStr::from_ptr(name) }
        };
        name.to_str().unwrap_or_default()
    }

    pub(super) fn prefetch(&self) {
        prefetch_from(self.message(), MESSAGE_BYTES);
    }

    pub(super) fn partition(&self) -> i32 {
        self.message().partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.message().offset
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: librdkafka gives pointer and length of the key, or null for none.
        (!message.key.is_null()).then(|| unsafe { slice::from_raw_parts(message.key.cast(), message.key_len) })
    }

    pub(super) fn payload(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: librdkafka gives pointer and length of the payload, or null for none.
        (!message.payload.is_null()).then(|| unsafe { slice::from_raw_parts(message.payload.cast(), message.len) })
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let millis = unsafe { rd::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        match kind {
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(millis),
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => Timestamp::LogAppendTime(millis),
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
        }
    }

    /// The header at `index`, or nothing past the last one.
    pub(super) fn header(&self, index: usize) -> Option<(&[u8], Option<&[u8]>)> {
        let mut headers = ptr::null_mut();
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the message is alive; librdkafka parses its headers on the first call and keeps them with it, so that
        // name and value live as long as the message.
        unsafe {
            let ok = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
            if rd::rd_kafka_message_headers(self.message.as_ptr(), &raw mut headers) != ok
                || rd::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size) != ok
            {
                return None;
            }
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast(), size));
            Some((CStr::from_ptr(name).to_bytes(), value))
        }
    }
}

/// # Safety
/// `list` is null or a list that outlives `'a`.
unsafe fn elements<'a>(list: *const rd::rd_kafka_topic_partition_list_t) -> &'a [rd::rd_kafka_topic_partition_t] {
    // SAFETY: by the contract of this function.
    match unsafe { list.as_ref() } {
        Some(list) if !list.elems.is_null() => {
            // SAFETY: `cnt` elements stand at `elems`.
            unsafe { slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0)) }
        }
        _ => &[],
    }
}

/// The metadata of each offset of a list, in its order. Bytes, because another program may have written them; rdkafka
/// panics if they are not UTF-8.
pub(super) fn metadata(list: &TopicPartitionList) -> Vec<Vec<u8>> {
    // SAFETY: the list is alive; the bytes are copied.
    unsafe { elements(list.ptr()) }.iter().map(metadata_of).collect()
}

/// The metadata of an element of a list that is alive.
fn metadata_of(element: &rd::rd_kafka_topic_partition_t) -> Vec<u8> {
    match element.metadata.is_null() {
        true => Vec::new(),
        // SAFETY: pointer and size belong together; the bytes are copied.
        false => unsafe { slice::from_raw_parts(element.metadata.cast(), element.metadata_size) }.to_vec(),
    }
}

/// The group metadata of a consumer at one instant: a broker checks the offsets of a transaction against it.
pub(super) struct Group(NonNull<rd::rd_kafka_consumer_group_metadata_t>);

impl Group {
    pub(super) fn of<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client is alive; the returned object is owned by this value.
        NonNull::new(unsafe { rd::rd_kafka_consumer_group_metadata(client.native_ptr()) }).map(Self)
    }

    /// -1 while the consumer is no member.
    pub(super) fn generation(&self) -> i32 {
        // SAFETY: alive.
        unsafe { rd::rd_kafka_consumer_group_metadata_generation_id(self.0.as_ptr()) }
    }

    pub(super) fn member(&self) -> String {
        // SAFETY: alive; the text is copied.
        unsafe { text(rd::rd_kafka_consumer_group_metadata_member_id(self.0.as_ptr())) }
    }
}

// SAFETY: the object is a copy of texts and numbers that nothing changes.
unsafe impl Send for Group {}
// SAFETY: as above; reading it from several threads is reading.
unsafe impl Sync for Group {}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: owned, and destroyed once.
        unsafe { rd::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

/// An error of the transactional API, with the flags that tell how to handle it.
pub(super) struct TransactionError {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
    pub(super) retriable: bool,
    pub(super) abortable: bool,
}

/// # Safety
/// `error` is null or an error that belongs to the caller; it is destroyed here.
unsafe fn outcome(error: *mut rd::rd_kafka_error_t) -> Result<(), TransactionError> {
    let Some(error) = NonNull::new(error).map(NonNull::as_ptr) else { return Ok(()) };
    // SAFETY: by the contract of this function; everything is copied before it is destroyed.
    unsafe {
        let found = TransactionError {
            code: rd::rd_kafka_error_code(error).into(),
            text: text(rd::rd_kafka_error_string(error)),
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
            abortable: rd::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        rd::rd_kafka_error_destroy(error);
        Err(found)
    }
}

/// Adds offsets to the open transaction; blocks for at most its remaining time.
pub(super) fn send_offsets<C: ClientContext>(
    client: &Client<C>,
    offsets: &TopicPartitionList,
    group: &Group,
) -> Result<(), TransactionError> {
    // SAFETY: client, list and metadata are alive during the call; a returned error is read and destroyed here.
    unsafe {
        let error = rd::rd_kafka_send_offsets_to_transaction(client.native_ptr(), offsets.ptr(), group.0.as_ptr(), -1);
        outcome(error)
    }
}

/// Waits until every message is acknowledged and its delivery report handled, ignoring `linger.ms`; false after
/// `timeout`. Ends with the last message, whereas rdkafka's own flush sleeps in steps of 100 ms.
pub(super) fn flush<C: ClientContext>(client: &Client<C>, timeout: Duration) -> bool {
    // SAFETY: the client is alive.
    let outcome = unsafe { rd::rd_kafka_flush(client.native_ptr(), millis(timeout)) };
    outcome == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// The end of a partition that is fetched, as of the last answer; `None`: there was none yet.
pub(super) fn known_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (0, 0);
    // SAFETY: the client and the topic's name are alive during the call, which only reads what is cached.
    let outcome = unsafe {
        rd::rd_kafka_get_watermark_offsets(client.native_ptr(), topic.as_ptr(), partition, &raw mut low, &raw mut high)
    };
    (outcome == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The controller of the cluster, from the last metadata; negative for none.
pub(super) fn controller<C: ClientContext>(client: &Client<C>) -> i32 {
    // SAFETY: the client is alive; with a timeout of zero only cached metadata is returned.
    unsafe { rd::rd_kafka_controllerid(client.native_ptr(), 0) }
}
