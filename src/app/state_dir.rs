//! The folder `state.dir` itself.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes it for this user alone, since what lies in it is personal. One that is there stays as it is. A disk that cannot be
/// written to is for whoever needs it to say.
pub(super) fn make(path: &Path) {
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
        tracing::debug!(path = %path.display(), %error, "state.dir cannot be made.");
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
