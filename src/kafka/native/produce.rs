//! Handing records to librdkafka. rdkafka does the same, with a string for the topic and for the name of each header, and
//! looks the topic up by its name under the client's lock, for every record.
//!
//! Records of one partition are handed over together, for which librdkafka takes its locks and reads its clocks once. That
//! call takes no headers: they are added by an interceptor, while each record is queued ([`set_headers`]).

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::ptr::{self, NonNull};

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::delivery_reports::Tag;
use super::super::record::{Headers, Outgoing};

/// A topic of one client.
struct Topic {
    name: String,
    handle: NonNull<rd::rd_kafka_topic_t>,
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the reference was taken when this value was made and is given back once. The client is alive, by the
        // contract of `Topics`.
        unsafe { rd::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

/// The topics that a client has written to.
///
/// They point into the client: in a struct, declare them before it, so that they are dropped first.
#[derive(Default)]
pub(in super::super) struct Topics(RefCell<Vec<Topic>>);

// SAFETY: librdkafka's topics are locked inside and may be used from any thread.
unsafe impl Send for Topics {}

impl Topics {
    /// The topic of a client, always the same one for the life of this value.
    fn of<C: ClientContext>(&self, client: &Client<C>, name: &str) -> Result<*mut rd::rd_kafka_topic_t, Code> {
        let mut topics = self.0.borrow_mut();
        if let Some(topic) = topics.iter().find(|topic| topic.name == name) {
            return Ok(topic.handle.as_ptr());
        }
        let text = CString::new(name).map_err(|_| Code::InvalidTopic)?;
        // SAFETY: the client and the name are alive; without a configuration the client's own is used.
        let handle = unsafe { rd::rd_kafka_topic_new(client.native_ptr(), text.as_ptr(), ptr::null_mut()) };
        let handle = NonNull::new(handle).ok_or(Code::InvalidTopic)?;
        topics.push(Topic { name: name.to_owned(), handle });
        Ok(handle.as_ptr())
    }
}

/// Headers as librdkafka keeps them, until it takes them with a record.
struct HeaderList(NonNull<rd::rd_kafka_headers_t>);

impl HeaderList {
    /// `None` where there are no headers.
    fn of(headers: Headers<'_>) -> Option<Self> {
        let count = headers.iter().count();
        if count == 0 {
            return None;
        }
        // SAFETY: the list is made here and owned by the returned value; names and values are copied.
        unsafe {
            let list = NonNull::new(rd::rd_kafka_headers_new(count)).expect("librdkafka ends the process instead");
            for (name, value) in headers.iter() {
                let (name_size, value_size) = (name.len().cast_signed(), value.len().cast_signed());
                rd::rd_kafka_header_add(
                    list.as_ptr(),
                    name.as_ptr().cast(),
                    name_size,
                    value.as_ptr().cast(),
                    value_size,
                );
            }
            Some(Self(list))
        }
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: owned, and destroyed once.
        unsafe { rd::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

/// A record on its way into the queue.
pub(in super::super) struct Produced<'a> {
    record: &'a Outgoing<'a>,
    headers: Option<HeaderList>,
}

impl<'a> Produced<'a> {
    pub(in super::super) fn new(record: &'a Outgoing<'a>) -> Self {
        Self { record, headers: HeaderList::of(record.headers) }
    }

    /// Queues the record, whose bytes are copied; immediate. `opaque` comes back with its delivery report. May be called
    /// again after a failure, and not after success.
    pub(in super::super) fn queue<C: ClientContext>(
        &mut self,
        client: &Client<C>,
        topics: &Topics,
        opaque: usize,
    ) -> Result<(), Code> {
        use rd::rd_kafka_vtype_t as Kind;
        let record = self.record;
        let topic = topics.of(client, record.topic)?;
        let headers = self.headers.as_ref().map_or(ptr::null_mut(), |list| list.0.as_ptr());
        let bytes = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => Memory { ptr: bytes.as_ptr().cast_mut().cast(), size: bytes.len() },
            None => Memory { ptr: ptr::null_mut(), size: 0 },
        };
        let arguments = [
            argument(Kind::RD_KAFKA_VTYPE_RKT, Argument { rkt: topic }),
            argument(Kind::RD_KAFKA_VTYPE_PARTITION, Argument { i32_: record.partition }),
            argument(Kind::RD_KAFKA_VTYPE_MSGFLAGS, Argument { i: rd::RD_KAFKA_MSG_F_COPY }),
            argument(Kind::RD_KAFKA_VTYPE_VALUE, Argument { mem: bytes(record.payload) }),
            argument(Kind::RD_KAFKA_VTYPE_KEY, Argument { mem: bytes(record.key) }),
            argument(Kind::RD_KAFKA_VTYPE_OPAQUE, Argument { ptr: ptr::without_provenance_mut(opaque) }),
            argument(Kind::RD_KAFKA_VTYPE_TIMESTAMP, Argument { i64_: record.timestamp.unwrap_or(0) }),
            argument(Kind::RD_KAFKA_VTYPE_HEADERS, Argument { headers }),
        ];
        // SAFETY: client, topic and everything that the arguments point to are alive during the call, which copies value
        // and key. It takes the headers only where it succeeds. A returned error is read and destroyed here.
        unsafe {
            let error = rd::rd_kafka_produceva(client.native_ptr(), arguments.as_ptr(), arguments.len());
            if error.is_null() {
                if let Some(taken) = self.headers.take() {
                    std::mem::forget(taken);
                }
                return Ok(());
            }
            let code = rd::rd_kafka_error_code(error).into();
            rd::rd_kafka_error_destroy(error);
            Err(code)
        }
    }
}

thread_local! {
    /// The records that this thread hands over now, if it does so together.
    static TOGETHER: Cell<Option<NonNull<Together<'static>>>> = const { Cell::new(None) };
}

/// Records of one partition, handed over together.
struct Together<'a> {
    records: &'a [Outgoing<'a>],
    /// The number of each.
    numbers: &'a [usize],
    /// The next one to be queued is at or after this position.
    next: Cell<usize>,
}

/// Adds the headers of a message that is queued with others.
///
/// # Safety
/// `message` is one of a producer that only the caller uses.
pub(super) unsafe fn set_headers(message: *mut rd::rd_kafka_message_t) {
    let Some(together) = TOGETHER.get() else { return };
    // SAFETY: `queue_together` sets it for as long as the records are borrowed, on this thread.
    let together = unsafe { together.as_ref() };
    // SAFETY: by the contract of this function.
    let number = Tag::read(unsafe { (*message)._private.addr() }).number;
    let left = together.numbers.get(together.next.get()..).unwrap_or_default();
    let Some(position) = left.iter().position(|known| *known == number) else { return };
    let position = together.next.get() + position;
    together.next.set(position + 1);
    if let Some(headers) = HeaderList::of(together.records[position].headers) {
        // SAFETY: the message has no headers yet, and takes these.
        unsafe { rd::rd_kafka_message_set_headers(message, headers.0.as_ptr()) };
        std::mem::forget(headers);
    }
}

/// Queues records of one topic and partition, whose bytes are copied, with their numbers; immediate. Those after the first
/// one that the full queue did not take are not queued either.
///
/// Returns the position and the error of the first record that was not queued.
pub(in super::super) fn queue_together<C: ClientContext>(
    client: &Client<C>,
    topics: &Topics,
    records: &[Outgoing<'_>],
    numbers: &[usize],
    messages: &mut Messages,
) -> Result<(), (usize, Code)> {
    let Some(first) = records.first() else { return Ok(()) };
    let topic = topics.of(client, first.topic).map_err(|code| (0, code))?;
    let bytes = |bytes: Option<&[u8]>| bytes.map_or((ptr::null_mut(), 0), |b| (b.as_ptr().cast_mut().cast(), b.len()));
    messages.0.clear();
    messages.0.extend(records.iter().zip(numbers).map(|(record, number)| {
        let ((payload, len), (key, key_len)) = (bytes(record.payload), bytes(record.key));
        let tag = Tag { number: *number, report: record.report }.opaque();
        rd::rd_kafka_message_t {
            err: rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: record.partition,
            payload,
            len,
            key,
            key_len,
            offset: 0,
            _private: ptr::without_provenance_mut(tag),
        }
    }));
    let count = messages.0.len().try_into().expect("few records are handed over together");
    let together = Together { records, numbers, next: Cell::new(0) };
    TOGETHER.set(Some(NonNull::from(&together).cast()));
    // SAFETY: client, topic and everything that the messages point to are alive during the call, which copies values and
    // keys, and calls the interceptor on this thread.
    unsafe {
        let copied = rd::RD_KAFKA_MSG_F_COPY;
        rd::rd_kafka_produce_batch(topic, first.partition, copied, messages.0.as_mut_ptr(), count);
    }
    TOGETHER.set(None);
    let failed = messages.0.iter().position(|message| Code::from(message.err) != Code::NoError);
    failed.map_or(Ok(()), |position| match Code::from(messages.0[position].err) {
        // SAFETY: the client is alive; the text of the error is not asked for.
        Code::Fatal => {
            Err((position, unsafe { rd::rd_kafka_fatal_error(client.native_ptr(), ptr::null_mut(), 0) }.into()))
        }
        code => Err((position, code)),
    })
}

/// Memory for [`queue_together`], used again. It is not read between two calls, so its pointers may dangle then.
#[derive(Default)]
pub(in super::super) struct Messages(Vec<rd::rd_kafka_message_t>);

// SAFETY: the pointers in it are used during a call only.
unsafe impl Send for Messages {}

type Argument = rd::rd_kafka_vu_s__bindgen_ty_1;
type Memory = rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1;

fn argument(vtype: rd::rd_kafka_vtype_t, u: Argument) -> rd::rd_kafka_vu_t {
    rd::rd_kafka_vu_t { vtype, u }
}
