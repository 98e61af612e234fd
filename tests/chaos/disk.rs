//! A disk of a process's own: a small file system in memory where this may be mounted, otherwise a folder.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::random::Random;

/// Room for what the daemon keeps free and for the states of a long run.
const SIZE: &str = "768m";

pub(super) struct Disk {
    path: PathBuf,
    is_mounted: bool,
}

impl Disk {
    pub(super) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "cohortd-chaos"]).arg(&path);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        Self { path, is_mounted }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Can it be filled without harm to others?
    pub(super) fn is_own(&self) -> bool {
        self.is_mounted
    }

    /// Takes all the room that is left.
    pub(super) fn fill(&self) {
        assert!(self.is_mounted, "only a disk of its own is filled");
        let mut file = File::create(self.filler()).unwrap();
        let mut block = vec![0; 1 << 20];
        while !block.is_empty() {
            match file.write_all(&block) {
                Ok(()) => {}
                // The last bytes too.
                Err(error) if error.kind() == ErrorKind::StorageFull => block.truncate(block.len() / 2),
                Err(error) => panic!("{}: {error}", self.filler().display()),
            }
        }
    }

    pub(super) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: a process that ends just now may still have files open.
            Command::new("umount").arg("-l").arg(&self.path).status().ok();
        }
    }
}

/// All files below a folder of which `is_it` holds, by their names; in order.
pub(super) fn files(folder: &Path, is_it: fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // Files and folders come and go while the process runs.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                // Nobody reads copies that were set aside.
                folders.extend((!path.to_string_lossy().contains(".damaged-")).then_some(path));
            } else if path.file_name().and_then(|name| name.to_str()).is_some_and(is_it) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Flips some bits of a file. False if it is gone or empty.
pub(super) fn flip(path: &Path, bits: u32, random: &mut Random) -> bool {
    let Ok(mut file) = File::options().read(true).write(true).open(path) else { return false };
    let length = file.metadata().unwrap().len();
    if length == 0 {
        return false;
    }
    for _ in 0..bits {
        let mut byte = [0];
        let at = SeekFrom::Start(random.next() % length);
        file.seek(at).unwrap();
        file.read_exact(&mut byte).unwrap();
        byte[0] ^= 1 << (random.next() % 8);
        file.seek(at).unwrap();
        file.write_all(&byte).unwrap();
    }
    true
}

/// A whole folder, as it is now.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}
