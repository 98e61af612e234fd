//! The files of a command, each with the shape of its records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::sources_file::SourcesFile;
use crate::cli::output::Stopped;
use crate::cli::shape::{Rows, Shape, SourceOf};
use crate::codec::Csv;
use crate::settings::Loaded;
use crate::sources::Mapping;

/// Endings of compressed files.
const COMPRESSED: [&str; 3] = [".gz", ".zst", ".bz2"];

/// Files that form one log.
pub(in crate::cli) struct Files {
    pub(super) parts: Vec<Part>,
}

/// One file.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// What makes events of its records; `None`: they are events.
    pub(super) mapping: Option<Arc<Mapping>>,
    pub(super) csv: Option<Csv>,
}

impl Files {
    /// Files of events, or in the shapes of sources. The sources file may be beside `rules`, or those of the settings.
    ///
    /// # Errors
    /// A source that there is not, or no files for it; a sources file that cannot be read, or has mistakes.
    pub(in crate::cli) fn of(
        settings: &Loaded,
        files: &[PathBuf],
        shape: &Shape,
        rules: Option<&Path>,
    ) -> Result<Self, Stopped> {
        if shape.source.is_empty() {
            if shape.rows != Rows::default() {
                let text = "--delimiter and --decimal-comma are about files of a source: name it with --source";
                return Err(Stopped::Usage(text.to_owned()));
            }
            let parts = files.iter().map(|path| Part { path: path.clone(), mapping: None, csv: None });
            return Ok(Self { parts: parts.collect() });
        }
        let file = SourcesFile::needed(settings, shape.file.given(), rules)?;
        let mapping =
            |name: &str| Ok::<_, Stopped>(Arc::new(Mapping::new(file.source(name).map_err(Stopped::Usage)?.clone())));
        let part = |path: &PathBuf, mapping: &Arc<Mapping>| Part {
            path: path.clone(),
            mapping: Some(Arc::clone(mapping)),
            csv: csv(path, shape.rows),
        };
        let mut whole = None;
        let mut parts = Vec::new();
        for source in &shape.source {
            match source {
                SourceOf::File(name, path) => parts.push(part(path, &mapping(name)?)),
                SourceOf::Files(name) if whole.is_none() => whole = Some(mapping(name)?),
                SourceOf::Files(name) => {
                    let text = format!("all files are of one --source; write --source {name}=FILE for those of {name}");
                    return Err(Stopped::Usage(text));
                }
            }
        }
        match (whole, files) {
            (Some(mapping), []) => {
                let name = &mapping.source().name;
                Err(Stopped::Usage(format!("--source {name}: name the files, as --source {name}=FILE or at the end")))
            }
            (whole, files) => {
                // Files without a source are files of events.
                parts.extend(files.iter().map(|path| match &whole {
                    Some(mapping) => part(path, mapping),
                    None => Part { path: path.clone(), mapping: None, csv: None },
                }));
                Ok(Self { parts })
            }
        }
    }

    /// Each file with what makes events of its records.
    pub(in crate::cli) fn mapped(&self) -> impl Iterator<Item = (&Path, &Arc<Mapping>, Option<Csv>)> {
        self.parts.iter().filter_map(|part| Some((part.path.as_path(), part.mapping.as_ref()?, part.csv)))
    }

    /// The files without a source.
    pub(in crate::cli) fn unmapped(&self) -> Vec<PathBuf> {
        self.parts.iter().filter(|part| part.mapping.is_none()).map(|part| part.path.clone()).collect()
    }
}

/// How a file is read that holds rows of CSV: by its name, or because the command line says so.
pub(in crate::cli) fn csv(path: &Path, rows: Rows) -> Option<Csv> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let name = COMPRESSED.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let usual = match name.rsplit_once('.') {
        Some((_, "csv")) => Some(if rows.decimal_comma { b';' } else { b',' }),
        Some((_, "tsv" | "tab")) => Some(b'\t'),
        _ => rows.decimal_comma.then_some(b';'),
    };
    rows.delimiter.or(usual).map(|delimiter| Csv { delimiter, decimal_comma: rows.decimal_comma })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Csv, Rows, csv};

    #[test]
    fn a_file_holds_rows_by_its_name_or_because_it_is_said() {
        let of = |name: &str, delimiter: Option<u8>, decimal_comma: bool| {
            csv(Path::new(name), Rows { delimiter, decimal_comma })
                .map(|Csv { delimiter, decimal_comma }| (char::from(delimiter), decimal_comma))
        };
        assert_eq!(of("a/orders.CSV.gz", None, false), Some((',', false)));
        assert_eq!(of("orders.csv", None, true), Some((';', true)));
        assert_eq!(of("orders.csv", Some(b'|'), true), Some(('|', true)));
        assert_eq!(of("orders.tsv.zst", None, false), Some(('\t', false)));
        assert_eq!(of("orders.jsonl", None, false), None);
        assert_eq!(of("-", Some(b';'), false), Some((';', false)));
    }
}
