//! Encoding changes as output records.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::codec::Encoder;
use crate::engine::{Effect, EventCause, Factor, Language, RiskEffect, level_name};
use crate::event::{
    Cause, Change, ChurnRiskChange, CohortChange, CohortForecast, CohortMember, CustomerValue, Instant, Localized,
    RiskFactor, RiskStanding, Span,
};
use crate::lane::output::plan::{Headers, OutputRecord, Topic};
use crate::rules::RuleSet;

/// Where a change was decided.
pub(in crate::lane) struct Origin<'a> {
    pub(in crate::lane) input: &'a str,
    pub(in crate::lane) partition: i32,
    /// The input offset at which the change was caused or its deadline became due.
    pub(in crate::lane) position: i64,
    pub(in crate::lane) stream_time: Instant,
}

impl Origin<'_> {
    fn cause(&self, cause: EventCause) -> Cause {
        Cause {
            event: cause.event,
            event_id: cause.event_id,
            topic: self.input.to_owned(),
            partition: self.partition,
            offset: cause.position,
        }
    }
}

fn value(clv: f64, rules: &RuleSet) -> CustomerValue {
    CustomerValue { clv, currency: rules.churn.as_ref().and_then(|churn| churn.currency.clone()) }
}

/// A change as it is published.
fn cohort_change(
    rules: &RuleSet,
    customer: &str,
    effect: Effect,
    automation: Automation,
    place: &Origin<'_>,
) -> CohortChange {
    let cohort = rules.cohort(effect.cohort);
    let event_id = change_id(customer, &cohort.name, effect.change.symbol(), effect.at);
    let sentence = |language| effect.sentence(rules, language);
    CohortChange {
        event_id,
        customer_id: customer.to_owned(),
        cohort: cohort.name.clone(),
        change: effect.change,
        occurred_at: effect.at,
        reason: effect.reason,
        automation: automation.is_allowed(),
        why: effect.evidence(rules),
        why_text: Localized { en: sentence(Language::English), fr: sentence(Language::French) },
        cause: effect.cause.map(|cause| place.cause(cause)),
        entered_at: effect.entered_at,
        times_entered: effect.times_entered,
        next_change_at: effect.next_change_at,
        sequence: effect.sequence,
        definition: cohort.definition.clone(),
        action: cohort.action.clone(),
        owner: cohort.owner.clone(),
        properties: effect.properties,
        risk: effect.risk.zip(rules.churn.as_ref()).map(|(risk, churn)| RiskStanding {
            level: level_name(rules, risk.level).to_owned(),
            probability: risk.probability,
            horizon_days: in_days(churn.horizon),
        }),
        value: effect.risk.and_then(|risk| risk.value).map(|clv| value(clv, rules)),
    }
}

/// In whole days, as outputs give a horizon.
fn in_days(span: Span) -> u32 {
    u32::try_from((span.0 + Span::DAY.0 / 2) / Span::DAY.0).unwrap_or(u32::MAX)
}

/// Whether automation may act on a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Automation {
    Allowed,
    Withheld,
}

impl Automation {
    fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// Encodes changes as output records.
pub(in crate::lane) struct RecordEncoder {
    pub(in crate::lane) encoder: Encoder,
    /// The header `ce_source`.
    pub(in crate::lane) source: String,
}

impl RecordEncoder {
    /// The record of a change, and the row or tombstone of the membership table.
    pub(in crate::lane) fn change_records(
        &self,
        rules: &RuleSet,
        customer: &str,
        effect: Effect,
        automation: Automation,
        place: &Origin<'_>,
    ) -> [OutputRecord; 2] {
        let change = cohort_change(rules, customer, effect, automation, place);
        let mut payload = Vec::with_capacity(512);
        self.encoder.change(&change, &mut payload);
        let row = (change.change == Change::Entered).then(|| self.member_row(&change));
        let kind = match change.change {
            Change::Entered => "cohortd.cohort.entered.v1",
            Change::Exited => "cohortd.cohort.exited.v1",
        };
        let row_key = format!("{}/{customer}", change.cohort).into_bytes();
        // A row says less than its change: consumers look it up by its key.
        let row_headers = Headers::from([
            ("ce_id".into(), change.event_id.clone().into_bytes().into()),
            ("cohort".into(), change.cohort.clone().into_bytes().into()),
        ]);
        let headers = self.headers(kind, change.event_id, change.occurred_at, ("cohort", &change.cohort), place);
        [
            OutputRecord {
                topic: Topic::Changes,
                partition: place.partition,
                key: Some(customer.as_bytes().to_vec()),
                payload: Some(payload),
                headers,
            },
            OutputRecord {
                topic: Topic::Members,
                partition: place.partition,
                key: Some(row_key),
                payload: row,
                headers: row_headers,
            },
        ]
    }

    /// The row of the membership table after an entry.
    fn member_row(&self, entry: &CohortChange) -> Vec<u8> {
        let mut row = Vec::with_capacity(128);
        let member = CohortMember {
            customer_id: entry.customer_id.clone(),
            cohort: entry.cohort.clone(),
            entered_at: entry.entered_at,
            times_entered: entry.times_entered,
            event_id: entry.event_id.clone(),
            sequence: entry.sequence,
            reason: entry.reason,
            definition: entry.definition.clone(),
        };
        self.encoder.member(&member, &mut row);
        row
    }

    /// The record of a change of a risk level.
    pub(in crate::lane) fn risk_record(
        &self,
        rules: &RuleSet,
        customer: &str,
        effect: RiskEffect,
        automation: Automation,
        place: &Origin<'_>,
    ) -> Option<OutputRecord> {
        let churn = rules.churn.as_ref()?;
        let level = level_name(rules, effect.level);
        let event_id = change_id(customer, "churn risk", level, effect.at);
        let words = |of: &dyn Fn(Language) -> String| Localized { en: of(Language::English), fr: of(Language::French) };
        let factor = |factor: &Factor| RiskFactor {
            text: words(&|language| factor.text(rules, language)),
            points: factor.points,
        };
        let change = ChurnRiskChange {
            event_id: event_id.clone(),
            customer_id: customer.to_owned(),
            level: level.to_owned(),
            previous_level: level_name(rules, effect.previous).to_owned(),
            occurred_at: effect.at,
            reason: effect.reason,
            automation: automation.is_allowed(),
            why_text: words(&|language| effect.sentence(rules, language)),
            factors: effect.factors.iter().map(factor).collect(),
            probability: effect.probability,
            horizon_days: in_days(churn.horizon),
            expected_purchases: effect.expected,
            alive: effect.alive,
            value: effect.value.map(|clv| value(clv, rules)),
            value_at_risk: effect.value_at_risk(),
            next_level_at: effect.next_level_at,
            model: churn.model.name().to_owned(),
            parameters: effect.version,
            provisional: effect.provisional,
            sequence: effect.sequence,
            definition: churn.definition.clone(),
            cause: effect.cause.map(|cause| place.cause(cause)),
        };
        let mut payload = Vec::with_capacity(512);
        self.encoder.risk(&change, &mut payload);
        let headers =
            self.headers("cohortd.churn_risk.changed.v1", event_id, change.occurred_at, ("level", level), place);
        Some(OutputRecord {
            topic: Topic::Risks,
            partition: place.partition,
            key: Some(customer.as_bytes().to_vec()),
            payload: Some(payload),
            headers,
        })
    }

    /// The record of a cohort's forecast.
    pub(in crate::lane) fn forecast_record(
        &self,
        forecast: &CohortForecast,
        day: &str,
        partition: i32,
    ) -> OutputRecord {
        let mut payload = Vec::with_capacity(256);
        self.encoder.forecast(forecast, &mut payload);
        let key = format!("{}/{day}", forecast.cohort).into_bytes();
        let headers = Headers::from([("content-type".into(), b"application/avro".as_slice().into())]);
        OutputRecord { topic: Topic::Forecasts, partition, key: Some(key), payload: Some(payload), headers }
    }

    /// Headers of the CloudEvents Kafka binding in binary mode, and our own, which consumers can filter on without
    /// decoding.
    fn headers(
        &self,
        kind: &'static str,
        event_id: String,
        at: Instant,
        subject: (&'static str, &str),
        place: &Origin<'_>,
    ) -> Headers {
        let fixed = |name: &'static str, value: &'static str| (name.into(), value.as_bytes().into());
        let text = |name: &'static str, value: String| (name.into(), value.into_bytes().into());
        Headers::from([
            fixed("ce_specversion", "1.0"),
            text("ce_id", event_id),
            fixed("ce_type", kind),
            text("ce_source", self.source.clone()),
            text("ce_time", at.to_string()),
            fixed("content-type", "application/avro"),
            text(subject.0, subject.1.to_owned()),
            text("cohortd_position", place.position.to_string()),
            text("cohortd_stream_time", place.stream_time.0.to_string()),
        ])
    }
}

/// The id of a change, 128 bits in hex: the same after a restart, after a rebuild and from another process. A customer
/// changes a cohort at most once per instant, so the sequence number in the hash is 0.
fn change_id(customer: &str, cohort: &str, change: &str, at: Instant) -> String {
    let mut hasher = SipHasher13::new();
    for part in [customer, cohort, change] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part.as_bytes());
    }
    hasher.write(&at.0.to_le_bytes());
    hasher.write(&0_u32.to_le_bytes());
    format!("{:032x}", hasher.finish128().as_u128())
}
