//! Which rules file this process read last, kept over restarts.
//!
//! Between two runs the file may have been edited, perhaps back to an earlier version; or it is unchanged, while other
//! processes, or a POST, moved on to newer rules. Only the first is an edit, and the file alone does not show which it
//! is.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::codec::write_whole;
use crate::settings::Settings;

/// Kept in `state.dir`, for the group and the instance.
pub(super) struct LastRulesFile {
    path: PathBuf,
    fingerprint: Option<String>,
}

impl LastRulesFile {
    pub(super) fn open(settings: &Settings) -> Self {
        let name = format!(".{}.rules", settings.kafka.instance_id);
        let path = settings.state.dir.join(&settings.kafka.group_id).join(name);
        let fingerprint = fs::read_to_string(&path).ok().map(|text| text.trim().to_owned());
        Self { path, fingerprint }
    }

    /// Was the last file another one? False if that is not known.
    pub(super) fn differs_from(&self, fingerprint: &str) -> bool {
        self.fingerprint.as_ref().is_some_and(|seen| seen != fingerprint)
    }

    /// Records the fingerprint of the file that was read.
    pub(super) fn note(&mut self, fingerprint: &str) {
        if self.fingerprint.as_deref() == Some(fingerprint) {
            return;
        }
        self.fingerprint = Some(fingerprint.to_owned());
        if let Err(error) = self.write(fingerprint) {
            let path = self.path.display();
            tracing::warn!(
                %path,
                %error,
                "Recording which rules file was read last failed: after a restart, a return to an earlier version will not be noticed."
            );
        }
    }

    fn write(&self, fingerprint: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        write_whole(&self.path, &format!("{fingerprint}\n"))
    }
}
