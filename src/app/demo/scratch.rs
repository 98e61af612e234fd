//! A folder for the demo's databases, gone when the demo is.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty folder that no other demo has.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn make() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("cohortd-demo-{}", process::id()));
        // Left by a process that had this number before and was killed.
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        // Others may write to the folder around it.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "The demo's folder stays behind.");
        }
    }
}
