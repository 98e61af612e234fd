//! The arguments that say in which shape the records of files are.

use std::path::{Path, PathBuf};

use clap::Args;

/// The shape of the records of files, if they are no events.
#[derive(Debug, Default, Args)]
pub(super) struct Shape {
    /// Read the files in the shape of this source of the sources file; NAME=FILE: this file, beside others; may be repeated
    #[arg(long, value_name = "NAME[=FILE]", value_parser = source_of)]
    pub(super) source: Vec<SourceOf>,

    #[command(flatten)]
    pub(super) rows: Rows,

    #[command(flatten)]
    pub(super) file: SourcesPath,
}

/// Where the sources are.
#[derive(Debug, Default, Args)]
pub(super) struct SourcesPath {
    /// The sources file [default: that of gather.sources, or sources.toml beside the rules]
    #[arg(long, value_name = "FILE")]
    sources: Option<PathBuf>,
}

impl SourcesPath {
    pub(super) fn given(&self) -> Option<&Path> {
        self.sources.as_deref()
    }
}

/// What `--source` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceOf {
    /// The source of all files that are named without one.
    Files(String),
    /// The source of one file.
    File(String, PathBuf),
}

/// How rows of CSV are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub(super) struct Rows {
    /// Of CSV with a header line: what stands between the cells, such as ';' or tab [default: a comma for *.csv]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(super) delimiter: Option<u8>,

    /// Of CSV: numbers are written 1.234,50; cells are separated by ';' unless --delimiter says otherwise
    #[arg(long)]
    pub(super) decimal_comma: bool,
}

/// The name of a source, or one with its file.
fn source_of(text: &str) -> Result<SourceOf, String> {
    match text.split_once('=') {
        None if !text.is_empty() => Ok(SourceOf::Files(text.to_owned())),
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok(SourceOf::File(name.to_owned(), file.into())),
        _ => Err("write a name of the sources file, or NAME=FILE".to_owned()),
    }
}

/// One character that separates cells.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r' | b'.') => {
            Ok(*byte)
        }
        _ => Err("write one character, such as ';', or tab".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{SourceOf, delimiter, source_of};

    #[test]
    fn a_source_is_named_alone_or_with_its_file() {
        assert_eq!(source_of("orders"), Ok(SourceOf::Files("orders".to_owned())));
        let file = SourceOf::File("orders".to_owned(), "a=b.avro".into());
        assert_eq!(source_of("orders=a=b.avro"), Ok(file));
        assert!(source_of("=x").is_err() && source_of("x=").is_err() && source_of("").is_err());
        assert_eq!((delimiter(";"), delimiter("tab"), delimiter("\\t")), (Ok(b';'), Ok(b'\t'), Ok(b'\t')));
        assert!(["", ";;", "a", "\"", "é"].iter().all(|text| delimiter(text).is_err()));
    }
}
