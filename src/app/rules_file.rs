//! The rules file of a command: from the settings or the command line.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Ending, Failure};
use crate::rules::{Document, RuleError, RuleSet, load_as_written};
use crate::settings::Loaded;

/// A rules file as written and as compiled.
#[derive(Debug)]
pub struct RulesFile {
    /// As the operator named it.
    pub name: String,
    pub text: String,
    pub document: Document,
    pub rules: Arc<RuleSet>,
}

/// Reads and compiles `given`, or else the settings' file.
///
/// # Errors
/// A file that cannot be read; or every mistake in it, each with its line and a caret.
pub fn load(settings: &Loaded, given: Option<PathBuf>) -> Result<RulesFile, Failure> {
    let path = given.as_ref().unwrap_or(&settings.settings.rules.file);
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let text = match &given {
            _ if error.kind() == ErrorKind::InvalidData => format!("{name}: is not text in UTF-8; save it as UTF-8"),
            Some(_) => format!("{name}: cannot be read ({error}); check the path given with --rules"),
            None => {
                let problem = format!("{name:?} cannot be read ({error}); set it to the path of your rules file");
                settings.refusal("rules.file", problem).to_string()
            }
        };
        Failure::Ended(Ending::Rules, text)
    })?;
    let (document, rules) = load_as_written(&name, &text).map_err(|errors| mistakes(path, &errors))?;
    Ok(RulesFile { name, text, document, rules: Arc::new(rules) })
}

/// All mistakes as a compiler shows them, counted where there are several.
#[must_use]
pub fn mistakes(path: &Path, errors: &[RuleError]) -> Failure {
    let shown = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
    let text = match errors.len() {
        1 => shown,
        several => format!("{several} mistakes in {}\n\n{shown}", path.display()),
    };
    Failure::Ended(Ending::Rules, text)
}
