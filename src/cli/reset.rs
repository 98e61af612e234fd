//! `reset`: continues when the input, or the group's offsets, no longer match the state.

use std::io::Write;

use super::arguments::Reset as Asked;
use super::output::{self, Stopped};
use crate::app::reset::{Alone, Reset, ResetKind};
use crate::settings::Loaded;

/// Prints the plan, and carries it out if requested.
///
/// # Errors
/// What prevents it; brokers that do not answer.
pub(super) fn run(settings: &Loaded, asked: &Asked) -> Result<(), Stopped> {
    let way = match asked.from {
        Some(from) => ResetKind::Keep(from),
        None => ResetKind::Rebuild,
    };
    let alone = if asked.yes { Alone::Required } else { Alone::NotRequired };
    let say = |text: &str| output::say(text);
    let mut reset = Reset::plan(settings, way, alone, &say)?;
    let outcome = carry_out(&mut reset, asked);
    reset.leave();
    outcome
}

fn carry_out(reset: &mut Reset<'_>, asked: &Asked) -> Result<(), Stopped> {
    let mut out = output::results();
    for line in reset.words() {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    if !reset.changes_anything() {
        output::say("Nothing to do: the processes can be started.");
    } else if asked.yes {
        reset.carry_out(&|text| output::say(text))?;
        output::say("Done: the processes can be started.");
    } else {
        output::say("Nothing was changed. Stop every process of the group, then add --yes to do it.");
    }
    Ok(())
}
