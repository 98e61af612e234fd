//! `demo`: a simulated shop with cohorts that change live. `app` runs it; this draws it.
//!
//! `screen` writes one change, `sample` selects which ones, `summary` is printed when the shop closes.

mod sample;
mod screen;
mod summary;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use super::arguments;
use super::format::grouped;
use super::output::Stopped;
use super::progress::Progress;
use super::sizes::Sizes;
use crate::app;
use crate::app::demo::{Demo, FeedOptions, Options, Seen, Stage};
use crate::event::{Instant, Span};
use crate::rules::RuleSet;
use crate::settings::Loaded;
use sample::Sample;
use screen::Screen;

/// The interval of changes on the screen: enough to read one.
const PACE: Duration = Duration::from_millis(600);
/// The redraw interval of the progress bar.
const TICK: Duration = Duration::from_millis(50);

/// Runs the demo; changes and the summary go to stdout.
///
/// # Errors
/// What stopped it; Ctrl-C is none.
pub(super) fn run(loaded: Loaded, asked: arguments::Demo) -> Result<(), Stopped> {
    if asked.to_kafka {
        let arguments::Demo { seconds, customers, seed, .. } = asked;
        return Ok(app::demo::feed(&loaded, FeedOptions { pace: Duration::from_secs(seconds), customers, seed })?);
    }
    let screen = Screen::new();
    let options = Options {
        pace: Duration::from_secs(asked.seconds),
        customers: asked.customers,
        seed: asked.seed,
        rules: Arc::new(app::demo::rules(asked.rules.as_deref())?),
    };
    screen.say(&summary::first_word(&options))?;
    let mut demo = Demo::start(loaded, &options)?;
    let (rules, time) = (demo.rules().clone(), demo.time());
    let mut watched = Watched::new(&rules);
    let outcome = screen.say(&summary::opening(&demo));
    let outcome = outcome.and_then(|()| watch(&mut demo, &screen, &mut watched));
    // Also if stdout is closed: everything is stopped in order.
    let figures = demo.end(|seen| watched.record(seen, &rules));
    outcome?;
    screen.say(&summary::of(&rules, time, figures?, watched, options.customers, screen.columns()))?;
    Ok(())
}

/// The changes seen so far.
struct Watched {
    /// By the rules' numbers.
    cohorts: Vec<Sizes>,
    changes: u64,
    by_time: u64,
    shown: u64,
    sample: Sample,
    /// How long the shop has been open.
    lived: Duration,
}

impl Watched {
    fn new(rules: &RuleSet) -> Self {
        Self {
            cohorts: rules.cohorts.iter().map(|_| Sizes::default()).collect(),
            changes: 0,
            by_time: 0,
            shown: 0,
            sample: Sample::default(),
            lived: Duration::ZERO,
        }
    }

    fn record(&mut self, seen: Seen, rules: &RuleSet) {
        self.changes += 1;
        self.by_time += u64::from(seen.by_time);
        if let Some(index) = rules.cohorts.iter().position(|cohort| cohort.name == seen.cohort) {
            self.cohorts[index].record(seen.at, seen.change);
        }
        self.sample.offer(seen);
    }
}

/// Until the shop has closed and everything is decided, or stdout is closed.
fn watch(demo: &mut Demo, screen: &Screen, watched: &mut Watched) -> io::Result<()> {
    let rules = demo.rules().clone();
    let joining = Progress::of_waiting();
    joining.show("joining".to_owned());
    while demo.stage() == Stage::Joining {
        std::thread::sleep(TICK);
    }
    joining.finish();

    let opening = demo.time().start;
    let days = |at: Instant| u64::try_from(at.since(opening).0 / Span::DAY.0).unwrap_or(0);
    let bar = Progress::of_living(days(demo.time().end));
    let opened = Stopwatch::now();
    let mut shown = Stopwatch::now();
    while matches!(demo.stage(), Stage::Living | Stage::Settling) {
        let until = Stopwatch::now() + TICK;
        while let Some(seen) = demo.next(until.saturating_duration_since(Stopwatch::now())) {
            watched.record(seen, &rules);
            if Stopwatch::now() >= until {
                break;
            }
        }
        if shown.elapsed() >= PACE
            && let Some(seen) = watched.sample.take()
        {
            shown = Stopwatch::now();
            watched.shown += 1;
            bar.aside(|| screen.change(&seen, &rules))?;
        }
        let figures = demo.figures();
        bar.set(days(figures.lived));
        bar.show(format!(
            "{}  {} events  {} changes, {} shown",
            screen::date(figures.lived),
            grouped(figures.events()),
            grouped(watched.changes),
            grouped(watched.shown),
        ));
    }
    watched.lived = opened.elapsed();
    bar.finish();
    Ok(())
}
