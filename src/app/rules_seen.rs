//! Which rules file this process took in last, over restarts.
//!
//! Between two runs the file may have been edited, back to an earlier version too; or it is as it was, while other processes,
//! or a POST, went on to newer rules. Only the first is an edit, and the file alone cannot tell one from the other.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::codec::write_whole;
use crate::settings::Settings;

/// Kept in `state.dir`, for the group and the instance.
pub(super) struct Seen {
    path: PathBuf,
    fingerprint: Option<String>,
}

impl Seen {
    pub(super) fn open(settings: &Settings) -> Self {
        let name = format!(".{}.rules", settings.kafka.instance_id);
        let path = settings.state.dir.join(&settings.kafka.group_id).join(name);
        let fingerprint = fs::read_to_string(&path).ok().map(|text| text.trim().to_owned());
        Self { path, fingerprint }
    }

    /// Was it another file that this process took in last? False where that is not known.
    pub(super) fn differs_from(&self, fingerprint: &str) -> bool {
        self.fingerprint.as_ref().is_some_and(|seen| seen != fingerprint)
    }

    /// The file of this fingerprint was taken in.
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
                "It cannot be kept which rules file was taken in: after a restart, going back to an earlier version is not noticed."
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
