//! Measures of the quality of probabilities, given the outcomes.
//!
//! Each function takes pairs of a predicted probability and whether the event happened.

/// The probability that of a positive and a negative case the positive one was given the higher value; ties count half.
/// `None` if all cases are positive, or all negative.
#[must_use]
pub fn auc(scored: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut happened) = (0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let (hits, misses) = split(tied);
        wins += hits * (below + misses / 2.0);
        below += misses;
        happened += hits;
    }
    (happened > 0.0 && below > 0.0).then(|| wins / (happened * below))
}

/// The mean squared distance between prediction and outcome (G. W. Brier, Monthly Weather Review 78(1), 1950). `None`
/// without cases.
#[must_use]
pub fn brier(scored: &[(f64, bool)]) -> Option<f64> {
    let error = |(p, happened): &(f64, bool)| p - if *happened { 1.0 } else { 0.0 };
    let squares: f64 = scored.iter().map(error).map(|error| error * error).sum();
    (!scored.is_empty()).then(|| squares / scored.len() as f64)
}

/// The mean over the positive cases of the precision among the cases with the same or a higher prediction. `None`
/// without positive cases.
#[must_use]
pub fn average_precision(scored: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut seen, mut found, mut sum) = (0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let (hits, misses) = split(tied);
        seen += hits + misses;
        found += hits;
        sum += hits * found / seen;
    }
    (found > 0.0).then(|| sum / found)
}

/// The cases with about the same prediction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bin {
    /// The mean prediction.
    pub predicted: f64,
    /// The share of positive cases.
    pub observed: f64,
    pub n: usize,
}

/// Predicted against observed frequency, in tenths of probability: 0 to .1, .1 to .2 and so on. An empty tenth is 0 of
/// 0.
#[must_use]
pub fn calibration(scored: &[(f64, bool)]) -> [Bin; 10] {
    let mut bins = [Bin::default(); 10];
    for (p, happened) in scored {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        bin.predicted += p;
        bin.observed += if *happened { 1.0 } else { 0.0 };
        bin.n += 1;
    }
    for bin in bins.iter_mut().filter(|bin| bin.n > 0) {
        bin.predicted /= bin.n as f64;
        bin.observed /= bin.n as f64;
    }
    bins
}

/// The expected calibration error: the mean distance between predicted and observed frequency over the tenths, weighted
/// by their sizes. `None` without cases.
#[must_use]
pub fn ece(scored: &[(f64, bool)]) -> Option<f64> {
    let distance = |bin: &Bin| (bin.predicted - bin.observed).abs() * bin.n as f64;
    (!scored.is_empty()).then(|| calibration(scored).iter().map(distance).sum::<f64>() / scored.len() as f64)
}

fn split(tied: &[(f64, bool)]) -> (f64, f64) {
    let hits = tied.iter().filter(|(_, happened)| *happened).count();
    (hits as f64, (tied.len() - hits) as f64)
}
