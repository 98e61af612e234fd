//! Scores, against values worked out by hand.

use crate::churn::quality::{Bin, auc, average_precision, brier, calibration, ece};

const SAID: [(f64, bool); 5] = [(0.9, true), (0.7, false), (0.7, true), (0.2, true), (0.05, false)];

fn is_about(found: Option<f64>, wanted: f64) -> bool {
    found.is_some_and(|found| (found - wanted).abs() < 1e-12)
}

#[test]
fn auc_counts_the_pairs_in_the_right_order_and_half_of_the_ties() {
    // Of 3 x 2 pairs: .9 beats both, .7 ties one and beats the other, .2 beats one.
    assert!(is_about(auc(&SAID), (2.0 + 1.5 + 1.0) / 6.0));
    assert!(is_about(auc(&[(0.5, true), (0.5, false)]), 0.5));
}

#[test]
fn average_precision_looks_down_from_the_highest_and_takes_ties_together() {
    assert!(is_about(average_precision(&SAID), (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0));
}

#[test]
fn the_brier_score_is_a_mean_square() {
    assert!(is_about(brier(&SAID), (0.01 + 0.49 + 0.09 + 0.64 + 0.0025) / 5.0));
}

#[test]
fn calibration_is_by_tenths_of_probability() {
    let bins = calibration(&SAID);
    assert_eq!(bins[7], Bin { predicted: 0.7, observed: 0.5, n: 2 });
    assert_eq!((bins[0].n, bins[1].n, bins[9].n), (1, 0, 1));
    assert!(is_about(ece(&SAID), (0.05 + 0.8 + 2.0 * 0.2 + 0.1) / 5.0));
    // Certainty is in the last tenth.
    assert_eq!(calibration(&[(1.0, true)])[9].n, 1);
}

#[test]
fn of_nothing_or_of_one_kind_only_there_is_no_score() {
    assert_eq!((auc(&[]), brier(&[]), ece(&[]), average_precision(&[])), (None, None, None, None));
    assert_eq!(auc(&[(0.3, true), (0.4, true)]), None);
    assert_eq!(average_precision(&[(0.3, false)]), None);
}
