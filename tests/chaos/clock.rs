//! Wall clocks that can be moved, by a library that is loaded before the daemon and asks a file by how much.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock.c");
const LIBRARY: &str = "clock.so";

/// Compiles the library into a folder. Where there is no C compiler, or no Linux, clocks are not moved.
pub(super) fn build(folder: &Path) {
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", SOURCE, "-o"]).arg(folder.join(LIBRARY));
    match compile.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => println!("chaos: no clock is moved: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => println!("chaos: no clock is moved: cc: {error}"),
    }
}

/// The library, if it was built.
pub(super) fn library(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(LIBRARY)).filter(|library| library.exists())
}

/// In place: the file is mapped.
pub(super) fn set(file: &Path, seconds: i64) {
    let mut file = File::options().create(true).truncate(false).write(true).open(file).unwrap();
    file.write_all(&seconds.to_ne_bytes()).unwrap();
}
