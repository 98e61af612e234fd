//! The command line: the commands, their arguments, and the exit code.

mod arguments;
mod audit;
mod changes;
mod check;
mod demo;
mod explain;
mod fit;
mod format;
mod health;
mod help;
mod history;
mod output;
mod patience;
mod progress;
mod replay;
mod reset;
mod score;
mod shape;
mod sizes;
mod sources;
mod values;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::app::{self, Edit, Ending, Failure};
use crate::settings;
use crate::settings::{Loaded, Settings};
use arguments::{Arguments, Command, Layers, Sources};
use output::Stopped;

/// Runs the process by its arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return answered(&error),
    };
    match obey(command) {
        Ok(()) | Err(Stopped::Unread) => ExitCode::SUCCESS,
        Err(Stopped::Usage(text)) => {
            output::complain(&text);
            Ending::Usage.code().into()
        }
        Err(Stopped::Failed(failure)) => {
            output::complain(&failure.to_string());
            failure.ending().code().into()
        }
    }
}

fn obey(command: Command) -> Result<(), Stopped> {
    match command {
        Command::Run(run) => {
            let edit = if run.accept_rules { Edit::Accept } else { Edit::AsWhileRunning };
            app::run(loaded(run.layers)?, edit)?;
        }
        Command::Demo(mut demo) => {
            let settings = loaded(std::mem::take(&mut demo.layers))?;
            demo::run(settings, demo)?;
        }
        Command::Health(mut health) => {
            let settings = loaded(std::mem::take(&mut health.layers))?;
            health::run(&settings, &health)?;
        }
        Command::Check(mut check) => {
            let settings = loaded(std::mem::take(&mut check.layers))?;
            check::run(&settings, check)?;
        }
        Command::Replay(mut replay) => {
            let settings = loaded(std::mem::take(&mut replay.layers))?;
            replay::run(&settings, replay)?;
        }
        Command::Explain(mut explain) => {
            let settings = loaded(std::mem::take(&mut explain.layers))?;
            explain::run(&settings, &explain)?;
        }
        Command::Changes(mut changes) => {
            let settings = loaded(std::mem::take(&mut changes.layers))?;
            changes::run(&settings, &changes)?;
        }
        Command::Score(mut score) => {
            let settings = loaded(std::mem::take(&mut score.layers))?;
            score::run(&settings, &score)?;
        }
        Command::Fit(mut fit) => {
            let settings = loaded(std::mem::take(&mut fit.layers))?;
            fit::run(&settings, &fit)?;
        }
        Command::Sources(Sources::Show(mut show)) => {
            let settings = loaded(std::mem::take(&mut show.layers))?;
            sources::show(&settings, &show)?;
        }
        Command::Sources(Sources::Try(mut attempt)) => {
            let settings = loaded(std::mem::take(&mut attempt.layers))?;
            sources::attempt(&settings, &attempt)?;
        }
        Command::Sources(Sources::Ignore(mut ignore)) => {
            let settings = loaded(std::mem::take(&mut ignore.layers))?;
            sources::ignore(&settings, &ignore)?;
        }
        Command::Sources(Sources::Reset(mut reset)) => {
            let settings = loaded(std::mem::take(&mut reset.layers))?;
            sources::reset(&settings, &reset)?;
        }
        Command::Audit(mut audit) => {
            let settings = loaded(std::mem::take(&mut audit.layers))?;
            audit::run(&settings, &audit)?;
        }
        Command::Reset(mut reset) => {
            let settings = loaded(std::mem::take(&mut reset.layers))?;
            reset::run(&settings, &reset)?;
        }
        Command::DumpConfig(layers) => {
            let mut out = output::results();
            out.write_all(loaded(layers)?.dump().as_bytes())?;
            out.flush()?;
        }
    }
    Ok(())
}

fn loaded(layers: Layers) -> Result<Loaded, Failure> {
    let layers = settings::Sources::of_process(layers.config, layers.sets);
    Settings::load(&layers).map_err(|error| Failure::Configuration(error.to_string()))
}

/// Help and version are results; everything else from clap is an error in the command line.
fn answered(answer: &clap::Error) -> ExitCode {
    match answer.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::help(&answer.render());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::say(answer.render().to_string().trim_end());
            Ending::Usage.code().into()
        }
        _ => {
            output::usage(&answer.render());
            Ending::Usage.code().into()
        }
    }
}
