//! The folder of Avro schemas: what each file can be used for.

use std::fs;
use std::path::PathBuf;

use crate::app::Failure;
use crate::codec::{Reader, Schemas};
use crate::settings::Loaded;

/// One line for each file, by name; none without a folder.
///
/// # Errors
/// What would stop `run`: a folder or file that cannot be read, or is no schema.
pub(super) fn check(settings: &Loaded) -> Result<Vec<String>, Failure> {
    let Some(folder) = &settings.settings.schemas.dir else { return Ok(Vec::new()) };
    let refused = |key: &str, problem: String| Failure::Configuration(settings.refusal(key, problem).to_string());
    let schemas = Schemas::built_in().with_files(folder).map_err(|error| refused("schemas.dir", error.to_string()))?;
    if let Some(bare) = settings.settings.schemas.bare_file() {
        schemas.with_bare(&bare).map_err(|error| refused("schemas.bare", error.to_string()))?;
    }
    let unread = |error: std::io::Error| refused("schemas.dir", format!("{}: {error}", folder.display()));
    let mut lines = Vec::new();
    for path in avro_files(folder).map_err(unread)? {
        let text = fs::read_to_string(&path).map_err(unread)?;
        let verdict = match Reader::compile(&text) {
            Ok(reader) if reader.unread().is_empty() => "its records are events".to_owned(),
            Ok(reader) => {
                let fields = reader.unread();
                format!("its records are events; unused fields: {fields}; put them into properties")
            }
            Err(problem) => format!("its records are not events, and would go to the dead letters: {problem}"),
        };
        lines.push(format!("{}: {verdict}", path.display()));
    }
    Ok(lines)
}

fn avro_files(folder: &std::path::Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
