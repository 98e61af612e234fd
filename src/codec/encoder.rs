//! Changes, memberships and forecasts as records of the output topics.
//!
//! Written by hand for the schemas in `schemas/`: a few pushes for each field, in the order of the schema. Tests read
//! every record back with `apache_avro`, which is independent of this file.

use super::output::Output;
use super::write::{block, count, double, end_after, instant, long, optional, text};
use crate::event::{
    Cause, Change, ChangeReason, ChurnRiskChange, CohortChange, CohortForecast, CohortMember, CustomerValue,
    ExpectedChanges, Kept, Localized, Number, RiskStanding,
};

/// Encodes records, with the prefix of each kind.
///
/// Without a registry ids are useless, so records then begin with the fingerprint of their schema (single-object
/// encoding), for which a consumer only needs the `.avsc` files.
#[derive(Debug, Clone)]
pub struct Encoder {
    change_tag: Box<[u8]>,
    member_tag: Box<[u8]>,
    risk_tag: Box<[u8]>,
    forecast_tag: Box<[u8]>,
}

impl Encoder {
    /// Confluent wire format, with the ids under which a registry holds the schemas, in the order of [`Output::ALL`].
    #[must_use]
    pub fn with_ids([change, member, risk, forecast]: [u32; 4]) -> Self {
        let tag = |id: u32| std::iter::once(0).chain(id.to_be_bytes()).collect();
        Self { change_tag: tag(change), member_tag: tag(member), risk_tag: tag(risk), forecast_tag: tag(forecast) }
    }

    /// Single-object encoding: needs no registry.
    #[must_use]
    pub fn with_fingerprints() -> Self {
        let tag = |output: Output| [0xc3, 0x01].into_iter().chain(output.fingerprint().to_le_bytes()).collect();
        Self {
            change_tag: tag(Output::CohortChange),
            member_tag: tag(Output::CohortMember),
            risk_tag: tag(Output::ChurnRiskChange),
            forecast_tag: tag(Output::CohortForecast),
        }
    }

    /// Appends a `cohort-changes` record to `record`.
    pub fn change(&self, change: &CohortChange<'_>, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.change_tag);
        text(record, change.event_id);
        text(record, change.customer_id);
        text(record, change.cohort);
        long(
            record,
            match change.change {
                Change::Entered => 0,
                Change::Exited => 1,
            },
        );
        instant(record, change.occurred_at);
        reason(record, change.reason);
        record.push(u8::from(change.automation));
        optional(record, change.cause.as_ref(), cause);
        block(record, change.why.len());
        for part in change.why {
            text(record, part.condition);
            text(record, part.value);
            record.push(u8::from(part.holds));
        }
        end_after(record, change.why.len());
        localized(record, change.why_text);
        instant(record, change.entered_at);
        long(record, i64::from(change.times_entered));
        optional(record, change.next_change_at, instant);
        count(record, change.sequence);
        text(record, change.definition);
        optional(record, change.action, text);
        optional(record, change.owner, text);
        block(record, change.properties.len());
        for (name, value) in change.properties {
            text(record, name);
            property(record, value.as_ref());
        }
        end_after(record, change.properties.len());
        optional(record, change.risk.as_ref(), |record, risk: &RiskStanding<'_>| {
            text(record, risk.level);
            double(record, risk.probability);
            long(record, i64::from(risk.horizon_days));
        });
        optional(record, change.value.as_ref(), customer_value);
    }

    /// Appends a `churn-risk-changes` record to `record`.
    pub fn risk(&self, change: &ChurnRiskChange<'_>, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.risk_tag);
        text(record, change.event_id);
        text(record, change.customer_id);
        text(record, change.level);
        text(record, change.previous_level);
        instant(record, change.occurred_at);
        reason(record, change.reason);
        record.push(u8::from(change.automation));
        optional(record, change.cause.as_ref(), cause);
        localized(record, change.why_text);
        block(record, change.factors.len());
        for factor in change.factors {
            localized(record, factor.text);
            long(record, factor.points);
        }
        end_after(record, change.factors.len());
        double(record, change.probability);
        long(record, i64::from(change.horizon_days));
        double(record, change.expected_purchases);
        optional(record, change.alive, double);
        optional(record, change.value.as_ref(), customer_value);
        optional(record, change.value_at_risk, double);
        optional(record, change.next_level_at, instant);
        text(record, change.model);
        long(record, i64::from(change.parameters));
        record.push(u8::from(change.provisional));
        count(record, change.sequence);
        text(record, change.definition);
    }

    /// Appends a `cohort-forecasts` record to `record`.
    pub fn forecast(&self, forecast: &CohortForecast, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.forecast_tag);
        text(record, &forecast.cohort);
        long(record, i64::from(forecast.day));
        instant(record, forecast.made_at);
        count(record, forecast.size);
        count(record, forecast.entered_last_week);
        count(record, forecast.left_last_week);
        expected(record, &forecast.week);
        optional(record, forecast.currency.as_deref(), text);
        block(record, forecast.days.len());
        for (day, changes) in (i64::from(forecast.day)..).zip(&forecast.days) {
            long(record, day);
            expected(record, changes);
        }
        end_after(record, forecast.days.len());
        optional(record, forecast.error_last_week, double);
        optional(record, forecast.naive_error_last_week, double);
        text(record, &forecast.definition);
    }

    /// Appends a `cohort-members` record to `record`.
    pub fn member(&self, member: &CohortMember<'_>, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.member_tag);
        text(record, member.customer_id);
        text(record, member.cohort);
        instant(record, member.entered_at);
        long(record, i64::from(member.times_entered));
        text(record, member.event_id);
        count(record, member.sequence);
        reason(record, member.reason);
        text(record, member.definition);
    }
}

fn cause(record: &mut Vec<u8>, cause: &Cause<'_>) {
    text(record, cause.event);
    optional(record, cause.event_id, text);
    text(record, cause.topic);
    long(record, i64::from(cause.partition));
    long(record, cause.offset);
}

fn customer_value(record: &mut Vec<u8>, value: &CustomerValue<'_>) {
    double(record, value.clv);
    optional(record, value.currency, text);
}

fn expected(record: &mut Vec<u8>, changes: &ExpectedChanges) {
    count(record, changes.exits_if_silent);
    count(record, changes.entries_if_silent);
    double(record, changes.exits_expected);
    double(record, changes.entries_expected);
    optional(record, changes.value_at_stake, double);
}

/// A map from language to sentence, without missing ones.
fn localized(record: &mut Vec<u8>, sentences: Localized<&str>) {
    let sentences = [("en", sentences.en), ("fr", sentences.fr)];
    let present = sentences.iter().filter(|(_, sentence)| !sentence.is_empty());
    let count = present.clone().count();
    block(record, count);
    for (language, sentence) in present {
        text(record, language);
        text(record, sentence);
    }
    end_after(record, count);
}

/// A value of the map of properties. A number is a long where it is whole and fits.
fn property(record: &mut Vec<u8>, value: Option<&Kept>) {
    match value {
        None => long(record, 0),
        Some(Kept::Bool(flag)) => {
            long(record, 1);
            record.push(u8::from(*flag));
        }
        Some(Kept::Number(number)) => match i64::try_from(number.0 / Number::ONE) {
            Ok(whole) if number.0 % Number::ONE == 0 => {
                long(record, 2);
                long(record, whole);
            }
            _ => {
                long(record, 3);
                double(record, number.to_double());
            }
        },
        Some(Kept::Text(value)) => {
            long(record, 4);
            text(record, value);
        }
    }
}

fn reason(record: &mut Vec<u8>, reason: ChangeReason) {
    long(record, place_of(reason));
}

/// The place of a reason among the symbols of `ChangeReason` in the schemas.
fn place_of(reason: ChangeReason) -> i64 {
    match reason {
        ChangeReason::Event => 0,
        ChangeReason::Time => 1,
        ChangeReason::LateEvent => 2,
        ChangeReason::Excluded => 4,
        ChangeReason::Threshold => 5,
        ChangeReason::ModelChanged => 6,
        ChangeReason::DefinitionChanged => 7,
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::Schema;
    use serde_json::json;

    use super::{Encoder, Output, place_of};
    use crate::event::{
        Cause, Change, ChangeReason, ChurnRiskChange, CohortChange, CohortForecast, CohortMember, CustomerValue,
        Evidence, ExpectedChanges, Instant, Kept, Localized, Number, RiskFactor, RiskStanding,
    };

    /// The symbols of `ChangeReason` in the schemas, in their order.
    const REASONS: [&str; 11] = [
        "EVENT",
        "TIME",
        "LATE_EVENT",
        "CONSENT",
        "EXCLUDED",
        "THRESHOLD",
        "MODEL_CHANGED",
        "DEFINITION_CHANGED",
        "MERGED",
        "ERASED",
        "OTHER",
    ];

    fn a_change(properties: &[(String, Option<Kept>)]) -> CohortChange<'_> {
        CohortChange {
            event_id: "00ff",
            customer_id: "c1",
            cohort: "new_signups",
            change: Change::Entered,
            occurred_at: Instant(1_700_000_000_000),
            reason: ChangeReason::LateEvent,
            automation: true,
            cause: Some(Cause { event: "purchase", event_id: None, topic: "t", partition: 3, offset: 1 << 40 }),
            why: &[Evidence { condition: "count >= 2", value: "3", holds: true }],
            why_text: Localized { en: "Bought twice.", fr: "" },
            entered_at: Instant(-1),
            times_entered: u32::MAX,
            next_change_at: None,
            sequence: 7,
            definition: "abcd",
            action: Some("mail"),
            owner: None,
            properties,
            risk: Some(RiskStanding { level: "high", probability: 0.5, horizon_days: 90 }),
            value: Some(CustomerValue { clv: 12.25, currency: None }),
        }
    }

    #[test]
    fn a_change_of_risk_read_by_apache_avro_is_what_was_written() {
        let change = ChurnRiskChange {
            event_id: "0f",
            customer_id: "c1",
            level: "high",
            previous_level: "medium",
            occurred_at: Instant(-5),
            reason: ChangeReason::ModelChanged,
            automation: false,
            cause: None,
            why_text: Localized { en: "Risk is high.", fr: "Risque élevé." },
            factors: &[RiskFactor { text: Localized { en: "silent", fr: "" }, points: -3 }],
            probability: 0.9,
            horizon_days: 90,
            expected_purchases: 1e-9,
            alive: Some(0.25),
            value: Some(CustomerValue { clv: 80.5, currency: Some("EUR") }),
            value_at_risk: Some(72.45),
            next_level_at: Some(Instant(7)),
            model: "mbg_nbd",
            parameters: 3,
            provisional: true,
            sequence: 12,
            definition: "abcd",
        };
        let expected = json!({
            "event_id": "0f", "customer_id": "c1", "level": "high", "previous_level": "medium", "occurred_at": -5,
            "reason": "MODEL_CHANGED", "automation": false, "cause": null,
            "why_text": {"en": "Risk is high.", "fr": "Risque élevé."},
            "factors": [{"text": {"en": "silent"}, "points": -3}], "probability": 0.9, "horizon_days": 90,
            "expected_purchases": 1e-9, "alive": 0.25, "value": {"clv": 80.5, "currency": "EUR"},
            "value_at_risk": 72.45, "next_level_at": 7, "model": "mbg_nbd", "parameters": 3, "provisional": true,
            "sequence": 12, "definition": "abcd",
        });
        for encoder in [Encoder::with_ids([1, 2, 258, 3]), Encoder::with_fingerprints()] {
            let mut record = Vec::new();
            encoder.risk(&change, &mut record);
            assert_eq!(Output::ChurnRiskChange.to_json(&record), Some(expected.clone()));
        }
    }

    #[test]
    fn a_forecast_read_by_apache_avro_is_what_was_written() {
        let changes = |exits_if_silent| ExpectedChanges {
            exits_if_silent,
            entries_if_silent: 2,
            exits_expected: 0.5,
            entries_expected: 1.25,
            value_at_stake: (exits_if_silent > 1).then_some(-3.5),
        };
        let forecast = CohortForecast {
            cohort: "vip".into(),
            day: 20_454,
            made_at: Instant(1_767_225_600_001),
            size: 1 << 40,
            entered_last_week: 3,
            left_last_week: 0,
            week: changes(9),
            days: vec![changes(1), changes(8)],
            currency: Some("EUR".into()),
            error_last_week: Some(4.5),
            naive_error_last_week: None,
            definition: "aa".into(),
        };
        let expected = json!({
            "cohort": "vip", "day": 20_454, "made_at": 1_767_225_600_001_i64, "size": 1_i64 << 40, "entered_last_week": 3,
            "left_last_week": 0, "exits_if_silent": 9, "entries_if_silent": 2, "exits_expected": 0.5,
            "entries_expected": 1.25, "value_at_stake": -3.5, "currency": "EUR",
            "days": [
                {"day": 20_454, "exits_if_silent": 1, "entries_if_silent": 2, "exits_expected": 0.5,
                 "entries_expected": 1.25, "value_at_stake": null},
                {"day": 20_455, "exits_if_silent": 8, "entries_if_silent": 2, "exits_expected": 0.5,
                 "entries_expected": 1.25, "value_at_stake": -3.5},
            ],
            "error_last_week": 4.5, "naive_error_last_week": null, "definition": "aa",
        });
        for encoder in [Encoder::with_ids([1, 2, 3, 258]), Encoder::with_fingerprints()] {
            let mut record = Vec::new();
            encoder.forecast(&forecast, &mut record);
            assert_eq!(Output::CohortForecast.to_json(&record), Some(expected.clone()));
        }
    }

    #[test]
    fn a_change_read_by_apache_avro_is_what_was_written() {
        let expected = json!({
            "event_id": "00ff", "customer_id": "c1", "cohort": "new_signups", "change": "ENTERED",
            "occurred_at": 1_700_000_000_000_i64, "reason": "LATE_EVENT", "automation": true,
            "cause": {"event": "purchase", "event_id": null, "topic": "t", "partition": 3, "offset": 1_i64 << 40},
            "why": [{"condition": "count >= 2", "value": "3", "holds": true}],
            "why_text": {"en": "Bought twice."}, "entered_at": -1, "times_entered": u32::MAX, "next_change_at": null,
            "sequence": 7, "definition": "abcd", "action": "mail", "owner": null,
            "properties": {"plan": "pro", "basket": 12.5, "orders": -3, "trial": true, "phone": null},
            "risk": {"level": "high", "probability": 0.5, "horizon_days": 90}, "value": {"clv": 12.25, "currency": null},
        });
        let properties = [
            ("plan".into(), Some(Kept::Text("pro".into()))),
            ("basket".into(), Some(Kept::Number(Number(12_500_000)))),
            ("orders".into(), Some(Kept::Number(Number::from_integer(-3)))),
            ("trial".into(), Some(Kept::Bool(true))),
            ("phone".into(), None),
        ];
        for encoder in [Encoder::with_ids([258, 1, 2, 3]), Encoder::with_fingerprints()] {
            let mut record = Vec::new();
            encoder.change(&a_change(&properties), &mut record);
            assert_eq!(Output::CohortChange.to_json(&record), Some(expected.clone()));
            record.push(0);
            assert_eq!(Output::CohortChange.to_json(&record), None, "a byte is left over");
        }
    }

    #[test]
    fn a_membership_has_these_bytes() {
        let member = CohortMember {
            customer_id: "c1",
            cohort: "vip",
            entered_at: Instant(64),
            times_entered: 1,
            event_id: "0f",
            sequence: 2,
            reason: ChangeReason::Time,
            definition: "aa",
        };
        let mut record = Vec::new();
        Encoder::with_ids([1, 258, 2, 3]).member(&member, &mut record);
        assert_eq!(record, b"\x00\x00\x00\x01\x02\x04c1\x06vip\x80\x01\x02\x040f\x04\x02\x04aa");
        let json = Output::CohortMember.to_json(&record).unwrap();
        assert_eq!(json["reason"], "TIME");
        assert_eq!(json["sequence"], 2);
        record.clear();
        Encoder::with_fingerprints().member(&member, &mut record);
        assert_eq!(record[..2], [0xc3, 0x01]);
        assert_eq!(Output::CohortMember.to_json(&record), Some(json));
        assert_eq!(Output::CohortChange.to_json(&record), None);
    }

    #[test]
    fn the_reasons_are_those_of_the_schemas_and_hold_all_of_ours() {
        for output in Output::ALL {
            let Schema::Record(record) = output.parsed() else { panic!("no record") };
            let Some(field) = record.fields.iter().find(|field| field.name == "reason") else { continue };
            let Schema::Enum(symbols) = &field.schema else { panic!("no enum") };
            assert_eq!(symbols.symbols, REASONS);
        }
        for reason in ChangeReason::ALL {
            assert_eq!(REASONS[usize::try_from(place_of(*reason)).unwrap()], reason.as_str());
        }
    }
}
