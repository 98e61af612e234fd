//! Python with Confluent's client, its serializers and fastavro, in an environment of its own.
#![allow(clippy::print_stdout, reason = "what a person at the terminal should know")]

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::broker::cache_root;

const CLIENT: &str = "confluent-kafka[avro,json,schemaregistry]==2.16.0";
/// A file in the environment once all of that is there.
const MARK: &str = "confluent-kafka-2.16.0-with-json";

/// It is made once; `None`, with the reason on stdout, where that cannot be done. Under CI it must.
pub(crate) fn python() -> Option<PathBuf> {
    let root = cache_root();
    let venv = root.join("venv");
    let python = venv.join("bin/python");
    let mark = venv.join(MARK);
    if mark.exists() {
        return Some(python);
    }
    // Two tests may want it at once.
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = MADE.lock().expect("nobody panics while making it");
    if mark.exists() {
        return Some(python);
    }
    println!("making {} with {CLIENT}, once", venv.display());
    fs::create_dir_all(&root).expect("a folder for what the tests fetch");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .and_then(|()| run(Command::new(&python).args(["-m", "pip", "install", "-q", CLIENT])));
    match made {
        Ok(()) => {
            fs::write(&mark, "").expect("the mark");
            Some(python)
        }
        Err(reason) => {
            assert!(env::var_os("CI").is_none(), "the outside clients need python3 with venv and pip: {reason}");
            println!("skipped: no confluent-kafka for Python: {reason}");
            None
        }
    }
}
