//! Purchases to expect of a living customer, by a series or, where that is slow or cancels, by an integral.

use super::special::{exp, expm1, ln, ln_1p};

/// A living customer's posterior: λ is Gamma(n, A) and p is Beta(a, b). Times looked at are `ratio` times A.
pub(super) struct Given {
    pub(super) n: f64,
    pub(super) a: f64,
    pub(super) b: f64,
}

/// More terms than this cost more than the integral.
const TERMS_MAX: u32 = 400;

/// Digits that may be lost by cancellation: a factor of this leaves 1e-13.
const CANCELLATION_MAX: f64 = 500.0;

impl Given {
    /// E[(1 - (1 + p·ratio)^-n) / p] for several times, ascending: together they cost little more than one.
    pub(super) fn purchases<const N: usize>(&self, ratios: [f64; N]) -> [f64; N] {
        let by_series = self.by_series(ratios);
        std::array::from_fn(|i| match ratios[i] {
            ratio if ratio <= 0.0 => 0.0,
            ratio => by_series[i].unwrap_or_else(|| self.by_integral(ratio)),
        })
    }

    /// C·[ (1 - (1-z)^(a-1))/(a-1) - (1-z)^(a-1)·S ], where C = a+b-1, z = ratio/(1+ratio) and
    /// S = Σ_{k≥1} (C-n)_k (a)_(k-1) / ((C)_k k!) z^k.
    ///
    /// The published expectation, its 2F1 transformed by Euler's formula and the pole at a = 1 taken out by hand.
    fn by_series<const N: usize>(&self, ratios: [f64; N]) -> [Option<f64>; N] {
        let Self { n, a, b } = *self;
        let c = a + b - 1.0;
        let z = ratios.map(|ratio| ratio / (1.0 + ratio));
        let mut terms = z.map(|z| (c - n) / c * z);
        let (mut sums, mut largest) = ([0.0; N], terms.map(f64::abs));
        let (mut found, mut settled) = ([None; N], 0);
        let mut k = 1.0;
        for _ in 0..TERMS_MAX {
            let step = (c - n + k) * (a + k - 1.0) / ((c + k) * (k + 1.0));
            for i in 0..N {
                sums[i] += terms[i];
                terms[i] *= step * z[i];
            }
            // Where all have one sign none is larger than their sum.
            if c < n {
                for i in 0..N {
                    largest[i] = largest[i].max(terms[i].abs());
                }
            }
            k += 1.0;
            while settled < N {
                let (factor, z) = (step * z[settled], z[settled]);
                // From here on the factors stay below z, or fall: what is left out is less than this geometric series.
                let falls = (0.0..1.0).contains(&factor) && c - n + k > 0.0;
                if !falls || terms[settled].abs() > 1e-16 * sums[settled].abs() * (1.0 - factor.max(z)) {
                    break;
                }
                found[settled] = self.of_sum(ratios[settled], sums[settled], largest[settled]);
                settled += 1;
            }
            if settled == N {
                break;
            }
        }
        found
    }

    /// From S and the largest of its terms; `None` where too many digits cancel.
    fn of_sum(&self, ratio: f64, sum: f64, largest: f64) -> Option<f64> {
        let Self { a, b, .. } = *self;
        let log = -ln_1p(ratio);
        let power = exp((a - 1.0) * log);
        let first = if a == 1.0 { -log } else { -expm1((a - 1.0) * log) / (a - 1.0) };
        let whole = first - power * sum;
        let sound = first.max(power * largest.max(sum.abs())) < CANCELLATION_MAX * whole;
        sound.then_some((a + b - 1.0) * whole)
    }

    /// The mean over p of (1 - (1 + p·ratio)^-n) / p, by the trapezoidal rule over u, where p = logistic(m + k·sinh u): both
    /// tails die out doubly exponentially, so the rule converges as fast as digits can be told apart.
    fn by_integral(&self, ratio: f64) -> f64 {
        const STEP: f64 = 1.0 / 32.0;
        const NEGLIGIBLE: f64 = -50.0;
        let Self { n, a, b } = *self;
        let (mode, width) = (ln(a / b), (1.0 / a + 1.0 / b).sqrt().min(1.0));
        // ln of p and of 1 - p, at a place on the logistic's axis.
        let sides = |y: f64| (-super::special::ln_1p_exp(-y), -super::special::ln_1p_exp(y));
        let log_density = |y: f64| a * sides(y).0 + b * sides(y).1;
        let peak = log_density(mode);
        let (mut mean, mut weights) = (0.0, 0.0);
        for direction in [STEP, -STEP] {
            // The middle is counted once.
            let mut u = if direction > 0.0 { 0.0 } else { direction };
            loop {
                let y = mode + width * libm::sinh(u);
                let density = log_density(y) - peak;
                if density < NEGLIGIBLE {
                    break;
                }
                let weight = exp(density) * libm::cosh(u);
                let p = exp(sides(y).0);
                // Below this the quotient is its limit, n·ratio, to all digits.
                let bought = if p * ratio * (n + 1.0) < 1e-17 { n * ratio } else { -expm1(-n * ln_1p(p * ratio)) / p };
                (mean, weights) = (mean + weight * bought, weights + weight);
                u += direction;
            }
        }
        mean / weights
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Given;

    fn spread(least: f64, most: f64) -> impl Strategy<Value = f64> {
        (least.ln()..most.ln()).prop_map(f64::exp)
    }

    proptest! {
        #[test]
        fn the_series_and_the_integral_agree(
            n in spread(1e-3, 1e5), a in spread(1e-3, 1e4), b in spread(1.0, 1e5), ratio in spread(1e-6, 1e6),
        ) {
            let given = Given { n, a, b };
            let integral = given.by_integral(ratio);
            prop_assert!(integral.is_finite() && integral > 0.0);
            if let [Some(series)] = given.by_series([ratio]) {
                prop_assert!((series / integral - 1.0).abs() < 1e-10, "{series} {integral}");
            }
        }

        #[test]
        fn many_times_together_come_to_what_each_does_alone(
            n in spread(1e-3, 1e5), a in spread(1e-3, 1e4), b in spread(1.0, 1e5), ratio in spread(1e-6, 1e3),
        ) {
            let given = Given { n, a, b };
            let ratios = [0.0, ratio, 2.0 * ratio, 5.0 * ratio, 30.0 * ratio];
            for (together, ratio) in given.purchases(ratios).into_iter().zip(ratios) {
                let [alone] = given.purchases([ratio]);
                prop_assert!((together - alone).abs() <= 1e-10 * alone, "{together} {alone}");
            }
        }

        /// Where the published formula has a pole.
        #[test]
        fn nothing_happens_where_a_is_one(n in spread(1e-3, 1e3), b in spread(1.0, 1e3), ratio in spread(1e-3, 1e2)) {
            let at = |a: f64| Given { n, a, b }.purchases([ratio])[0];
            let between = (at(1.0 - 1e-6) + at(1.0 + 1e-6)) / 2.0;
            prop_assert!((at(1.0) / between - 1.0).abs() < 1e-9);
        }
    }
}
