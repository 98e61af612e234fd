//! The bytes of output records against those that `apache_avro` writes for the same values.

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;

use crate::codec::{Encoder, Framing, Output};
use crate::event::{
    Cause, Change, ChangeReason, ChurnRiskChange, CohortChange, CohortMember, CustomerValue, Evidence, Instant, Kept,
    Localized, Number, RiskFactor, RiskStanding,
};

/// A field of a record. Maps are lists, since those of `apache_avro` have no order.
enum Field {
    Value(Avro),
    Map(Vec<(String, Avro)>),
}

/// A record by its fields, as `apache_avro` writes each.
fn expected(output: Output, fields: Vec<(&str, Field)>) -> Vec<u8> {
    let Schema::Record(record) = Schema::parse_str(output.schema()).unwrap() else { panic!("no record") };
    let names: Vec<&str> = record.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, fields.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    record.fields.iter().zip(fields).flat_map(|(field, (_, value))| of_field(&field.schema, value)).collect()
}

fn of_field(schema: &Schema, field: Field) -> Vec<u8> {
    let write = |schema: &Schema, value: Avro| {
        GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
    };
    match (field, schema) {
        (Field::Value(value), schema) => write(schema, value),
        (Field::Map(entries), Schema::Map(map)) => {
            let head = (!entries.is_empty()).then(|| write(&Schema::Long, Avro::Long(entries.len() as i64)));
            let entries = entries.into_iter().flat_map(|(name, value)| {
                [write(&Schema::String, Avro::String(name)), write(&map.types, value)].concat()
            });
            head.into_iter().flatten().chain(entries).chain([0]).collect()
        }
        (Field::Map(_), _) => panic!("no map"),
    }
}

/// What follows the prefix of a record.
fn datum(record: &[u8]) -> &[u8] {
    Framing::Tagged.split(record).unwrap().1
}

fn text(text: &str) -> Avro {
    Avro::String(text.to_owned())
}

/// A branch of a union with null.
fn optional(value: Option<Avro>) -> Avro {
    match value {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(value) => Avro::Union(1, Box::new(value)),
    }
}

fn record<const N: usize>(fields: [(&str, Avro); N]) -> Avro {
    Avro::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn reason(reason: ChangeReason) -> Avro {
    let symbols =
        ["EVENT", "TIME", "LATE_EVENT", "CONSENT", "EXCLUDED", "THRESHOLD", "MODEL_CHANGED", "DEFINITION_CHANGED"];
    let place = symbols.iter().position(|symbol| *symbol == reason.as_str()).unwrap();
    Avro::Enum(u32::try_from(place).unwrap(), reason.as_str().to_owned())
}

fn cause(cause: &Cause<'_>) -> Avro {
    record([
        ("event", text(cause.event)),
        ("event_id", optional(cause.event_id.map(text))),
        ("topic", text(cause.topic)),
        ("partition", Avro::Int(cause.partition)),
        ("offset", Avro::Long(cause.offset)),
    ])
}

fn value(value: &CustomerValue<'_>) -> Avro {
    record([("clv", Avro::Double(value.clv)), ("currency", optional(value.currency.map(text)))])
}

fn sentences(of: Localized<&str>) -> Vec<(String, Avro)> {
    let both = [("en", of.en), ("fr", of.fr)];
    let present = both.into_iter().filter(|(_, sentence)| !sentence.is_empty());
    present.map(|(language, sentence)| (language.to_owned(), text(sentence))).collect()
}

fn property(value: Option<&Kept>) -> Avro {
    let (branch, value) = match value {
        None => (0, Avro::Null),
        Some(Kept::Bool(flag)) => (1, Avro::Boolean(*flag)),
        Some(Kept::Number(number)) if number.0 % Number::ONE == 0 && i64::try_from(number.0 / Number::ONE).is_ok() => {
            (2, Avro::Long(i64::try_from(number.0 / Number::ONE).unwrap()))
        }
        Some(Kept::Number(number)) => (3, Avro::Double(number.to_double())),
        Some(Kept::Text(value)) => (4, text(value)),
    };
    Avro::Union(branch, Box::new(value))
}

fn count(value: u64) -> Avro {
    Avro::Long(i64::try_from(value).unwrap())
}

fn of_change(change: &CohortChange<'_>) -> Vec<u8> {
    use Field::{Map, Value};
    let part = |part: &Evidence<&str>| {
        record([("condition", text(part.condition)), ("value", text(part.value)), ("holds", Avro::Boolean(part.holds))])
    };
    let risk = |risk: RiskStanding<'_>| {
        record([
            ("level", text(risk.level)),
            ("probability", Avro::Double(risk.probability)),
            ("horizon_days", Avro::Int(risk.horizon_days.cast_signed())),
        ])
    };
    let properties = change.properties.iter().map(|(name, value)| (name.clone(), property(value.as_ref())));
    expected(
        Output::CohortChange,
        vec![
            ("event_id", Value(text(change.event_id))),
            ("customer_id", Value(text(change.customer_id))),
            ("cohort", Value(text(change.cohort))),
            (
                "change",
                Value(Avro::Enum(u32::from(change.change == Change::Exited), change.change.symbol().to_owned())),
            ),
            ("occurred_at", Value(Avro::TimestampMillis(change.occurred_at.0))),
            ("reason", Value(reason(change.reason))),
            ("automation", Value(Avro::Boolean(change.automation))),
            ("cause", Value(optional(change.cause.as_ref().map(cause)))),
            ("why", Value(Avro::Array(change.why.iter().map(part).collect()))),
            ("why_text", Map(sentences(change.why_text))),
            ("entered_at", Value(Avro::TimestampMillis(change.entered_at.0))),
            ("times_entered", Value(Avro::Long(change.times_entered.into()))),
            ("next_change_at", Value(optional(change.next_change_at.map(|at| Avro::TimestampMillis(at.0))))),
            ("sequence", Value(count(change.sequence))),
            ("definition", Value(text(change.definition))),
            ("action", Value(optional(change.action.map(text)))),
            ("owner", Value(optional(change.owner.map(text)))),
            ("properties", Map(properties.collect())),
            ("risk", Value(optional(change.risk.map(risk)))),
            ("value", Value(optional(change.value.as_ref().map(value)))),
        ],
    )
}

fn of_member(member: &CohortMember<'_>) -> Vec<u8> {
    use Field::Value;
    expected(
        Output::CohortMember,
        vec![
            ("customer_id", Value(text(member.customer_id))),
            ("cohort", Value(text(member.cohort))),
            ("entered_at", Value(Avro::TimestampMillis(member.entered_at.0))),
            ("times_entered", Value(Avro::Long(member.times_entered.into()))),
            ("event_id", Value(text(member.event_id))),
            ("sequence", Value(count(member.sequence))),
            ("reason", Value(reason(member.reason))),
            ("definition", Value(text(member.definition))),
        ],
    )
}

fn of_risk(change: &ChurnRiskChange<'_>) -> Vec<u8> {
    use Field::{Map, Value};
    let factor = |factor: &RiskFactor<'_>| {
        let texts = sentences(factor.text).into_iter().collect();
        record([("text", Avro::Map(texts)), ("points", Avro::Int(i32::try_from(factor.points).unwrap()))])
    };
    expected(
        Output::ChurnRiskChange,
        vec![
            ("event_id", Value(text(change.event_id))),
            ("customer_id", Value(text(change.customer_id))),
            ("level", Value(text(change.level))),
            ("previous_level", Value(text(change.previous_level))),
            ("occurred_at", Value(Avro::TimestampMillis(change.occurred_at.0))),
            ("reason", Value(reason(change.reason))),
            ("automation", Value(Avro::Boolean(change.automation))),
            ("cause", Value(optional(change.cause.as_ref().map(cause)))),
            ("why_text", Map(sentences(change.why_text))),
            ("factors", Value(Avro::Array(change.factors.iter().map(factor).collect()))),
            ("probability", Value(Avro::Double(change.probability))),
            ("horizon_days", Value(Avro::Int(change.horizon_days.cast_signed()))),
            ("expected_purchases", Value(Avro::Double(change.expected_purchases))),
            ("alive", Value(optional(change.alive.map(Avro::Double)))),
            ("value", Value(optional(change.value.as_ref().map(value)))),
            ("value_at_risk", Value(optional(change.value_at_risk.map(Avro::Double)))),
            ("next_level_at", Value(optional(change.next_level_at.map(|at| Avro::TimestampMillis(at.0))))),
            ("model", Value(text(change.model))),
            ("parameters", Value(Avro::Int(change.parameters.cast_signed()))),
            ("provisional", Value(Avro::Boolean(change.provisional))),
            ("sequence", Value(count(change.sequence))),
            ("definition", Value(text(change.definition))),
        ],
    )
}

fn a_value(number: i64, texts: &[String; 6]) -> Option<Kept> {
    match number.rem_euclid(5) {
        0 => None,
        1 => Some(Kept::Bool(number % 2 == 0)),
        2 => Some(Kept::Number(Number(i128::from(number)))),
        3 => Some(Kept::Number(Number::from_integer(number))),
        _ => Some(Kept::Text(texts[4].as_str().into())),
    }
}

proptest! {
    /// Long texts, so that lengths take two bytes, and both languages.
    #[test]
    fn a_change_and_its_row_have_the_bytes_that_apache_avro_writes(
        texts in proptest::array::uniform6("\\PC{0,90}"),
        numbers in proptest::array::uniform6(any::<i64>()),
        flags in proptest::array::uniform8(any::<bool>()),
        kinds in (0..ChangeReason::ALL.len(), any::<u32>(), any::<i32>(), -1e12_f64..1e12, 0_u32..1 << 31),
        parts in 0_usize..4,
    ) {
        let (reason, times_entered, partition, double, days) = kinds;
        let optional = |flag: bool, text: usize| flag.then_some(texts[text].as_str());
        let why = vec![Evidence { condition: texts[2].as_str(), value: texts[3].as_str(), holds: flags[3] }; parts];
        let properties: Vec<(String, Option<Kept>)> =
            numbers[..parts].iter().zip(&texts).map(|(number, name)| (name.clone(), a_value(*number, &texts))).collect();
        let change = CohortChange {
            event_id: &texts[0],
            customer_id: &texts[1],
            cohort: &texts[5],
            change: if flags[0] { Change::Entered } else { Change::Exited },
            occurred_at: Instant(numbers[0]),
            reason: ChangeReason::ALL[reason],
            automation: flags[7],
            cause: flags[1].then(|| Cause {
                event: &texts[2],
                event_id: optional(flags[2], 3),
                topic: &texts[0],
                partition,
                offset: numbers[1],
            }),
            why: &why,
            why_text: Localized { en: &texts[1], fr: &texts[2] },
            entered_at: Instant(numbers[4]),
            times_entered,
            next_change_at: flags[3].then_some(Instant(numbers[2])),
            sequence: numbers[3].unsigned_abs() >> 1,
            definition: &texts[4],
            action: optional(flags[0], 3),
            owner: optional(flags[1], 0),
            properties: &properties,
            risk: flags[4].then_some(RiskStanding { level: &texts[3], probability: double, horizon_days: days }),
            value: flags[5].then_some(CustomerValue { clv: double, currency: optional(flags[6], 2) }),
        };
        let row = CohortMember {
            customer_id: change.customer_id,
            cohort: change.cohort,
            entered_at: change.entered_at,
            times_entered,
            event_id: change.event_id,
            sequence: change.sequence,
            reason: change.reason,
            definition: change.definition,
        };
        for encoder in [Encoder::with_ids([1, 2, 3, 4]), Encoder::with_fingerprints()] {
            let (mut changed, mut member) = (Vec::new(), Vec::new());
            encoder.change(&change, &mut changed);
            encoder.member(&row, &mut member);
            prop_assert_eq!(datum(&changed), of_change(&change));
            prop_assert_eq!(datum(&member), of_member(&row));
            // And nothing is left over.
            prop_assert!(Output::CohortChange.to_json(&changed).is_some());
            prop_assert!(Output::CohortMember.to_json(&member).is_some());
        }
    }

    #[test]
    fn a_change_of_risk_has_the_bytes_that_apache_avro_writes(
        texts in proptest::array::uniform6("\\PC{0,90}"),
        numbers in proptest::array::uniform6(any::<i64>()),
        flags in proptest::array::uniform8(any::<bool>()),
        kinds in (0..ChangeReason::ALL.len(), 0_u32..1 << 31, -1e12_f64..1e12, 0_u32..1 << 31),
        parts in 0_usize..4,
    ) {
        let (reason, parameters, double, days) = kinds;
        // One language: a map within a list has no order.
        let factors: Vec<RiskFactor<'_>> = numbers[..parts]
            .iter()
            .map(|points| RiskFactor { text: Localized { en: "", fr: texts[2].as_str() }, points: points >> 32 })
            .collect();
        let change = ChurnRiskChange {
            event_id: &texts[0],
            customer_id: &texts[1],
            level: &texts[2],
            previous_level: &texts[3],
            occurred_at: Instant(numbers[0]),
            reason: ChangeReason::ALL[reason],
            automation: flags[0],
            cause: None,
            why_text: Localized { en: &texts[4], fr: &texts[5] },
            factors: &factors,
            probability: double,
            horizon_days: days,
            expected_purchases: double,
            alive: flags[1].then_some(double),
            value: flags[2].then_some(CustomerValue { clv: double, currency: flags[3].then_some(texts[0].as_str()) }),
            value_at_risk: flags[4].then_some(double),
            next_level_at: flags[5].then_some(Instant(numbers[1])),
            model: &texts[3],
            parameters,
            provisional: flags[6],
            sequence: numbers[2].unsigned_abs() >> 1,
            definition: &texts[5],
        };
        let mut record = Vec::new();
        Encoder::with_ids([1, 2, 3, 4]).risk(&change, &mut record);
        prop_assert_eq!(datum(&record), of_risk(&change));
    }
}
