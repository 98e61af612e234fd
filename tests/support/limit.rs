//! A limit for every test that talks to a process or a broker: one that hangs, perhaps inside a C library that nothing can
//! interrupt, ends the test run with its name and what it was waiting for.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Several times what the longest test takes on two busy cores.
const LIMIT: Duration = Duration::from_secs(480);

/// What each test waits for now, by the name of its thread, which is the test's.
static WAITS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// As long as this value lives, its test is being timed.
pub(crate) struct Limit {
    /// Never written: dropping it tells the watchdog that the test is over.
    _running: Sender<()>,
}

impl Limit {
    pub(crate) fn start() -> Self {
        Self::of(LIMIT)
    }

    /// For a test that is known to take longer.
    pub(crate) fn of(limit: Duration) -> Self {
        let (running, over) = channel::<()>();
        let test = this_test();
        let watch = move || {
            if over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let printed = format!(
                    "\n{test} has not ended within {limit:?}; it was waiting for: {}\n{}",
                    waited_for(&test),
                    children()
                );
                // Not by a macro: what those print is kept until the test ends, and this one will not.
                std::io::stderr().write_all(printed.as_bytes()).ok();
                std::process::abort();
            }
        };
        thread::Builder::new().name("limit".into()).spawn(watch).expect("a thread");
        Self { _running: running }
    }
}

impl Drop for Limit {
    /// After the logs of its processes, where the panic is far above: the end of a long log is what is read first.
    #[expect(clippy::print_stdout, reason = "a test that failed says at which point")]
    fn drop(&mut self) {
        if thread::panicking() {
            let test = this_test();
            println!("{test} failed; what it last waited for: {}", waited_for(&test));
        }
    }
}

/// Notes what this test waits for from now on.
pub(crate) fn waiting_for(what: &str) {
    waits().insert(this_test(), what.to_owned());
}

/// Notes that what this test waited for has come: what hangs now is something else.
pub(crate) fn waited() {
    let test = this_test();
    let what = waited_for(&test);
    waits().insert(test, format!("something after {what}"));
}

/// The processes that the tests have started and that still run: one may be what does not end.
fn children() -> String {
    let own = std::process::id().to_string();
    let listed = Command::new("ps").args(["--ppid", &own, "-o", "etime,args", "--width", "250"]).output();
    listed.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn waited_for(test: &str) -> String {
    waits().get(test).map_or("something it did not name", String::as_str).to_owned()
}

fn this_test() -> String {
    thread::current().name().unwrap_or("a test").to_owned()
}

fn waits() -> MutexGuard<'static, BTreeMap<String, String>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}
