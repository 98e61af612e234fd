use super::{Instant, Keep, Kind, Sequence, SequenceEvents, SequenceProgress, Span, have_events, insert_spread};

fn kind(events_max: usize) -> Sequence {
    Sequence { within: vec![Span(10)], key: None, keep: Keep::Latest, keys_max: 4, events_max }
}

fn add(kind: &Sequence, progress: &mut SequenceProgress, key: u64, at: i64, parts: u16, approximated: &mut u64) {
    assert!(progress.add(SequenceEvents { key, at: Instant(at), parts, count: 1 }));
    progress.cap_events(kind, None, approximated);
    progress.cap_keys(key, kind.keys_max, approximated);
}

fn completions(kind: &Sequence, progress: &SequenceProgress) -> Vec<i64> {
    let mut found = Vec::new();
    kind.completions(progress, |at| found.push(at.0));
    found.sort_unstable();
    found
}

#[test]
fn settled_events_leave_behind_only_how_far_they_came() {
    let (kind, mut progress) = (kind(100), Box::<SequenceProgress>::default());
    for (at, parts) in [(1, 1), (2, 2), (3, 1), (4, 1), (20, 2)] {
        add(&kind, &mut progress, 0, at, parts, &mut 0);
    }
    kind.forget(&mut progress, None, Instant(10));
    let lengths = (progress.events.len(), progress.reached.len(), progress.completed.as_slice());
    assert_eq!(lengths, (1, 1, [Instant(2)].as_slice()));
    // The A at 4 can be followed by a B up to 14.
    add(&kind, &mut progress, 0, 14, 2, &mut 0);
    assert_eq!(completions(&kind, &progress), [2, 14]);
    kind.forget(&mut progress, None, Instant(15));
    assert_eq!((progress.reached.len(), completions(&kind, &progress)), (0, vec![14]));
}

#[test]
fn over_capacity_the_oldest_events_and_keys_go_first_and_are_counted() {
    let (kind, mut progress, mut approximated) = (kind(8), SequenceProgress::default(), 0);
    for at in 0..100 {
        add(&kind, &mut progress, 0, at, if at % 2 == 0 { 1 } else { 2 }, &mut approximated);
    }
    assert_eq!((progress.events.len(), approximated), (8, 92));
    assert_eq!(completions(&kind, &progress).last(), Some(&99));
    let (mut progress, mut approximated) = (SequenceProgress::default(), 0);
    for key in 1..=6 {
        add(&kind, &mut progress, key, 10 - i64::try_from(key).unwrap(), 1, &mut approximated);
    }
    let keys: Vec<u64> = progress.events.iter().map(|events| events.key).collect();
    assert_eq!((keys, approximated), (vec![1, 2, 3, 4], 2));
}

#[test]
fn steps_at_one_instant_need_an_event_each() {
    let events = |parts, count| SequenceEvents { key: 0, at: Instant(0), parts, count };
    assert!(have_events(&[events(0b011, 1), events(0b110, 1), events(0b001, 1)], 0b111));
    assert!(!have_events(&[events(0b011, 2), events(0b001, 5)], 0b111));
    assert!(!have_events(&[events(0b001, 1), events(0b110, 1)], 0b111));
}

#[test]
fn of_times_close_together_only_the_outer_ones_are_kept() {
    let mut completed = Vec::new();
    for at in [5, 1, 3, 2, 4, 9, 30] {
        insert_spread(&mut completed, Instant(at), Span(5));
    }
    assert_eq!(completed.iter().map(|at| at.0).collect::<Vec<_>>(), [1, 5, 9, 30]);
}
