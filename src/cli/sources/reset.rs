//! `sources reset`: goes on with a topic that does not hold what was to be gathered next.

use std::io::Write;

use crate::app::reset::{Alone, SourceReset};
use crate::cli::arguments::ResetSource;
use crate::cli::output::{self, Stopped};
use crate::settings::Loaded;

/// Prints the plan, and carries it out if requested.
///
/// # Errors
/// What prevents it; brokers that do not answer.
pub(in crate::cli) fn reset(settings: &Loaded, asked: &ResetSource) -> Result<(), Stopped> {
    let alone = if asked.yes { Alone::Required } else { Alone::NotRequired };
    let reset = SourceReset::plan(settings, &asked.topic, asked.from, alone, &|text| output::say(text))?;
    let outcome = carry_out(&reset, asked);
    reset.leave();
    outcome
}

fn carry_out(reset: &SourceReset<'_>, asked: &ResetSource) -> Result<(), Stopped> {
    let mut out = output::results();
    for line in reset.words() {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if asked.yes {
        reset.carry_out()?;
        output::say("Done: the processes can be started.");
    } else {
        output::say("Nothing was changed. Stop every process of the group, then add --yes to do it.");
    }
    Ok(())
}
