//! The parts of librdkafka's admin API that rdkafka does not offer: the id of a topic, the end offsets of many
//! partitions at once, the members of a group and its committed offsets, permissions, and why a topic cannot be
//! created.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::super::consumer::Committed;
use super::super::group_description::{GroupMember, GroupState, GroupView};
use super::super::permissions::{Allowed, Operation};
use super::{Event, Queue, elements, metadata_of, millis, text};

/// A request ends at its own timeout; its answer may arrive a moment later.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// The error: librdkafka's code and text.
pub(in super::super) type Refused = (Code, String);

/// A partition, and its end offset or the error.
pub(in super::super) type End = (i32, Result<i64, Code>);

/// Options of one request, destroyed on drop.
struct Options(*mut rd::rd_kafka_AdminOptions_t);

impl Options {
    fn new<C: ClientContext>(client: &Client<C>, request: rd::rd_kafka_admin_op_t, timeout: Duration) -> Self {
        let mut reason = [0; 256];
        // SAFETY: the client is alive; the options belong to the returned value.
        unsafe {
            let options = rd::rd_kafka_AdminOptions_new(client.native_ptr(), request);
            let (text, size) = (reason.as_mut_ptr(), reason.len());
            rd::rd_kafka_AdminOptions_set_request_timeout(options, millis(timeout), text, size);
            Self(options)
        }
    }

    /// The answer includes the permissions of the user.
    fn with_permissions(self) -> Self {
        // SAFETY: the options are alive. If they reject it, the answer lacks the permissions.
        unsafe {
            let error = rd::rd_kafka_AdminOptions_set_include_authorized_operations(self.0, 1);
            if !error.is_null() {
                rd::rd_kafka_error_destroy(error);
            }
        }
        self
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: owned, and destroyed once.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

fn broken(what: &str) -> Refused {
    (Code::InvalidArgument, what.to_owned())
}

/// Waits for the answer to the request whose queue this is.
fn answer(queue: &Queue, timeout: Duration) -> Result<Event<'_>, Refused> {
    let Some(event) = queue.poll(timeout + ANSWER_GRACE) else {
        return Err((Code::OperationTimedOut, "no answer".to_owned()));
    };
    // SAFETY: the event is alive.
    let (code, reason) = unsafe {
        let event = event.ptr.as_ptr();
        (Code::from(rd::rd_kafka_event_error(event)), text(rd::rd_kafka_event_error_string(event)))
    };
    if code == Code::NoError { Ok(event) } else { Err((code, reason)) }
}

/// The end offsets of some partitions of a topic, open transactions included: one request to each of their leaders.
pub(in super::super) fn end_offsets<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partitions: &[i32],
    timeout: Duration,
) -> Result<Vec<End>, Refused> {
    let queue = Queue::of_request(client).ok_or_else(|| broken("no queue"))?;
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        // This constant also stands for "the latest".
        list.add_partition_offset(topic, *partition, Offset::End).map_err(|error| broken(&error.to_string()))?;
    }
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
    // SAFETY: client, list, options and queue are alive during the call, which copies what it needs.
    unsafe { rd::rd_kafka_ListOffsets(client.native_ptr(), list.ptr(), options.0, queue.0.as_ptr()) };
    let event = answer(&queue, timeout)?;
    // SAFETY: the results are read while the event that owns them is alive.
    unsafe {
        let result = rd::rd_kafka_event_ListOffsets_result(event.ptr.as_ptr());
        let mut count = 0;
        let infos = rd::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        Ok(pointers(infos, count)
            .iter()
            .map(|info| {
                let place = &*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                let end = match Code::from(place.err) {
                    // librdkafka does not report a leader that does not answer in time, and its partitions have no
                    // offset.
                    Code::NoError if place.offset < 0 => Err(Code::OperationTimedOut),
                    Code::NoError => Ok(place.offset),
                    code => Err(code),
                };
                (place.partition, end)
            })
            .collect())
    }
}

/// The id of a topic in base64, `None` from brokers without topic ids; and the permissions of the user, `None` if
/// brokers do not report them.
pub(in super::super) fn topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<(Option<String>, Option<Allowed>), Refused> {
    let name = CString::new(topic).map_err(|_| broken("a topic's name cannot contain a NUL"))?;
    let queue = Queue::of_request(client).ok_or_else(|| broken("no queue"))?;
    let request = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let options = Options::new(client, request, timeout).with_permissions();
    let mut names = [name.as_ptr()];
    // SAFETY: all that is passed is alive during the call, which copies what it needs; what is made here is destroyed here.
    unsafe {
        let collection = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        rd::rd_kafka_DescribeTopics(client.native_ptr(), collection, options.0, queue.0.as_ptr());
        rd::rd_kafka_TopicCollection_destroy(collection);
    }
    let event = answer(&queue, timeout)?;
    // SAFETY: the results are read while the event that owns them is alive.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event.ptr.as_ptr());
        let mut count = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let [found] = pointers(topics, count) else {
            return Err(broken("expected one topic in the answer"));
        };
        let error = rd::rd_kafka_TopicDescription_error(*found);
        let code = Code::from(rd::rd_kafka_error_code(error));
        if code != Code::NoError {
            return Err((code, text(rd::rd_kafka_error_string(error))));
        }
        let id = rd::rd_kafka_TopicDescription_topic_id(*found);
        let is_known = !id.is_null()
            && (rd::rd_kafka_Uuid_most_significant_bits(id), rd::rd_kafka_Uuid_least_significant_bits(id)) != (0, 0);
        let mut count = 0;
        let operations = rd::rd_kafka_TopicDescription_authorized_operations(*found, &raw mut count);
        Ok((is_known.then(|| text(rd::rd_kafka_Uuid_base64str(id))), allowed(operations, count)))
    }
}

/// The permissions of the user on a group, which need not exist; `None` if brokers do not report them.
pub(in super::super) fn group_permissions<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    timeout: Duration,
) -> Result<Option<Allowed>, Refused> {
    let found = described(client, group, timeout, |found| {
        let mut count = 0;
        // SAFETY: the description is alive, and what it holds is copied.
        unsafe {
            let operations = rd::rd_kafka_ConsumerGroupDescription_authorized_operations(found, &raw mut count);
            allowed(operations, count)
        }
    })?;
    Ok(found.flatten())
}

/// # Safety
/// `count` operations stand at `first`, and outlive the call.
unsafe fn allowed(first: *const rd::rd_kafka_AclOperation_t, count: usize) -> Option<Allowed> {
    use rd::rd_kafka_AclOperation_t as Acl;
    if first.is_null() {
        return None;
    }
    // SAFETY: by the contract of this function.
    let operations = unsafe { slice::from_raw_parts(first, count) }.iter();
    let known = operations.filter_map(|operation| match operation {
        Acl::RD_KAFKA_ACL_OPERATION_READ => Some(Operation::Read),
        Acl::RD_KAFKA_ACL_OPERATION_WRITE => Some(Operation::Write),
        Acl::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Some(Operation::DescribeConfigs),
        _ => None,
    });
    Some(known.collect())
}

/// A group as described by its coordinator, with the partitions of one topic that are assigned to each member.
pub(in super::super) fn group<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    topic: &str,
    timeout: Duration,
) -> Result<GroupView, Refused> {
    // SAFETY: the description is alive, and what it holds is copied.
    let found = described(client, group, timeout, |found| unsafe {
        let members = 0..rd::rd_kafka_ConsumerGroupDescription_member_count(found);
        GroupView {
            state: state(rd::rd_kafka_ConsumerGroupDescription_state(found)),
            members: members
                .map(|index| member(rd::rd_kafka_ConsumerGroupDescription_member(found, index), topic))
                .collect(),
        }
    })?;
    // It has never had a member.
    Ok(found.unwrap_or(GroupView { state: GroupState::Empty, members: Vec::new() }))
}

/// Describes a group; `read` gets the description while it is alive. `None`: there is no such group.
fn described<C: ClientContext, T>(
    client: &Client<C>,
    group: &str,
    timeout: Duration,
    read: impl FnOnce(*const rd::rd_kafka_ConsumerGroupDescription_t) -> T,
) -> Result<Option<T>, Refused> {
    let name = CString::new(group).map_err(|_| broken("a group's name cannot contain a NUL"))?;
    let queue = Queue::of_request(client).ok_or_else(|| broken("no queue"))?;
    let request = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let options = Options::new(client, request, timeout).with_permissions();
    let mut names = [name.as_ptr()];
    // SAFETY: client, names, options and queue are alive during the call, which copies what it needs.
    unsafe {
        let (client, queue) = (client.native_ptr(), queue.0.as_ptr());
        rd::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), names.len(), options.0, queue);
    }
    let event = answer(&queue, timeout)?;
    // SAFETY: the results are read while the event that owns them is alive.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(event.ptr.as_ptr());
        let mut count = 0;
        let groups = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let [found] = pointers(groups, count) else {
            return Err(broken("expected one group in the answer"));
        };
        let error = rd::rd_kafka_ConsumerGroupDescription_error(*found);
        match Code::from(rd::rd_kafka_error_code(error)) {
            Code::NoError => Ok(Some(read(*found))),
            Code::GroupIdNotFound => Ok(None),
            code => Err((code, text(rd::rd_kafka_error_string(error)))),
        }
    }
}

fn state(state: rd::rd_kafka_consumer_group_state_t) -> GroupState {
    use rd::rd_kafka_consumer_group_state_t as State;
    match state {
        State::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE => GroupState::Stable,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY | State::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD => GroupState::Empty,
        _ => GroupState::Rebalancing,
    }
}

/// # Safety
/// `found` belongs to an event that is alive.
unsafe fn member(found: *const rd::rd_kafka_MemberDescription_t, topic: &str) -> GroupMember {
    // SAFETY: by the contract of this function; everything is copied.
    unsafe {
        let instance = text(rd::rd_kafka_MemberDescription_group_instance_id(found));
        let assignment = rd::rd_kafka_MemberDescription_assignment(found);
        let partitions = match assignment.is_null() {
            true => BTreeSet::new(),
            false => elements(rd::rd_kafka_MemberAssignment_partitions(assignment))
                .iter()
                .filter(|element| text(element.topic) == topic)
                .map(|element| element.partition)
                .collect(),
        };
        GroupMember {
            instance: (!instance.is_empty()).then_some(instance),
            client: text(rd::rd_kafka_MemberDescription_client_id(found)),
            partitions,
        }
    }
}

/// The offsets that a group has committed in some partitions of a topic, without those of open transactions.
pub(in super::super) fn committed<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    topic: &str,
    partitions: &[i32],
    timeout: Duration,
) -> Result<Vec<Committed>, Refused> {
    let name = CString::new(group).map_err(|_| broken("a group's name cannot contain a NUL"))?;
    let queue = Queue::of_request(client).ok_or_else(|| broken("no queue"))?;
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, *partition);
    }
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout);
    // SAFETY: all that is passed is alive during the call, which copies what it needs; what is made here is destroyed here.
    unsafe {
        let request = rd::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), list.ptr());
        let mut requests = [request];
        let (client, queue) = (client.native_ptr(), queue.0.as_ptr());
        rd::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), requests.len(), options.0, queue);
        rd::rd_kafka_ListConsumerGroupOffsets_destroy(request);
    }
    let event = answer(&queue, timeout)?;
    // SAFETY: the results are read while the event that owns them is alive.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event.ptr.as_ptr());
        let mut count = 0;
        let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        let [found] = pointers(groups, count) else {
            return Err(broken("expected one group in the answer"));
        };
        let found = elements(rd::rd_kafka_group_result_partitions(*found)).iter();
        let committed = |element: &rd::rd_kafka_topic_partition_t| Committed {
            partition: element.partition,
            offset: (element.offset >= 0).then_some(element.offset),
            metadata: metadata_of(element),
        };
        Ok(found.map(committed).collect())
    }
}

/// A topic to create: its name, and its numbers of partitions and replicas; -1: the default of the cluster.
pub(in super::super) type NewTopic<'a> = (&'a str, i32, i32);

/// Whether a topic is created, or the request is only validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum CreateMode {
    Create,
    ValidateOnly,
}

/// Creates a topic. rdkafka does the same, without the reason if brokers refuse.
pub(in super::super) fn create_topic<C: ClientContext>(
    client: &Client<C>,
    (name, partitions, replicas): NewTopic<'_>,
    settings: &[(&str, &str)],
    mode: CreateMode,
    timeout: Duration,
) -> Result<(), Refused> {
    let words = |text: &str| CString::new(text).map_err(|_| broken("names and settings cannot contain a NUL"));
    let name = words(name)?;
    let settings = settings.iter().map(|(key, value)| Ok((words(key)?, words(value)?)));
    let settings = settings.collect::<Result<Vec<_>, Refused>>()?;
    let queue = Queue::of_request(client).ok_or_else(|| broken("no queue"))?;
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
    let mut reason = [0; 512];
    // SAFETY: all that is passed is alive during the call, which copies what it needs; what is made here is destroyed here.
    unsafe {
        let (reason_at, size) = (reason.as_mut_ptr(), reason.len());
        rd::rd_kafka_AdminOptions_set_operation_timeout(options.0, millis(timeout), reason_at, size);
        let asked = i32::from(mode == CreateMode::ValidateOnly);
        let set = rd::rd_kafka_AdminOptions_set_validate_only(options.0, asked, reason_at, size);
        if Code::from(set) != Code::NoError {
            return Err((Code::InvalidArgument, text(reason_at)));
        }
        let topic = rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, reason_at, size);
        if topic.is_null() {
            return Err((Code::InvalidArgument, text(reason_at)));
        }
        for (key, value) in &settings {
            rd::rd_kafka_NewTopic_set_config(topic, key.as_ptr(), value.as_ptr());
        }
        let mut topics = [topic];
        let (client, queue) = (client.native_ptr(), queue.0.as_ptr());
        rd::rd_kafka_CreateTopics(client, topics.as_mut_ptr(), topics.len(), options.0, queue);
        rd::rd_kafka_NewTopic_destroy(topic);
    }
    let event = answer(&queue, timeout)?;
    // SAFETY: the results are read while the event that owns them is alive.
    unsafe {
        let result = rd::rd_kafka_event_CreateTopics_result(event.ptr.as_ptr());
        let mut count = 0;
        let topics = rd::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
        let [made] = pointers(topics, count) else {
            return Err(broken("expected one topic in the answer"));
        };
        match Code::from(rd::rd_kafka_topic_result_error(*made)) {
            Code::NoError => Ok(()),
            code => Err((code, text(rd::rd_kafka_topic_result_error_string(*made)))),
        }
    }
}

/// # Safety
/// `count` pointers stand at `first`, and outlive `'a`.
unsafe fn pointers<'a, T>(first: *mut *const T, count: usize) -> &'a [*const T] {
    // SAFETY: by the contract of this function.
    if first.is_null() { &[] } else { unsafe { slice::from_raw_parts(first, count) } }
}
