//! Minimization of a function.

/// A point, and the value there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Minimum<const N: usize> {
    pub(super) point: [f64; N],
    pub(super) value: f64,
}

const EVALUATIONS_MAX: u32 = 4_000;

/// Maximum number of descents, each from the end of the last one, since a simplex may collapse before it reaches the
/// minimum.
const DESCENTS_MAX: u32 = 8;

/// The local minimum that the simplex method of J. A. Nelder and R. Mead ("A simplex method for function minimization",
/// The Computer Journal 7(4), 1965) finds from `start`. NaN counts as infinitely high.
pub(super) fn minimise<const N: usize>(start: [f64; N], step: f64, f: impl Fn(&[f64; N]) -> f64) -> Minimum<N> {
    let mut spent = 0;
    let mut evaluate = |point: [f64; N]| {
        spent += 1;
        let value = f(&point);
        (Minimum { point, value: if value.is_nan() { f64::INFINITY } else { value } }, spent < EVALUATIONS_MAX)
    };
    let (mut best, _) = evaluate(start);
    let mut step = step;
    for _ in 0..DESCENTS_MAX {
        let before = best;
        let affordable = descend(&mut best, step, &mut evaluate);
        let gain = before.value - best.value;
        if !affordable || gain <= 1e-10 * (1.0 + best.value.abs()) {
            break;
        }
        step /= 4.0;
    }
    best
}

/// One descent; `false` when it has used up the evaluations.
fn descend<const N: usize>(
    best: &mut Minimum<N>,
    step: f64,
    evaluate: &mut impl FnMut([f64; N]) -> (Minimum<N>, bool),
) -> bool {
    let mut simplex = vec![*best];
    for axis in 0..N {
        let mut point = best.point;
        point[axis] += step;
        simplex.push(evaluate(point).0);
    }
    let mut affordable = true;
    loop {
        simplex.sort_by(|a, b| a.value.total_cmp(&b.value));
        *best = simplex[0];
        let worst = simplex[N];
        let size = (0..N).map(|axis| (worst.point[axis] - best.point[axis]).abs()).fold(0.0, f64::max);
        let spread = worst.value - best.value;
        if !affordable || size <= 1e-7 && spread <= 1e-12 * (1.0 + best.value.abs()) || size <= 1e-10 {
            return affordable;
        }
        let mut along = |factor: f64| {
            let point = std::array::from_fn(|axis| {
                let centre = simplex[..N].iter().map(|corner| corner.point[axis]).sum::<f64>() / N as f64;
                centre + factor * (worst.point[axis] - centre)
            });
            let (tried, still) = evaluate(point);
            affordable &= still;
            tried
        };
        let reflected = along(-1.0);
        if reflected.value < best.value {
            let expanded = along(-2.0);
            simplex[N] = if expanded.value < reflected.value { expanded } else { reflected };
        } else if reflected.value < simplex[N - 1].value {
            simplex[N] = reflected;
        } else {
            let contracted = if reflected.value < worst.value { along(-0.5) } else { along(0.5) };
            if contracted.value < worst.value.min(reflected.value) {
                simplex[N] = contracted;
            } else {
                for corner in 1..=N {
                    let point =
                        std::array::from_fn(|axis| (simplex[corner].point[axis] + simplex[0].point[axis]) / 2.0);
                    let (shrunk, still) = evaluate(point);
                    simplex[corner] = shrunk;
                    affordable &= still;
                }
            }
        }
    }
}
