//! The folder `state.dir` itself.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Creates it for this user only, since its contents are personal data. An existing folder is not changed. A read-only
/// disk is reported by the parts that need it.
pub(super) fn make(path: &Path) {
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
        tracing::debug!(path = %path.display(), %error, "Creating state.dir failed.");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::make;

    #[test]
    fn it_is_made_for_this_user_alone_and_left_as_it_is_where_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("var/state");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        make(&path);
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        make(&path);
        assert_eq!(mode(), 0o770);
    }
}
