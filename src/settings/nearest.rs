//! The known word that someone probably meant.

/// The candidate with the fewest edits from `wrong`, when they are few enough to be a slip. A key without its section
/// is compared with the last part of each candidate too.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = 2.max(wrong.len() / 4);
    candidates
        .map(|candidate| {
            let whole = edits(wrong, candidate);
            let wrong_name = wrong.rsplit('.').next().unwrap_or(wrong);
            let name = candidate.rsplit('.').next().unwrap_or(candidate);
            // A right name in a wrong section counts as one slip.
            let misplaced = if wrong_name == name { 1 } else { usize::MAX };
            (whole.min(misplaced), candidate)
        })
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, over bytes: keys are ASCII.
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 4] = ["batch.max_wait", "batch.max_records", "kafka.group_id", "lanes"];

    #[test]
    fn a_slip_finds_the_key_and_nonsense_finds_none() {
        let find = |wrong| nearest(wrong, KEYS.into_iter());
        assert_eq!(find("batch.max_wiat"), Some("batch.max_wait"));
        assert_eq!(find("group_id"), Some("kafka.group_id"));
        assert_eq!(find("lane.max_records"), Some("batch.max_records"));
        assert_eq!(find("lane"), Some("lanes"));
        assert_eq!(find("colour"), None);
    }
}
