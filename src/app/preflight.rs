//! Everything that `run` would find at its start, checked at once and without changes: no topic is created, no group
//! joined, no schema registered.

mod sources;
mod state;

use std::ops::ControlFlow;
use std::time::Duration;

use super::rules_topic::RulesTopic;
use super::topics::{self, ADVERTISED, Plan, denial, denied, denied_group, plans, weak};
use super::{Failure, schemas};
use crate::codec::{Output, Registry, RegistryError, Standing};
use crate::kafka::{self, Admin, Brokers, ConnectionProblem, Created, Topic, Watermarks};
use crate::lane::identity::CurrentLog;
use crate::settings::{Kafka, Loaded, Settings};
use state::State;

/// Timeout of one request to a broker.
const ASK: Duration = Duration::from_secs(5);
/// How long to wait for the reason of a failed connection.
const LISTEN: Duration = Duration::from_secs(5);

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Kafka,
    Topics,
    Group,
    Registry,
    Records,
}

/// The severity of a finding; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Known only when the daemon starts.
    NotAsked,
    Good,
    /// It works, but will be missed in an emergency.
    Warning,
    /// There was no answer.
    Unreachable,
    /// `run` would exit with 78, or wait forever.
    Wrong,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub part: Part,
    /// A topic, subject or group; empty if the part is enough.
    pub about: String,
    pub verdict: Verdict,
    pub text: String,
}

impl Part {
    /// For people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Topics => "topics",
            Self::Group => "group",
            Self::Registry => "registry",
            Self::Records => "records",
        }
    }
}

impl Verdict {
    /// For programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotAsked => "not_asked",
            Self::Warning => "warning",
            Self::Unreachable => "unreachable",
            Self::Wrong => "wrong",
        }
    }
}

/// All findings.
#[derive(Debug, Default)]
pub struct Preflight {
    pub findings: Vec<Finding>,
    /// The number of partitions of the input, if it exists.
    pub input: Option<i32>,
}

impl Preflight {
    /// Asks the brokers and the schema registry.
    #[must_use]
    pub fn run(loaded: &Loaded) -> Self {
        let mut found = Self::default();
        found.kafka(loaded);
        found.registry(loaded);
        // Leaders can only be checked once the input was found.
        found.findings.sort_by_key(|finding| finding.part);
        found
    }

    /// Adds a finding.
    pub fn add(&mut self, part: Part, about: &str, verdict: Verdict, text: impl Into<String>) {
        self.findings.push(Finding { part, about: about.to_owned(), verdict, text: text.into() });
    }

    /// The worst of all.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Good)
    }

    fn kafka(&mut self, loaded: &Loaded) {
        let kafka = &loaded.settings.kafka;
        let brokers = Brokers::default();
        let admin = match Admin::new(kafka, &brokers) {
            Ok(admin) => admin,
            Err(failure) => return self.failed(Part::Kafka, "", &failure),
        };
        let cluster = match admin.cluster_id(ASK) {
            Ok(cluster) => cluster,
            Err(failure) => return self.no_broker(kafka, &failure),
        };
        self.add(Part::Kafka, "", Verdict::Good, format!("cluster {cluster} answers, by {}", way_in(kafka)));
        let gathered = self.sources(loaded, &admin);
        let ControlFlow::Continue(input) = self.input(loaded, &admin) else { return };
        if let Some(input) = &input {
            self.input = Some(input.partitions);
            self.leaders(loaded, &brokers, input.partitions);
        }
        self.outputs(loaded, &admin, input.as_ref(), input.as_ref().map(|input| input.partitions).or(gathered));
        self.another_group(loaded, &admin, &brokers);
        let members = self.group(kafka, &admin);
        if input.is_some() {
            self.state(loaded, &admin, &brokers, (&cluster, members));
        }
    }

    /// Why no broker answers.
    fn no_broker(&mut self, kafka: &Kafka, failure: &kafka::Failure) {
        let servers = &kafka.bootstrap_servers;
        let (verdict, text) = match kafka::diagnose(kafka, LISTEN) {
            Some(ConnectionProblem::Refused(cause)) => {
                (Verdict::Wrong, format!("the brokers at {servers} cannot be used: {cause}; see kafka.options"))
            }
            Some(ConnectionProblem::Unconnected(words)) => {
                (Verdict::Unreachable, format!("no broker answers at {servers}: {}", topics::explained(&words)))
            }
            None => return self.failed(Part::Kafka, "", failure),
        };
        self.add(Part::Kafka, "", verdict, text);
    }

    fn failed(&mut self, part: Part, about: &str, failure: &kafka::Failure) {
        let verdict = match failure {
            kafka::Failure::Fatal(_) => Verdict::Wrong,
            _ => Verdict::Unreachable,
        };
        self.add(part, about, verdict, failure.to_string());
    }

    /// The input, if it exists. `Break`: there was no answer, and there would be none to further questions.
    fn input(&mut self, loaded: &Loaded, admin: &Admin) -> ControlFlow<(), Option<Topic>> {
        let name = &loaded.settings.topics.input;
        let found = match admin.topic(name, ASK) {
            Ok(Some(found)) => found,
            // It would be made of the sources; a finding says so.
            Ok(None) if loaded.settings.gather.sources.is_some() => return ControlFlow::Continue(None),
            Ok(None) => {
                self.add(Part::Topics, name, Verdict::Wrong, topics::no_input(name));
                return ControlFlow::Continue(None);
            }
            Err(failure @ kafka::Failure::Retry(_)) => {
                self.no_broker(&loaded.settings.kafka, &failure);
                return ControlFlow::Break(());
            }
            Err(failure) => {
                self.failed(Part::Topics, name, &failure);
                return ControlFlow::Continue(None);
            }
        };
        self.add_topic(name, &found, None, denial(name, &denied(topics::OF_INPUT, &found)));
        if let Some(weakness) = topics::unseen(name, &found) {
            self.add(Part::Topics, name, Verdict::Warning, weakness);
        }
        ControlFlow::Continue(Some(found))
    }

    /// Checks that the leader of every partition answers: brokers must be reachable at the addresses that they
    /// advertise.
    fn leaders(&mut self, loaded: &Loaded, brokers: &Brokers, partitions: i32) {
        let name = &loaded.settings.topics.input;
        let asked: Vec<i32> = (0..partitions).collect();
        let ends = Watermarks::new(&loaded.settings.kafka, brokers)
            .and_then(|watermarks| watermarks.end_offsets(name, &asked, ASK));
        match ends {
            Ok(ends) if ends.len() == asked.len() => {
                self.add(Part::Kafka, "", Verdict::Good, format!("the leader of each partition of {name} answers"));
            }
            Ok(ends) => {
                let is_silent = |partition: &&i32| !ends.iter().any(|(answered, _)| answered == *partition);
                let silent: Vec<String> = asked.iter().filter(is_silent).map(ToString::to_string).collect();
                let text = format!("no leader answers for partitions {} of {name}: {ADVERTISED}", silent.join(", "));
                self.add(Part::Kafka, "", Verdict::Unreachable, text);
            }
            Err(kafka::Failure::Retry(cause)) => {
                self.add(Part::Kafka, "", Verdict::Unreachable, format!("{cause}: {ADVERTISED}"));
            }
            Err(failure) => self.failed(Part::Kafka, "", &failure),
        }
    }

    /// `partitions`: those of the input, or that it would be created with, if known.
    fn outputs(&mut self, loaded: &Loaded, admin: &Admin, input: Option<&Topic>, partitions: Option<i32>) {
        let topics = &loaded.settings.topics;
        let unknown =
            Topic { id: None, partitions: partitions.unwrap_or(1), replicas: 0, settings: [].into(), allowed: None };
        for mut plan in plans(topics, input.unwrap_or(&unknown)) {
            match admin.topic(plan.name, ASK) {
                Ok(Some(found)) => {
                    plan.partitions = if partitions.is_some() { plan.partitions } else { found.partitions };
                    // `run` has a message of its own for the changelog.
                    let input_of_log = input.filter(|_| plan.key == topics::CHANGELOG);
                    let unfit = input_of_log.and_then(|input| topics::repartitioned(&topics.input, input, &found));
                    let unfit = unfit.or_else(|| topics::unfit(&plan, &found, input.unwrap_or(&unknown)));
                    self.add_topic(plan.name, &found, unfit, denial(plan.name, &denied(plan.needs, &found)));
                    for weakness in weak(topics, &plan, &found, input.unwrap_or(&unknown)) {
                        self.add(Part::Topics, plan.name, Verdict::Warning, weakness);
                    }
                }
                Ok(None) if topics.create => self.would_be_created(admin, &plan, partitions.map(|_| plan.partitions)),
                Ok(None) => self.add(Part::Topics, plan.name, Verdict::Wrong, topics::missing(&plan)),
                Err(failure) => self.failed(Part::Topics, plan.name, &failure),
            }
        }
    }

    /// An existing topic: what is wrong with it, missing permissions, or its settings.
    fn add_topic(&mut self, name: &str, found: &Topic, unfit: Option<String>, denied: Option<String>) {
        let denied = denied.map(|denial| topics::not_allowed(&denial));
        let is_good = unfit.is_none() && denied.is_none();
        for problem in unfit.into_iter().chain(denied) {
            self.add(Part::Topics, name, Verdict::Wrong, problem);
        }
        if is_good {
            self.add(Part::Topics, name, Verdict::Good, shape(found));
        }
    }

    /// Are the topics those of another group? Its rules say so. What cannot be read has a finding of its own.
    fn another_group(&mut self, loaded: &Loaded, admin: &Admin, brokers: &Brokers) {
        let name = &loaded.settings.topics.rules;
        let is_wrong = self.findings.iter().any(|found| found.about == *name && found.verdict == Verdict::Wrong);
        if is_wrong || !matches!(admin.identity(name, ASK), Ok(Some(_))) {
            return;
        }
        let Ok(mut topic) = RulesTopic::new(&loaded.settings, brokers) else { return };
        if topic.read(&mut |_| {}).is_ok()
            && let Some(problem) = topic.foreign()
        {
            self.add(Part::Topics, name, Verdict::Wrong, problem);
        }
    }

    /// Is the state in the changelog of this input? What cannot be read has a finding of its own, or is read by `run`.
    fn state(&mut self, loaded: &Loaded, admin: &Admin, brokers: &Brokers, (cluster_id, members): (&str, usize)) {
        let Settings { topics, kafka, .. } = &loaded.settings;
        let is_wrong =
            self.findings.iter().any(|found| found.about == topics.changelog && found.verdict == Verdict::Wrong);
        let Ok(Some((input_id, partitions))) = admin.identity(&topics.input, ASK) else { return };
        if is_wrong || !matches!(admin.identity(&topics.changelog, ASK), Ok(Some(_))) {
            return;
        }
        let log = CurrentLog {
            group: &kafka.group_id,
            changelog: &topics.changelog,
            input: &topics.input,
            input_id: input_id.as_deref().unwrap_or_default(),
            cluster_id,
            partitions: partitions.unsigned_abs(),
        };
        match state::check(kafka, &log, members, brokers) {
            Ok(State::None) => {}
            Ok(State::Fits(partitions)) => {
                let text =
                    format!("the state of {partitions} of {} partitions continues {}", log.partitions, log.input);
                self.add(Part::Group, &kafka.group_id, Verdict::Good, text);
            }
            Ok(State::Unfit(problem)) => self.add(Part::Group, &kafka.group_id, Verdict::Wrong, problem),
            Err(failure @ kafka::Failure::Retry(_)) => self.failed(Part::Group, &kafka.group_id, &failure),
            Err(failure) => tracing::debug!(reason = %failure, "The state in the changelog is not checked."),
        }
    }

    fn would_be_created(&mut self, admin: &Admin, plan: &Plan<'_>, partitions: Option<i32>) {
        let asked = plan.with_topic_plan(|made| admin.validate_create(made, ASK));
        let partitions = partitions.map_or_else(|| "?".to_owned(), |partitions| partitions.to_string());
        match asked {
            Ok(Created::New | Created::Existing) => {
                let text = format!("would be created: partitions={partitions}, {}", plan.words());
                self.add(Part::Topics, plan.name, Verdict::Good, text);
            }
            Err(kafka::Failure::Fatal(cause)) => {
                let text = format!("{cause}; {}", topics::way_to_make(&cause));
                self.add(Part::Topics, plan.name, Verdict::Wrong, text);
            }
            Err(failure) => self.failed(Part::Topics, plan.name, &failure),
        }
    }

    /// The number of members of the group, as far as it is known.
    fn group(&mut self, kafka: &Kafka, admin: &Admin) -> usize {
        let group = &kafka.group_id;
        let members = admin.members(group, ASK);
        let known = members.as_ref().map_or(0, |members| *members);
        match (denied_group(admin, group), members) {
            (Some(denial), _) => self.add(Part::Group, group, Verdict::Wrong, topics::not_allowed(&denial)),
            (None, Ok(members)) => {
                let members = match members {
                    0 => "no members now".to_owned(),
                    1 => "1 member now".to_owned(),
                    members => format!("{members} members now"),
                };
                self.add(Part::Group, group, Verdict::Good, members);
            }
            (None, Err(failure)) => self.failed(Part::Group, group, &failure),
        }
        let ids = format!("{group}-*");
        let text = "Write on transactional ids: asking would shut a running process out";
        self.add(Part::Group, &ids, Verdict::NotAsked, text);
        known
    }

    fn registry(&mut self, loaded: &Loaded) {
        let registry = match schemas::registry(loaded) {
            Ok(Some(registry)) => registry,
            Ok(None) => {
                let text = "none is set: schemas come from files, and outputs carry their schema's fingerprint";
                return self.add(Part::Registry, "", Verdict::Good, text);
            }
            Err(failure) => return self.add(Part::Registry, "", Verdict::Wrong, failure.to_string()),
        };
        for (subject, output) in schemas::subjects(&loaded.settings) {
            // If the registry does not answer, one finding is enough.
            if !self.subject(loaded, &registry, &subject, output) {
                break;
            }
        }
    }

    /// False: the registry gives no useful answer about any subject.
    fn subject(&mut self, loaded: &Loaded, registry: &Registry, subject: &str, output: Output) -> bool {
        let (verdict, text) = match registry.standing(subject, output.schema()) {
            Ok(Standing::Registered(id)) => (Verdict::Good, format!("registered, id {id}")),
            Ok(Standing::Compatible | Standing::First) if !loaded.settings.schemas.register => {
                let missing = format!("{subject} ({})", output.file());
                (Verdict::Wrong, format!("schemas.register: {}", schemas::way_to_register(&registry.shown(), &missing)))
            }
            Ok(Standing::Compatible) => (Verdict::Good, "would be registered after the existing version".to_owned()),
            Ok(Standing::First) => (Verdict::Good, "would be registered as the first version".to_owned()),
            Err(error @ (RegistryError::Refused(_) | RegistryError::NotFound | RegistryError::Incomplete(_))) => {
                (Verdict::Wrong, error.to_string())
            }
            Err(error @ RegistryError::Unreachable(_)) => {
                self.add(Part::Registry, "", Verdict::Unreachable, error.to_string());
                return false;
            }
            Err(error @ (RegistryError::Denied(_) | RegistryError::Untrusted(_) | RegistryError::Foreign(_))) => {
                self.add(Part::Registry, "", Verdict::Wrong, error.to_string());
                return false;
            }
        };
        self.add(Part::Registry, subject, verdict, text);
        true
    }
}

/// `6 partitions, 3 replicas, cleanup.policy=delete, retention.ms=604800000`.
fn shape(found: &Topic) -> String {
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let partitions = usize::try_from(found.partitions).unwrap_or(0);
    let is_deleted = found.settings.get("cleanup.policy").is_some_and(|policy| policy.contains("delete"));
    let shown =
        ["cleanup.policy"].into_iter().chain(is_deleted.then_some("retention.ms")).chain(["min.insync.replicas"]);
    let settings = shown.filter_map(|name| Some(format!("{name}={}", found.settings.get(name)?)));
    let parts = [counted(partitions, "partition"), counted(found.replicas, "replica")];
    parts.into_iter().chain(settings).collect::<Vec<_>>().join(", ")
}

/// How the brokers were reached, such as `SASL_SSL with SCRAM-SHA-512`.
fn way_in(kafka: &Kafka) -> String {
    let option =
        |names: &[&str]| names.iter().find_map(|name| kafka.options.get(*name)).map(|value| value.to_uppercase());
    let protocol = option(&["security.protocol"]).unwrap_or_else(|| "PLAINTEXT".to_owned());
    match option(&["sasl.mechanism", "sasl.mechanisms"]).filter(|_| protocol.starts_with("SASL_")) {
        Some(mechanism) => format!("{protocol} with {mechanism}"),
        None => protocol,
    }
}

impl From<&Failure> for Verdict {
    /// Of something that was read.
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Running(_) => Self::Unreachable,
            Failure::Configuration(_) | Failure::Ended(..) => Self::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Preflight, Verdict};

    #[test]
    fn the_worst_finding_is_the_verdict() {
        let mut found = Preflight::default();
        assert_eq!(found.verdict(), Verdict::Good);
        for verdict in [Verdict::Good, Verdict::Warning, Verdict::Unreachable, Verdict::Wrong] {
            found.add(Part::Kafka, "", Verdict::NotAsked, "");
            found.add(Part::Kafka, "", verdict, "");
            assert_eq!(found.verdict(), verdict);
        }
    }
}
