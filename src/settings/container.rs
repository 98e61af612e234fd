//! What the container, or any other control group that this process is in, allows it.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted: version 2, or each controller of version 1 in a folder of its own.
const MOUNT: &str = "/sys/fs/cgroup";
/// More than any machine has: version 1 writes "no limit" as a number near 2^63.
const NO_LIMIT: u64 = 1 << 50;

/// The lowest limit of memory, in bytes, of the groups around this process; `None`: there is none, or not on this system.
pub(super) fn memory_limit() -> Option<u64> {
    lowest(Path::new(MOUNT), &fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// `membership` is the text of `/proc/self/cgroup`: lines of `hierarchy:controllers:path`.
fn lowest(mount: &Path, membership: &str) -> Option<u64> {
    membership.lines().filter_map(|line| limit_of(mount, line)).min()
}

fn limit_of(mount: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => (mount.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            (mount.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // A group is bound by those around it. Inside a container the path may be the host's, of which only the root is seen.
    let groups = Path::new(path.trim_start_matches('/')).ancestors().map(|group| root.join(group));
    groups.filter_map(|group: PathBuf| number_in(&group.join(file))).min()
}

fn number_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::lowest;

    fn write(mount: &Path, file: &str, text: &str) {
        let file = mount.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn the_lowest_limit_of_the_groups_around_the_process_counts() {
        let mount = tempfile::tempdir().unwrap();
        write(mount.path(), "pods/one/memory.max", "max\n");
        write(mount.path(), "pods/memory.max", "2147483648\n");
        assert_eq!(lowest(mount.path(), "0::/pods/one\n"), Some(2 << 30));
        write(mount.path(), "pods/one/memory.max", "1073741824\n");
        assert_eq!(lowest(mount.path(), "0::/pods/one\n"), Some(1 << 30));
    }

    #[test]
    fn a_container_that_is_shown_the_path_of_its_host_has_the_limit_at_its_own_root() {
        let mount = tempfile::tempdir().unwrap();
        write(mount.path(), "memory.max", "536870912\n");
        assert_eq!(lowest(mount.path(), "0::/kubepods.slice/pod1/abc\n"), Some(512 << 20));
    }

    #[test]
    fn control_groups_of_version_1_are_read_and_their_large_number_is_no_limit() {
        let mount = tempfile::tempdir().unwrap();
        write(mount.path(), "memory/memory.limit_in_bytes", "9223372036854771712\n");
        let membership = "5:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n";
        assert_eq!(lowest(mount.path(), membership), None);
        write(mount.path(), "memory/docker/abc/memory.limit_in_bytes", "268435456\n");
        assert_eq!(lowest(mount.path(), membership), Some(256 << 20));
    }

    #[test]
    fn where_there_are_no_control_groups_there_is_no_limit() {
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(lowest(nowhere.path(), "0::/\n"), None);
        assert_eq!(lowest(nowhere.path(), ""), None);
    }
}
