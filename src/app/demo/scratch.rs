//! A temporary folder for the demo's databases.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Creates an empty folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn make() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("cohortd-demo-{}", process::id()));
        // Left by a killed process with the same id.
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        // Other users may write to the parent folder.
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
            tracing::warn!(path = %self.0.display(), %error, "Removing the demo's folder failed.");
        }
    }
}
