//! The rules file, edited while all goes on.

use std::fs;
use std::thread;
use std::time::Duration;

use super::{Begun, Happened};
use crate::field::Field;
use crate::random::Random;
use crate::rules::Version;

/// As long as it takes a person to notice that the file is wrong; shorter than the daemon's own look at it needs be.
const BROKEN_FOR: Duration = Duration::from_millis(2_500);

/// As editors and ConfigMaps do it: the new file takes the place of the old one at once.
fn replace(field: &Field, text: &str) {
    let beside = field.folder.join("rules.toml.new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, field.rules_file()).unwrap();
}

pub(super) fn edit(field: &mut Field, random: &mut Random) -> Begun {
    let step = 1 + random.below(Version::COUNT - 1);
    let next = (i64::try_from(field.version.0).unwrap() + step) % Version::COUNT;
    field.version = Version(usize::try_from(next).unwrap());
    replace(field, &field.version.text());
    Begun::over(Happened::Yes)
}

/// Nothing starts meanwhile: a process that starts with a broken file ends with 78, and rightly.
pub(super) fn broken(field: &mut Field, _: &mut Random) -> Begun {
    if field.members.iter().any(|member| member.busy || (member.wanted && !member.is_running())) {
        return Begun::NotNow;
    }
    // Whoever has not read it yet does so before it listens.
    if field.members.iter().any(|member| member.is_running() && member.watched.metrics_address().is_none()) {
        return Begun::NotNow;
    }
    replace(field, &field.version.text().replace("did visit", "did vist a lot of"));
    thread::sleep(BROKEN_FOR);
    replace(field, &field.version.text());
    Begun::over(Happened::Yes)
}
