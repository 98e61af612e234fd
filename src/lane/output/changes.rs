//! Encoding changes as output records.
//!
//! A change is written field by field into the buffer of its record: nothing is put together before. What is the same in
//! every change is encoded once, in `fragments`.

use crate::codec::Encoder;
use crate::engine::{Claim, Effect, EvidencePart, Factor, Language, RiskEffect, level_name};
use crate::event::{
    Change, ChurnRiskChange, CohortChange, CohortForecast, CohortMember, CustomerValue, Evidence, Localized,
    RiskFactor, RiskStanding, Span,
};
use crate::lane::output::change_id::ChangeId;
use crate::lane::output::fragments::{Fragments, Kind};
use crate::lane::output::origin::Origin;
use crate::lane::output::plan::Plan;
use crate::lane::output::record::{OutputRecord, Topic};
use crate::lane::output::texts::{ChangeTexts, Texts};
use crate::rules::RuleSet;

/// Room for a change with its key and headers, so that its buffer hardly ever grows.
const CHANGE_BYTES: usize = 1_280;
/// The same for a row of the membership table.
const ROW_BYTES: usize = 256;

/// Parts of a rule whose evidence needs no allocation. Few rules have more.
const PARTS: usize = 8;

fn value(clv: f64, rules: &RuleSet) -> CustomerValue<'_> {
    CustomerValue { clv, currency: rules.churn.as_ref().and_then(|churn| churn.currency.as_deref()) }
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
    encoder: Encoder,
    fragments: Fragments,
}

impl RecordEncoder {
    /// `source` is the header `ce_source`.
    pub(in crate::lane) fn new(encoder: Encoder, source: &str) -> Self {
        Self { encoder, fragments: Fragments::new(source) }
    }

    /// Adds the record of a change to a plan, and the row or tombstone of the membership table.
    pub(in crate::lane) fn push_change(
        &self,
        rules: &RuleSet,
        customer: &str,
        effect: &Effect,
        automation: Automation,
        place: &Origin<'_>,
        plan: &mut Plan,
    ) {
        let cohort = rules.cohort(effect.cohort);
        let id = ChangeId::of(customer, &cohort.name, effect.change.symbol(), effect.at, 0);
        write_texts(rules, effect, &mut plan.change_texts);
        let ChangeTexts { parts, sentences } = &plan.change_texts;
        let (mut few, many): ([Evidence<&str>; PARTS], Vec<Evidence<&str>>);
        let count = effect.why.len();
        let why = if count <= PARTS {
            few = [Evidence { condition: "", value: "", holds: false }; PARTS];
            few.iter_mut().zip(evidence(effect, parts)).for_each(|(place, part)| *place = part);
            &few[..count]
        } else {
            many = evidence(effect, parts).collect();
            &many
        };
        let change = CohortChange {
            event_id: id.as_str(),
            customer_id: customer,
            cohort: &cohort.name,
            change: effect.change,
            occurred_at: effect.at,
            reason: effect.reason,
            automation: automation.is_allowed(),
            why,
            why_text: Localized { en: &sentences.en, fr: &sentences.fr },
            cause: effect.cause.as_ref().map(|cause| place.cause(cause)),
            entered_at: effect.entered_at,
            times_entered: effect.times_entered,
            next_change_at: effect.next_change_at,
            sequence: effect.sequence,
            definition: &cohort.definition,
            action: cohort.action.as_deref(),
            owner: cohort.owner.as_deref(),
            properties: &effect.properties,
            risk: effect.risk.zip(rules.churn.as_ref()).map(|(risk, churn)| RiskStanding {
                level: level_name(rules, risk.level),
                probability: risk.probability,
                horizon_days: in_days(churn.horizon),
            }),
            value: effect.risk.and_then(|risk| risk.value).map(|clv| value(clv, rules)),
        };
        let kind = match effect.change {
            Change::Entered => Kind::Entered,
            Change::Exited => Kind::Exited,
        };
        let mut payload = Vec::with_capacity(CHANGE_BYTES);
        self.encoder.change(&change, &mut payload);
        let mut record =
            OutputRecord::new(Topic::Changes, place.partition, Some(payload)).with_key(&[customer.as_bytes()]);
        let subject = (b"cohort".as_slice(), cohort.name.as_str());
        record.write_headers(|headers| self.fragments.write_headers(kind, &id, effect.at, subject, place, headers));
        let row = self.row(&change, place.partition);
        plan.records.extend([record, row]);
    }

    /// The row of the membership table after an entry, or the tombstone after an exit.
    fn row(&self, change: &CohortChange<'_>, partition: i32) -> OutputRecord {
        let row = (change.change == Change::Entered).then(|| {
            let mut row = Vec::with_capacity(ROW_BYTES);
            let member = CohortMember {
                customer_id: change.customer_id,
                cohort: change.cohort,
                entered_at: change.entered_at,
                times_entered: change.times_entered,
                event_id: change.event_id,
                sequence: change.sequence,
                reason: change.reason,
                definition: change.definition,
            };
            self.encoder.member(&member, &mut row);
            row
        });
        let key = [change.cohort.as_bytes(), b"/", change.customer_id.as_bytes()];
        let record = match row {
            Some(row) => OutputRecord::new(Topic::Members, partition, Some(row)),
            None => OutputRecord::tombstone(Topic::Members, partition, ROW_BYTES),
        };
        let mut record = record.with_key(&key);
        // A row says less than its change: consumers look it up by its key.
        record.push_header(b"ce_id", change.event_id.as_bytes());
        record.push_header(b"cohort", change.cohort.as_bytes());
        record
    }

    /// Adds the record of a change of a risk level to a plan.
    pub(in crate::lane) fn push_risk(
        &self,
        rules: &RuleSet,
        customer: &str,
        effect: &RiskEffect,
        automation: Automation,
        place: &Origin<'_>,
        plan: &mut Plan,
    ) {
        let Some(churn) = rules.churn.as_ref() else { return };
        let level = level_name(rules, effect.level);
        let number = u32::try_from(effect.sequence).unwrap_or(u32::MAX);
        let id = ChangeId::of(customer, "churn risk", level, effect.at, number);
        let texts = &mut plan.risk_texts;
        texts.clear();
        let sentences = Localized {
            en: texts.add(|out| effect.write_sentence(rules, Language::English, out)),
            fr: texts.add(|out| effect.write_sentence(rules, Language::French, out)),
        };
        let mut write = |factor: &Factor| {
            let en = texts.add(|out| factor.write_text(rules, Language::English, out));
            (en, texts.add(|out| factor.write_text(rules, Language::French, out)), factor.points)
        };
        let factors: Vec<(usize, usize, i64)> = effect.factors.iter().map(&mut write).collect();
        let text = |number: usize| plan.risk_texts.get(number);
        let factor = |(en, fr, points)| RiskFactor { text: Localized { en: text(en), fr: text(fr) }, points };
        let factors: Vec<RiskFactor<'_>> = factors.into_iter().map(factor).collect();
        let change = ChurnRiskChange {
            event_id: id.as_str(),
            customer_id: customer,
            level,
            previous_level: level_name(rules, effect.previous),
            occurred_at: effect.at,
            reason: effect.reason,
            automation: automation.is_allowed(),
            why_text: Localized { en: text(sentences.en), fr: text(sentences.fr) },
            factors: &factors,
            probability: effect.probability,
            horizon_days: in_days(churn.horizon),
            expected_purchases: effect.expected,
            alive: effect.alive,
            value: effect.value.map(|clv| value(clv, rules)),
            value_at_risk: effect.value_at_risk(),
            next_level_at: effect.next_level_at,
            model: churn.model.name(),
            parameters: effect.version,
            provisional: effect.provisional,
            sequence: effect.sequence,
            definition: &churn.definition,
            cause: effect.cause.as_ref().map(|cause| place.cause(cause)),
        };
        let mut payload = Vec::with_capacity(CHANGE_BYTES);
        self.encoder.risk(&change, &mut payload);
        let mut record =
            OutputRecord::new(Topic::Risks, place.partition, Some(payload)).with_key(&[customer.as_bytes()]);
        let subject = (b"level".as_slice(), level);
        record.write_headers(|headers| {
            self.fragments.write_headers(Kind::Risk, &id, effect.at, subject, place, headers);
        });
        plan.records.push(record);
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
        let key = [forecast.cohort.as_bytes(), b"/", day.as_bytes()];
        let mut record = OutputRecord::new(Topic::Forecasts, partition, Some(payload)).with_key(&key);
        record.push_header(b"content-type", b"application/avro");
        record
    }
}

/// Writes the texts of a change: of each part of the rule the condition, unless it is a text of the rules, and its value,
/// and a sentence in each language.
fn write_texts(rules: &RuleSet, effect: &Effect, texts: &mut ChangeTexts) {
    let ChangeTexts { parts, sentences } = texts;
    parts.clear();
    for part in &effect.why {
        parts.add(|out| match quoted(part) {
            Some(_) => {}
            None => part.write_condition(rules, Language::English, out),
        });
        parts.add(|out| part.write_value(Language::English, out));
    }
    sentences.en.clear();
    sentences.fr.clear();
    let written = |number: usize, _: &EvidencePart, out: &mut String| out.push_str(parts.get(2 * number + 1));
    effect.write_sentence_with(rules, Language::English, written, &mut sentences.en);
    effect.write_sentence(rules, Language::French, &mut sentences.fr);
}

/// A condition that is quoted from the rules as it is.
fn quoted(part: &EvidencePart) -> Option<&str> {
    match &part.claim {
        Claim::Condition { words, negated: false, .. } => Some(words),
        Claim::Condition { .. } | Claim::AtMost(_) | Claim::Excluded { .. } => None,
    }
}

/// The parts of the rule that decided, in English: as [`write_texts`] numbers them.
fn evidence<'a>(effect: &'a Effect, texts: &'a Texts) -> impl Iterator<Item = Evidence<&'a str>> {
    effect.why.iter().enumerate().map(|(number, part)| Evidence {
        condition: quoted(part).unwrap_or_else(|| texts.get(2 * number)),
        value: texts.get(2 * number + 1),
        holds: part.holds,
    })
}
