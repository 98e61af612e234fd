use super::{Asked, NOT_FOUND_FOR, NOT_FOUND_MAX, Next, OPEN_MAX, QUESTIONS_AT_ONCE, RegistryEvent};
use std::time::{Duration, Instant};

/// What is compiled from a schema does not matter here.
type Ids = super::Ids<()>;
type Outcome = super::Outcome<()>;

const RETRY_FOR: Duration = Duration::from_secs(30);

fn unreachable() -> Outcome {
    Outcome::NoAnswer("HTTP 503".into())
}

fn asked(ids: &mut Ids, now: Instant) -> u32 {
    let Next::Ask(id) = ids.next(now) else { panic!("there is something to ask") };
    id
}

/// Asks whatever may be asked now, each question answered alike; how many were.
fn answer_all(ids: &mut Ids, now: Instant, outcome: &Outcome) -> u32 {
    let mut asked = 0;
    while let Next::Ask(id) = ids.next(now) {
        asked += 1;
        ids.answered(id, outcome.clone(), now, now);
    }
    asked
}

#[test]
fn not_found_is_final_after_it_was_answered_for_long_enough_and_is_asked_again_later() {
    let start = Instant::now();
    let mut ids = Ids::new(RETRY_FOR, start);
    assert!(matches!(ids.ask(7, start), Asked::Pending));
    assert_eq!(answer_all(&mut ids, start, &Outcome::NotFound(None)), 1);
    assert!(matches!(ids.ask(7, start), Asked::Missing { .. }));
    let mut now = start;
    while now < start + RETRY_FOR {
        assert!(matches!(ids.ask(7, now), Asked::Missing { .. }));
        let Next::At(at) = ids.next(now) else { panic!("it is asked again") };
        now = at;
        assert_eq!(answer_all(&mut ids, now, &Outcome::NotFound(None)), 1);
    }
    assert!(matches!(ids.ask(7, now), Asked::NotFound(None)));
    assert_eq!(ids.next(now), Next::Nothing);
    // Once that has run out, one more "not found" is enough.
    let later = now + NOT_FOUND_FOR;
    assert!(matches!(ids.ask(7, later), Asked::Pending));
    answer_all(&mut ids, later, &Outcome::NotFound(None));
    assert!(matches!(ids.ask(7, later), Asked::NotFound(None)));
}

#[test]
fn no_answer_is_waited_out_with_one_question_at_a_time_and_few_lines() {
    let start = Instant::now();
    let mut ids = Ids::new(RETRY_FOR, start);
    (1..=100).for_each(|id| drop(ids.ask(id, start)));
    // Eight are on their way when the first fails; the others are no failures of their own.
    let flights: Vec<u32> = (0..8).map(|_| asked(&mut ids, start)).collect();
    let mut lines: u32 =
        flights.iter().map(|id| u32::from(ids.answered(*id, unreachable(), start, start).is_some())).sum();
    let (mut now, mut questions) = (start, 0);
    while now < start + Duration::from_secs(600) {
        match ids.next(now) {
            Next::Ask(id) => {
                questions += 1;
                assert_eq!(ids.next(now), Next::Nothing, "one at a time");
                lines += u32::from(ids.answered(id, unreachable(), now, now).is_some());
            }
            Next::At(at) => now = at,
            Next::Nothing => panic!("all ids are open"),
        }
    }
    assert!((100..400).contains(&questions), "{questions}");
    assert!(lines <= 9, "{lines}");
    assert!(matches!(ids.ask(50, now), Asked::NoAnswer { since, .. } if since == start));
    let id = loop {
        match ids.next(now) {
            Next::Ask(id) => break id,
            Next::At(at) => now = at,
            Next::Nothing => panic!("all ids are open"),
        }
    };
    let news = ids.answered(id, Outcome::NotFound(None), now, now);
    assert_eq!(news, Some(RegistryEvent::AnswersAgain { after: now.duration_since(start) }));
}

#[test]
fn an_id_without_an_answer_of_its_own_does_not_stand_in_the_way_of_the_others() {
    let start = Instant::now();
    let mut ids = Ids::new(RETRY_FOR, start);
    (1..=20).for_each(|id| drop(ids.ask(id, start)));
    let mut now = start;
    while (2..=20).any(|id| !matches!(ids.ask(id, now), Asked::Unusable(_))) {
        match ids.next(now) {
            Next::Ask(1) => drop(ids.answered(1, unreachable(), now, now)),
            Next::Ask(id) => drop(ids.answered(id, Outcome::Unusable("x".into()), now, now)),
            Next::At(at) => now = at,
            Next::Nothing => panic!("one is still open"),
        }
    }
    assert!(now < start + Duration::from_secs(10), "{:?}", now - start);
}

#[test]
fn what_is_remembered_of_ids_that_nobody_has_is_bounded() {
    let start = Instant::now();
    let mut ids = Ids::new(RETRY_FOR, start);
    let mut now = start;
    for id in 0..100_000 {
        ids.ask(id, now);
        if id % 100 == 0 {
            now += Duration::from_secs(1);
            answer_all(&mut ids, now, &Outcome::NotFound(None));
        }
    }
    assert!(ids.open.len() <= OPEN_MAX, "{}", ids.open.len());
    assert!(ids.not_found.len() <= NOT_FOUND_MAX && ids.not_found_order.len() <= NOT_FOUND_MAX);
    assert!(ids.missing_order.len() <= 2 * OPEN_MAX && ids.again.len() <= 4 * OPEN_MAX);
}

#[test]
fn the_registry_is_asked_no_more_than_so_often_and_new_ids_come_first() {
    let start = Instant::now();
    let mut ids = Ids::new(RETRY_FOR, start);
    (0..1_000).for_each(|id| drop(ids.ask(id, start)));
    let mut asked = answer_all(&mut ids, start, &Outcome::NotFound(None));
    assert!(asked <= QUESTIONS_AT_ONCE + 1, "{asked}");
    let mut now = start;
    while ids.new.front().is_some() {
        now += Duration::from_millis(100);
        asked += answer_all(&mut ids, now, &Outcome::NotFound(None));
    }
    assert!(asked < 1_100, "those that were not found wait for the new ones: {asked}");
    assert!(now - start < Duration::from_secs(12), "{:?}", now - start);
}

#[test]
fn ids_far_beyond_what_the_registry_has_counted_to_are_not_plausible() {
    let now = Instant::now();
    let mut ids = Ids::new(RETRY_FOR, now);
    ids.note_seen(100_001);
    assert!(ids.is_plausible(100_900) && !ids.is_plausible(0x0a63_6f6e));
    assert!(ids.is_new(9, now));
    ids.refuse(9, now);
    assert!(!ids.is_new(9, now) && matches!(ids.ask(9, now), Asked::NotFound(None)));
}
