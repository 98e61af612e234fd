//! Where a function is least.

/// A place, and the value there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Minimum<const N: usize> {
    pub(super) place: [f64; N],
    pub(super) value: f64,
}

const EVALUATIONS_MAX: u32 = 4_000;

/// Descents from the last one's end, until one finds nothing lower: a simplex may collapse before it arrives.
const DESCENTS_MAX: u32 = 8;

/// The local minimum that the simplex method of J. A. Nelder and R. Mead ("A simplex method for function minimization",
/// The Computer Journal 7(4), 1965) finds from `start`. What is no number counts as infinitely high.
pub(super) fn minimise<const N: usize>(start: [f64; N], step: f64, f: impl Fn(&[f64; N]) -> f64) -> Minimum<N> {
    let mut spent = 0;
    let mut evaluate = |place: [f64; N]| {
        spent += 1;
        let value = f(&place);
        (Minimum { place, value: if value.is_nan() { f64::INFINITY } else { value } }, spent < EVALUATIONS_MAX)
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

/// One descent; `false` when it has used up what may be spent.
fn descend<const N: usize>(
    best: &mut Minimum<N>,
    step: f64,
    evaluate: &mut impl FnMut([f64; N]) -> (Minimum<N>, bool),
) -> bool {
    let mut simplex = vec![*best];
    for axis in 0..N {
        let mut place = best.place;
        place[axis] += step;
        simplex.push(evaluate(place).0);
    }
    let mut affordable = true;
    loop {
        simplex.sort_by(|a, b| a.value.total_cmp(&b.value));
        *best = simplex[0];
        let worst = simplex[N];
        let size = (0..N).map(|axis| (worst.place[axis] - best.place[axis]).abs()).fold(0.0, f64::max);
        let spread = worst.value - best.value;
        if !affordable || size <= 1e-7 && spread <= 1e-12 * (1.0 + best.value.abs()) || size <= 1e-10 {
            return affordable;
        }
        let mut along = |factor: f64| {
            let place = std::array::from_fn(|axis| {
                let centre = simplex[..N].iter().map(|corner| corner.place[axis]).sum::<f64>() / N as f64;
                centre + factor * (worst.place[axis] - centre)
            });
            let (tried, still) = evaluate(place);
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
                    let place =
                        std::array::from_fn(|axis| (simplex[corner].place[axis] + simplex[0].place[axis]) / 2.0);
                    let (shrunk, still) = evaluate(place);
                    simplex[corner] = shrunk;
                    affordable &= still;
                }
            }
        }
    }
}
