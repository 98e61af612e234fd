//! The merge law: the merged facts of two customers are the fact of both histories, in whatever order they are merged.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    A, Answer, B, Distinct, DistinctAll, DistinctKey, Earliest, Extreme, Fact, FactKind, FeedContext, Floor, Keep,
    Latest, Parts, Periods, PurchaseDays, Sequence, Series, Steps, Total, Unanswered, UsageDays, VIA, Values,
};
use crate::calendar::{Calendar, Unit};
use crate::event::{CustomerEvent, Instant, NameId, Number, PropertyId, Span, Value};

const AMOUNT: PropertyId = PropertyId(0);
const PLAN: PropertyId = PropertyId(1);
/// Large enough for the histories.
const CAP: usize = 64;
/// The histories are within so many hours, all of which may still be merged.
const HOURS: i64 = 24 * 40;

/// Hour, parts, amount and plan of an event.
type Entry = (i64, Parts, i64, u8);

fn kinds() -> Vec<FactKind> {
    let (horizon, floor) = (Some(Span(500 * Span::HOUR.0)), Floor::None);
    let key = DistinctKey::Property(PLAN);
    let sequence = |key, keep| Sequence {
        within: vec![Span(30 * Span::HOUR.0), Span(50 * Span::HOUR.0)],
        key,
        keep,
        keys_max: CAP,
        events_max: CAP,
    };
    let unanswered = |key, each| Unanswered { key, each, keys_max: CAP, each_max: CAP, horizon: None };
    vec![
        Latest { cap: 3, back: None }.into(),
        Earliest { cap: 3 }.into(),
        Total { property: Some(AMOUNT), from: Some(Instant(40 * Span::HOUR.0)) }.into(),
        Series { property: Some(AMOUNT), exact: CAP, horizon, floor }.into(),
        Series { property: None, exact: CAP, horizon: None, floor }.into(),
        Distinct { key, earliest: false, cap: 2 }.into(),
        Distinct { key, earliest: true, cap: 2 }.into(),
        Distinct { key: DistinctKey::Period(Unit::Day), earliest: false, cap: CAP }.into(),
        DistinctAll { key, cap: CAP, horizon, floor }.into(),
        Extreme { property: AMOUNT, greatest: true, from: None }.into(),
        Extreme { property: AMOUNT, greatest: false, from: None }.into(),
        Values { property: PLAN, earliest: false, cap: 1, horizon: None, floor }.into(),
        Values { property: PLAN, earliest: true, cap: 1, horizon: None, floor }.into(),
        Values { property: PLAN, earliest: false, cap: CAP, horizon, floor }.into(),
        Answer { last: false, cap: CAP }.into(),
        Answer { last: true, cap: CAP }.into(),
        Steps { cap: CAP }.into(),
        unanswered(None, false).into(),
        unanswered(Some(PLAN), true).into(),
        sequence(None, Keep::Latest).into(),
        sequence(Some(PLAN), Keep::Earliest).into(),
        Periods { unit: Unit::Week, back: 60, most: 3 }.into(),
        PurchaseDays { amount: Some((NameId(0), AMOUNT)) }.into(),
        UsageDays.into(),
    ]
}

fn calendar() -> Calendar {
    Calendar::new(jiff::tz::TimeZone::get("Europe/Paris").unwrap())
}

/// A fact after a history, fed in its order. No event is old enough to be settled.
fn fed(kind: &FactKind, history: &[Entry], calendar: &Calendar) -> Fact {
    let mut fact = Fact::empty(kind);
    for (hour, parts, amount, plan) in history {
        let text = format!("plan-{plan}");
        let properties = [(AMOUNT, Value::Number(Number::from_integer(*amount))), (PLAN, Value::Text(&text))];
        let event = CustomerEvent {
            customer: "c",
            name: "e",
            name_id: NameId(0),
            at: Instant(hour * Span::HOUR.0),
            id: None,
            source: None,
            record_hash: 0,
            unusable_values: 0,
            properties: &properties,
        };
        let mut approximated = 0;
        let settled_before = Instant(0);
        fact.forget(kind, None, settled_before);
        let mut context = FeedContext { settled_before, edge: None, calendar, approximated: &mut approximated };
        fact.feed(kind, &event, parts_for(kind, *parts), &mut context);
    }
    fact
}

/// Kinds with one part match only that.
fn parts_for(kind: &FactKind, parts: Parts) -> Parts {
    match kind {
        FactKind::Steps(_) | FactKind::Sequence(_) => parts,
        FactKind::Answer(_) | FactKind::Unanswered(_) if parts & (A | B) != 0 => parts & (A | B),
        _ => A,
    }
}

fn merged(kind: &FactKind, mut one: Fact, other: Fact) -> Fact {
    one.merge(kind, other, None, &mut 0);
    one
}

fn history() -> impl Strategy<Value = Vec<Entry>> {
    vec((0..HOURS, prop_oneof![Just(A), Just(B), Just(VIA), Just(A | B), Just(A | VIA)], 0..9_i64, 0..3_u8), 0..14)
}

proptest! {
    #[test]
    fn merged_facts_are_those_of_the_united_history(
        x in history(), y in history(), z in history(), kind in 0..kinds().len(), shuffle in any::<u64>(),
    ) {
        let (kind, calendar) = (&kinds()[kind], calendar());
        let fed = |history: &[Entry]| fed(kind, history, &calendar);
        let (fx, fy, fz) = (fed(&x), fed(&y), fed(&z));
        let xy = merged(kind, fx.clone(), fy.clone());
        prop_assert_eq!(&xy, &merged(kind, fy.clone(), fx.clone()), "merging is not commutative");
        let left = merged(kind, xy.clone(), fz.clone());
        let right = merged(kind, fx, merged(kind, fy, fz));
        prop_assert_eq!(left, right, "merging is not associative");
        let mut all = [x, y].concat();
        // In a pseudo-random order of arrival.
        all.sort_by_key(|(hour, ..)| (hour.unsigned_abs() ^ shuffle).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        prop_assert_eq!(xy, fed(&all), "of {:?}", kind);
    }
}
