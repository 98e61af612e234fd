//! The topics of sources, and those that they are gathered into.

use std::collections::BTreeMap;

use super::plan::{self, setting};
use super::{
    ASK, MISSING_TRIES, OF_INPUT, Problem, denial, denied, denied_group, fit, found_or_made, refusal, refused, unfit,
};
use crate::gather::{SourceTopic, kafka_of};
use crate::kafka::Admin;
use crate::settings::Loaded;

/// Checks the topics of sources; creates or checks those that they are gathered into. None, if there are no sources.
/// Operations that brokers do not allow go to `denials`.
pub(super) fn inspect(
    loaded: &Loaded,
    sources: &[String],
    admin: &Admin,
    denials: &mut Vec<String>,
) -> Result<BTreeMap<String, SourceTopic>, Problem> {
    let (topics, mut found) = (&loaded.settings.topics, BTreeMap::new());
    if sources.is_empty() {
        return Ok(found);
    }
    for name in sources {
        let Some(topic) = admin.topic(name, ASK)? else {
            let problem = format!(
                "there is no topic {name} on this cluster, which the sources file names; create it, or correct the name"
            );
            let failure = refusal(loaded, "gather.sources", problem);
            return Err(Problem::Impossible { failure, tries: MISSING_TRIES + 1 });
        };
        denials.extend(denial(name, &denied(OF_INPUT, &topic)));
        found.insert(name.clone(), SourceTopic { id: topic.id.unwrap_or_default(), partitions: topic.partitions });
    }
    denials.extend(denied_group(admin, &kafka_of(&loaded.settings.kafka, 0).group_id));
    let most = found.values().map(|topic| topic.partitions).max().unwrap_or(1);
    let known = admin.topic(&topics.events, ASK)?.map(|topic| topic.partitions);
    let partitions = known.or(topics.events_partitions).unwrap_or(most);
    for plan in &plan::gathered(topics, partitions) {
        let topic = found_or_made(loaded, admin, plan)?;
        if let Some(problem) = unfit(plan, &topic, &topic) {
            return Err(refused(loaded, plan.key, problem));
        }
        denials.extend(denial(plan.name, &denied(plan.needs, &topic)));
        for weakness in fit::weak(topics, plan, &topic, &topic) {
            tracing::warn!(topic = plan.name, "{weakness}");
        }
        let stamp = topic.settings.get("message.timestamp.type");
        if plan.key == plan::EVENTS && stamp.is_some_and(|stamp| stamp != "LogAppendTime") {
            tracing::warn!(
                topic = plan.name,
                "message.timestamp.type is not LogAppendTime: retention deletes old events of a history on their arrival."
            );
        }
        let kept = setting(&topic, "retention.ms").unwrap_or(u64::MAX);
        if plan.key == plan::EVENTS && kept < FOURTEEN_DAYS_MS {
            tracing::warn!(
                topic = plan.name,
                "retention.ms is {kept}, less than 14 days: rules that look back further lose events."
            );
        }
    }
    Ok(found)
}

const FOURTEEN_DAYS_MS: u64 = 14 * 86_400_000;
