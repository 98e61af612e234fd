//! Wall clocks that can be moved, by a library that is loaded before the daemon and asks a file by how much.

use std::path::{Path, PathBuf};

use crate::support::preload;

const LIBRARY: &str = "clock.so";

/// Compiles the library into a folder. Where there is no C compiler, or no Linux, clocks are not moved.
pub(super) fn build(folder: &Path) {
    if let Err(reason) = preload::compile("clock.c", &folder.join(LIBRARY)) {
        println!("chaos: no clock is moved: {reason}");
    }
}

/// The library, if it was built.
pub(super) fn library(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(LIBRARY)).filter(|library| library.exists())
}

pub(super) fn set(file: &Path, seconds: i64) {
    preload::write(file, &seconds.to_ne_bytes());
}
