//! Corrections fitted to outcomes that were drawn with a known correction.

use super::draw::Draw;
use crate::churn::{Evidence, Outcome, Recalibration};

/// A snapshot of so many customers, whose outcomes follow a correction.
fn snapshot(draw: &mut Draw, truth: Recalibration, customers: usize) -> Vec<Outcome> {
    let outcome = |_| {
        let repeats = (draw.next() * 6.0).floor();
        let evidence = Evidence {
            logit: 6.0 * draw.next() - 2.0,
            silence_days: 200.0 * draw.next(),
            repeats,
            is_once: repeats == 0.0,
        };
        Outcome { evidence, none: draw.next() < truth.p_none(&evidence) }
    };
    (0..customers).map(outcome).collect()
}

fn snapshots(truth: Recalibration, n: usize, customers: usize) -> Vec<Vec<Outcome>> {
    let mut draw = Draw(1);
    (0..n).map(|_| snapshot(&mut draw, truth, customers)).collect()
}

#[test]
fn a_known_correction_is_found_again() {
    let truth = Recalibration { weights: [-0.5, 0.6, 0.3, -0.4, 0.5] };
    let recalibration = Recalibration::fit(&snapshots(truth, 6, 20_000)).unwrap();
    for (found, true_weight) in recalibration.weights.iter().zip(truth.weights) {
        assert!((found - true_weight).abs() < 0.1, "{recalibration:?}");
    }
}

#[test]
fn a_correction_that_would_make_risk_fall_with_silence_is_not_fitted() {
    let truth = Recalibration { weights: [1.0, -0.5, -0.5, 0.0, 0.0] };
    let [_, by_logit, by_silence, ..] = Recalibration::fit(&snapshots(truth, 3, 2_000)).unwrap().weights;
    assert_eq!((by_logit, by_silence), (0.0, 0.0));
    let truth = Recalibration { weights: [0.5, 0.8, -0.3, 0.0, 0.0] };
    let [_, by_logit, by_silence, ..] = Recalibration::fit(&snapshots(truth, 3, 2_000)).unwrap().weights;
    assert!(by_logit > 0.5 && by_silence == 0.0);
}

#[test]
fn a_correction_that_has_not_proved_itself_is_not_used() {
    // Probabilities that were too high for a while, and are right in the newest snapshot.
    let mut turned = snapshots(Recalibration { weights: [-1.5, 1.0, 0.0, 0.0, 0.0] }, 4, 2_000);
    turned.push(snapshot(&mut Draw(2), Recalibration::NONE, 2_000));
    assert_eq!(Recalibration::fit(&turned), None);
}

#[test]
fn nothing_is_fitted_to_one_snapshot_or_to_empty_ones() {
    let truth = Recalibration { weights: [-1.0, 1.0, 0.0, 0.0, 0.0] };
    assert_eq!(Recalibration::fit(&[]), None);
    assert_eq!(Recalibration::fit(&snapshots(truth, 1, 500)), None);
    assert_eq!(Recalibration::fit(&[Vec::new(), Vec::new(), Vec::new()]), None);
    assert!(Recalibration::fit(&snapshots(truth, 2, 500)).is_some());
}

#[test]
fn a_certain_logit_does_not_outweigh_everything_else() {
    let certain = Evidence { logit: 700.0, silence_days: 3_000.0, repeats: 9.0, is_once: false };
    let outcomes = |none| vec![Outcome { evidence: certain, none }; 50];
    let recalibration = Recalibration::fit(&[outcomes(false), outcomes(false), outcomes(false)]).unwrap();
    assert!(recalibration.weights.iter().all(|weight| weight.is_finite()));
    assert!(recalibration.p_none(&certain) < 0.1);
}
