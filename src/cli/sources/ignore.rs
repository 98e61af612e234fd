//! `sources ignore`: goes on without a source that says nothing, or waits for it again.

use std::io::Write;

use crate::app;
use crate::cli::arguments::IgnoreSource;
use crate::cli::output::{self, Stopped};
use crate::settings::Loaded;

/// Tells all processes of the group, which follow within a second.
///
/// # Errors
/// No source of this name; brokers that do not answer.
pub(in crate::cli) fn ignore(settings: &Loaded, asked: &IgnoreSource) -> Result<(), Stopped> {
    let file = app::sources_file::of_run(settings)?.ok_or_else(|| {
        let problem = "is not set, so that no source is gathered; use the settings of `run`";
        app::Failure::Configuration(settings.refusal("gather.sources", problem).to_string())
    })?;
    let source = file.source(&asked.name).map_err(Stopped::Usage)?;
    app::ignored::write(settings, &source.topics, asked.undo)?;
    let (mut out, topics) = (output::results(), source.topics.join(", "));
    if asked.undo {
        writeln!(out, "{} is waited for again ({topics}).", source.name)?;
    } else {
        writeln!(
            out,
            "{} is not waited for any more ({topics}): time passes without it. What it still sends is gathered, and is late; \
             `cohortd sources ignore {} --undo` waits for it again.",
            source.name, source.name
        )?;
        if file.document.sources.len() == 1 {
            writeln!(out, "It is the only source: with nothing to wait for, time stands still.")?;
        }
    }
    Ok(out.flush()?)
}
