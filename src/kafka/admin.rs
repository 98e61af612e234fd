//! Describes and creates topics, and describes groups.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, ResourceSpecifier};
use rdkafka::client::Client;
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::brokers::Brokers;
use super::client::Watch;
use super::config;
use super::failure::{Cause, Failure, Kind};
use super::group_description::GroupView;
use super::native::ask::CreateMode;
use super::native::{self, ask};
use super::permissions::Allowed;
use crate::settings::Kafka;

/// Describes and creates topics. Every call blocks for at most about its timeout, a description for three times that.
/// For the start and for commands, not to be kept: the log lines of its client are not consumed.
pub struct Admin {
    client: AdminClient<Watch>,
    brokers: Brokers,
}

/// A topic as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Changes when a topic is deleted and recreated; `None` from brokers before 2.8.
    pub id: Option<String>,
    pub partitions: i32,
    /// The smallest number of replicas that a partition has.
    pub replicas: usize,
    /// The settings in force, the broker's defaults included: `cleanup.policy`, `max.message.bytes`, `retention.ms`,
    /// `delete.retention.ms`, `message.timestamp.type`… Empty where reading them is not supported or not allowed.
    pub settings: BTreeMap<String, String>,
    /// This user's permissions; `None` if the brokers do not report them.
    pub allowed: Option<Allowed>,
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct TopicPlan<'a> {
    pub name: &'a str,
    pub partitions: i32,
    /// `None`: the default of the cluster.
    pub replicas: Option<u16>,
    pub settings: &'a [(&'a str, &'a str)],
}

/// The outcome of [`Admin::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    /// It existed before, perhaps created by another process a moment ago: check its settings.
    Existing,
}

impl Admin {
    /// Makes no connection.
    ///
    /// # Errors
    /// `Fatal` when librdkafka refuses an option.
    pub fn new(settings: &Kafka, brokers: &Brokers) -> Result<Self, Failure> {
        let client = config::admin(settings).create_with_context(Watch(brokers.clone())).map_err(|error| {
            let cause = Cause::of(&error, "creating the admin client");
            Failure::Fatal(cause.naming_missing_files(&settings.options))
        })?;
        Ok(Self { client, brokers: brokers.clone() })
    }

    /// The id of the cluster: offsets and state of one cluster mean nothing in another.
    ///
    /// # Errors
    /// `Retry` (`Unreachable`) if no broker told it in time.
    pub fn cluster_id(&self, timeout: Duration) -> Result<String, Failure> {
        let id = self.client.inner().fetch_cluster_id(timeout).ok_or_else(|| {
            let text = "asking for the cluster's id: no broker answers".to_owned();
            Failure::Retry(Cause { kind: Kind::Unreachable, text })
        })?;
        self.brokers.answered();
        Ok(id)
    }

    /// Does the group have a member with the name of one of these lanes? A killed process is a member until its session
    /// ends.
    ///
    /// # Errors
    /// `Retry` while no broker answers, `Fatal` if the group may not be described.
    pub fn has_member(&self, settings: &Kafka, lanes: usize, timeout: Duration) -> Result<bool, Failure> {
        let name = config::identity(settings);
        let names: Vec<String> = (0..lanes).map(|lane| format!("{name}-{lane}")).collect();
        let members = self.group(&settings.group_id, timeout)?.members;
        Ok(members.iter().any(|member| names.contains(&member.client)))
    }

    /// The topic, or `None` if it does not exist.
    ///
    /// # Errors
    /// `Retry` while no broker answers, `Fatal` if it may not be described.
    pub fn topic(&self, name: &str, timeout: Duration) -> Result<Option<Topic>, Failure> {
        let what = format!("describing topic {name}");
        let client = self.client.inner();
        let failed = |cause: Cause| {
            if matches!(cause.kind, Kind::Unreachable | Kind::TimedOut) {
                self.brokers.no_answer(&cause.text);
            }
            cause.passing()
        };
        let metadata = client.fetch_metadata(Some(name), timeout).map_err(|e| failed(Cause::of(&e, &what)))?;
        self.brokers.answered();
        let Some(topic) = existing(&metadata, &what)? else { return Ok(None) };
        let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
        let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        if !has_controller(client, &metadata) {
            return Ok(Some(Topic { id: None, partitions, replicas, settings: BTreeMap::new(), allowed: None }));
        }
        // A topic that was just created may be known to one broker and not yet to the next.
        let spreading = |failure| match failure {
            Failure::Fatal(cause) if cause.kind == Kind::UnknownTopic => Failure::Retry(cause),
            failure => failure,
        };
        let (id, allowed) = ask::topic(client, name, timeout)
            .map_err(|(code, text)| spreading(failed(Cause::new(code, &what, &text))))?;
        let settings = self.settings(name, timeout, &what).map_err(spreading)?;
        Ok(Some(Topic { id, partitions, replicas, settings, allowed }))
    }

    /// The identity of a topic: its id, if brokers have ids, and its number of partitions; `None` if it does not exist.
    /// One request less than [`topic`](Self::topic), for periodic checks.
    ///
    /// # Errors
    /// As `topic`.
    pub fn identity(&self, name: &str, timeout: Duration) -> Result<Option<(Option<String>, i32)>, Failure> {
        let what = format!("describing topic {name}");
        let client = self.client.inner();
        let metadata = client.fetch_metadata(Some(name), timeout).map_err(|e| Cause::of(&e, &what).passing())?;
        self.brokers.answered();
        let Some(topic) = existing(&metadata, &what)? else { return Ok(None) };
        let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
        if !has_controller(client, &metadata) {
            return Ok(Some((None, partitions)));
        }
        match ask::topic(client, name, timeout).map_err(|(code, text)| Cause::new(code, &what, &text)) {
            Ok((id, _)) => Ok(Some((id, partitions))),
            Err(cause) if cause.kind == Kind::UnknownTopic => Ok(None),
            Err(cause) => Err(cause.passing()),
        }
    }

    /// The number of members of a consumer group, including stopped ones whose session has not ended.
    ///
    /// # Errors
    /// `Retry` while no broker answers, `Fatal` if the group may not be described.
    pub fn members(&self, group: &str, timeout: Duration) -> Result<usize, Failure> {
        Ok(self.group(group, timeout)?.members.len())
    }

    /// Asked of the group's coordinator: a list of all groups, asked of every broker, lacks those of brokers that this client
    /// does not know yet.
    fn group(&self, group: &str, timeout: Duration) -> Result<GroupView, Failure> {
        let described = ask::group(self.client.inner(), group, "", timeout)
            .map_err(|(code, text)| Cause::new(code, &format!("describing group {group}"), &text).passing())?;
        self.brokers.answered();
        Ok(described)
    }

    /// This user's permissions on a consumer group; `None` if the brokers do not report them, as for a group that has
    /// never had members.
    ///
    /// # Errors
    /// `Retry` while no broker answers, `Fatal` if the group may not even be described.
    pub fn group_permissions(&self, group: &str, timeout: Duration) -> Result<Option<Allowed>, Failure> {
        let what = format!("describing group {group}");
        let allowed = ask::group_permissions(self.client.inner(), group, timeout)
            .map_err(|(code, text)| Cause::new(code, &what, &text).passing())?;
        self.brokers.answered();
        Ok(allowed)
    }

    /// Raises the number of partitions of a topic to `partitions`.
    ///
    /// # Errors
    /// `Retry` while no broker answers, `Fatal` if it cannot have them.
    pub fn add_partitions(&self, name: &str, partitions: i32, timeout: Duration) -> Result<(), Failure> {
        let what = format!("raising topic {name} to {partitions} partitions");
        let count = usize::try_from(partitions).unwrap_or(0);
        let wanted = NewPartitions::new(name, count);
        let options = options(timeout).operation_timeout(Some(timeout));
        let answer = wait(self.client.create_partitions([&wanted], &options));
        let results = answer.map_err(|error| Cause::of(&error, &what).passing())?;
        match results.into_iter().next() {
            Some(Err((_, code))) => Err(Cause::new(code, &what, "").passing()),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn settings(&self, name: &str, timeout: Duration, what: &str) -> Result<BTreeMap<String, String>, Failure> {
        let resource = [ResourceSpecifier::Topic(name)];
        let answer = wait(self.client.describe_configs(&resource, &options(timeout)));
        let answer = answer.map_err(|error| Cause::of(&error, what)).and_then(|mut resources| match resources.pop() {
            Some(Ok(resource)) => Ok(resource),
            Some(Err(code)) => Err(Cause::new(code, what, "")),
            None => Ok(rdkafka::admin::ConfigResource {
                specifier: rdkafka::admin::OwnedResourceSpecifier::Topic(name.to_owned()),
                entries: Vec::new(),
            }),
        });
        match answer {
            Ok(resource) => {
                let entries = resource.entries.into_iter();
                Ok(entries.filter_map(|entry| entry.value.map(|value| (entry.name, value))).collect())
            }
            Err(cause) if matches!(cause.kind, Kind::Misconfigured | Kind::NotAuthorized) => Ok(BTreeMap::new()),
            Err(cause) => Err(cause.passing()),
        }
    }

    /// Creates a topic. If the cluster's default replication factor is used and cannot be satisfied (too few brokers),
    /// one replica is used, with a warning: fine for a development machine, wrong for production.
    ///
    /// # Errors
    /// `Retry` while no broker answers, `Fatal` if it may not be made so.
    pub fn create(&self, plan: &TopicPlan<'_>, timeout: Duration) -> Result<Created, Failure> {
        self.make(plan, CreateMode::Create, timeout)
    }

    /// Asks the brokers to validate the creation of a topic, without creating it.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn validate_create(&self, plan: &TopicPlan<'_>, timeout: Duration) -> Result<Created, Failure> {
        self.make(plan, CreateMode::ValidateOnly, timeout)
    }

    fn make(&self, plan: &TopicPlan<'_>, mode: CreateMode, timeout: Duration) -> Result<Created, Failure> {
        let create = |replicas| {
            let topic = (plan.name, plan.partitions, replicas);
            ask::create_topic(self.client.inner(), topic, plan.settings, mode, timeout)
        };
        let mut made = create(plan.replicas.map_or(-1, i32::from));
        if matches!(made, Err((Code::InvalidReplicationFactor, _))) && plan.replicas.is_none() {
            if mode == CreateMode::Create {
                tracing::warn!(topic = plan.name, "the cluster's default replication factor is not available; using 1");
            }
            made = create(1);
        }
        match made {
            Ok(()) => Ok(Created::New),
            Err((Code::TopicAlreadyExists, _)) => Ok(Created::Existing),
            Err((code, text)) => {
                let mut cause = Cause::new(code, &format!("creating topic {}", plan.name), &text);
                // Brokers that have just started, or were too slow for a moment, do not count as available.
                if code == Code::InvalidReplicationFactor && text.contains("currently fenced") {
                    cause.kind = Kind::Unreachable;
                }
                Err(cause.passing())
            }
        }
    }
}

fn options(timeout: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout))
}

/// The topic that was described, if it exists.
fn existing<'m>(metadata: &'m Metadata, what: &str) -> Result<Option<&'m MetadataTopic>, Failure> {
    let Some(topic) = metadata.topics().first() else { return Ok(None) };
    match topic.error().map(|error| Cause::new(error.into(), what, "")) {
        None => Ok(Some(topic)),
        Some(cause) if cause.kind == Kind::UnknownTopic => Ok(None),
        Some(cause) => Err(cause.passing()),
    }
}

/// Without a controller, as with the in-process broker, requests to it are never answered.
fn has_controller(client: &Client<Watch>, metadata: &Metadata) -> bool {
    let controller = native::controller(client);
    metadata.brokers().iter().any(|broker| broker.id() == controller)
}

/// Waits for one of rdkafka's admin futures, which a thread of its client completes within the request's timeout.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        thread::park();
    }
}
