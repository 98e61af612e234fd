//! `sources show`: presets as they ship, and sources as they are in force.

use std::io::Write;

use crate::app::sources_file::SourcesFile;
use crate::cli::arguments::ShowSource;
use crate::cli::output::{self, Stopped};
use crate::settings::Loaded;
use crate::sources::Preset;

/// Prints a preset, a source, or what there is.
///
/// # Errors
/// A name that nothing has; a sources file that cannot be read, or has mistakes.
pub(in crate::cli) fn show(settings: &Loaded, asked: &ShowSource) -> Result<(), Stopped> {
    let mut out = output::results();
    match &asked.name {
        None => {
            for (word, preset) in Preset::NAMES {
                writeln!(out, "preset  {word:<12}  {}", first_sentence(preset.text()))?;
            }
            let file = SourcesFile::beside(settings, asked.file.given(), None)?;
            for source in file.iter().flat_map(|file| &file.document.sources) {
                writeln!(out, "source  {:<12}  {} ({})", source.name, source.topics.join(", "), source.format.word())?;
            }
        }
        // A source of the same name hides a preset only where a file is given.
        Some(name) => match Preset::named(name).filter(|_| asked.file.given().is_none()) {
            Some(preset) => out.write_all(preset.text().as_bytes())?,
            None => {
                let file = SourcesFile::needed(settings, asked.file.given(), None)?;
                write!(out, "{}", file.source(name).map_err(Stopped::Usage)?)?;
            }
        },
    }
    Ok(out.flush()?)
}

/// Of the comment that a preset begins with.
fn first_sentence(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let end = [line.find(": "), line.find(". ")].into_iter().flatten().min();
    end.map_or(line, |end| &line[..end])
}
