//! Libraries in C that are loaded before the daemon (`LD_PRELOAD`), and files that they look at while it runs.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// Compiles a source of `tests/support`. Says why not, where there is no C compiler, or no Linux.
pub(crate) fn compile(source: &str, library: &Path) -> Result<(), String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(source);
    let output = Command::new("cc").args(["-shared", "-fPIC", "-O1"]).arg(source).arg("-o").arg(library).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// In place, since the file is mapped.
pub(crate) fn write(file: &Path, bytes: &[u8]) {
    File::options().create(true).truncate(false).write(true).open(file).unwrap().write_all(bytes).unwrap();
}
