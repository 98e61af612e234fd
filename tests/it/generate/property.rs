//! What must hold of every case, and how it is tried on many.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant as Stopwatch;

use super::{Generated, report, shrink};
use crate::naive::Case;

/// One property of random cases.
#[derive(Clone, Copy)]
pub(crate) struct Property {
    /// The path of its test.
    pub(crate) test: &'static str,
    /// How many cases are tried by default.
    pub(crate) cases: u64,
    /// The case of a seed, made fit for the property; none where it says nothing of such a case.
    pub(crate) make: fn(u64) -> Option<Generated>,
    /// What must hold. The seed is for what the property itself draws, so that a small case fails as the first did.
    pub(crate) check: fn(&Case, u64) -> Result<(), String>,
}

impl Property {
    /// Tries as many cases as `COHORTD_CASES` says, from the seed on that `COHORTD_SEED` names; that one case where only
    /// the seed is given. Panics with the smallest case that still fails.
    #[expect(clippy::print_stdout, reason = "how many cases were tried must be seen")]
    pub(crate) fn try_many(&self) {
        let (first, cases) = match (number("COHORTD_SEED"), number("COHORTD_CASES")) {
            (Some(seed), cases) => (seed, cases.unwrap_or(1)),
            (None, cases) => (0, cases.unwrap_or(self.cases)),
        };
        let watch = Stopwatch::now();
        for seed in first..first + cases {
            if let Err(failure) = self.try_one(seed) {
                panic!("{failure}");
            }
        }
        println!("{cases} cases from seed {first}, {:.0} a second", cases as f64 / watch.elapsed().as_secs_f64());
    }

    /// Tries one seed's case. `Err` describes the smallest case that still fails.
    #[expect(clippy::print_stdout, reason = "the seed of a failing case must be seen before it is made small")]
    pub(crate) fn try_one(&self, seed: u64) -> Result<(), String> {
        let Some(generated) = (self.make)(seed) else { return Ok(()) };
        if self.holds(&generated.case, seed).is_ok() {
            return Ok(());
        }
        println!("{}: seed {seed} fails; making it small ...", self.test);
        let small = shrink(generated, |case| self.holds(case, seed).is_err());
        let difference = self.holds(&small.case, seed).expect_err("the shrinker keeps what fails");
        Err(report::failure(self.test, seed, &small.case, &difference))
    }

    /// A panic is a failure like any other.
    fn holds(&self, case: &Case, seed: u64) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| (self.check)(case, seed))).unwrap_or_else(|panic| Err(words(panic.as_ref())))
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a text"))
}

#[expect(clippy::disallowed_methods, reason = "no settings of the program: they name the cases to run")]
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a whole number")))
}
