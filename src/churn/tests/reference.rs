//! The models' figures against those computed with 60 digits and more.

use crate::churn::{Activity, Fgp, GammaGamma, MbgNbd, Repeats, Spent};

/// The lines of the table that begin with a name, as numbers.
fn lines(name: &str) -> Vec<Vec<f64>> {
    let text = include_str!("../../../tests/fixtures/churn/reference.txt");
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect()).collect()
}

/// Compares, a number below the smallest double being 0.
fn assert_close(what: &str, line: &[f64], found: f64, exact: f64, tolerance: f64) {
    let is_close = (found - exact).abs() <= tolerance * exact.abs() + 1e-300;
    assert!(is_close, "{what} of {line:?}: {found:e}, not {exact:e}");
}

#[test]
fn mbg_nbd_agrees_with_many_digits() {
    let lines = lines("mbg ");
    assert_eq!(lines.len(), 300);
    for line in &lines {
        let [r, alpha_days, a, b, x, t_x, at, horizon, alive, p_none, expected, log_likelihood] = line[..] else {
            panic!("{line:?}")
        };
        let (model, seen) = (MbgNbd { r, alpha_days, a, b }, Repeats { x, t_x });
        assert_close("alive", line, model.alive(seen, at), alive, 1e-12);
        assert_close("p_none", line, model.p_none(seen, at, horizon), p_none, 1e-14);
        assert_close("expected", line, model.expected(seen, at, horizon), expected, 1e-11);
        // A small sum of large terms.
        assert_close("log-likelihood", line, model.log_likelihood(seen, at), log_likelihood, 1e-9);
    }
}

#[test]
fn fgp_agrees_with_many_digits() {
    let lines = lines("fgp ");
    assert_eq!(lines.len(), 150);
    for line in &lines {
        let [r, alpha_days, tau_days, x, t_x, at, horizon, p_none, expected] = line[..] else { panic!("{line:?}") };
        let (model, seen) = (Fgp { r, alpha_days, tau_days }, Activity { x, t_x });
        assert_close("p_none", line, model.p_none(seen, at, horizon), p_none, 1e-12);
        assert_close("expected", line, model.expected(seen, at, horizon), expected, 1e-12);
    }
}

#[test]
fn gamma_gamma_agrees_with_many_digits() {
    let lines = lines("gg ");
    assert_eq!(lines.len(), 100);
    for line in &lines {
        let [p, q, v, x, mean, expected, log_likelihood] = line[..] else { panic!("{line:?}") };
        let (model, spent) = (GammaGamma { p, q, v }, Spent { x, mean });
        assert_close("amount", line, model.expected_amount(spent), expected, 1e-12);
        // A small sum of terms as large as the logarithm of (px)!.
        let lost = (p * x * (p * x).ln()).abs() / log_likelihood.abs();
        assert_close("log-likelihood", line, model.log_likelihood(spent), log_likelihood, 1e-13 + 1e-15 * lost);
    }
}
