//! A real schema registry for tests: Apicurio, in memory, in a Java process of its own, gone with the tests.
//!
//! It is fetched once by Maven into `${COHORTD_CACHE:-$HOME/.cache/cohortd}/apicurio-3.3.3`, and needs Java 21.
#![allow(clippy::print_stderr, reason = "what a person at the terminal should know about the registry")]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::broker::{cache_root, free_ports};

/// Confluent's interface.
pub(crate) const PATH: &str = "/apis/ccompat/v7";

const VERSION: &str = "3.3.3";
const JAVA_MIN: u32 = 21;

/// A cold Java on a busy machine is slow; a registry that does not answer by then will not.
const START_LIMIT: Duration = Duration::from_secs(150);

/// A busy server now and then loses a request; it is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The shell kills Java when its own standard input ends: so it goes with the test process, however that ends.
const KEEPER: &str = r#""$@" </dev/null >/dev/null 2>&1 & pid=$!; read -r keep; kill -9 $pid"#;

pub(crate) struct Apicurio {
    keeper: Child,
    port: u16,
}

impl Apicurio {
    /// One for all tests, which takes a quarter of a minute to start; `None`, with the reason on stderr, where it cannot be had.
    /// What it knows is everybody's: subjects must bear the test's own name.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Apicurio>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let found = java().and_then(|java| Ok((java, program()?)));
        let (java, program) = match found {
            Ok(found) => found,
            Err(reason) => {
                eprintln!("skipped: no Apicurio registry: {reason}");
                return None;
            }
        };
        let [port] = free_ports();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "registry"])
            .arg(java)
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-jar"])
            .arg(program.join("quarkus-run.jar"))
            .current_dir(&program)
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", port.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh");
        let registry = Self { keeper, port };
        let deadline = Instant::now() + START_LIMIT;
        while registry.ask("GET", "/subjects", "").is_none_or(|(status, _)| status != 200) {
            if Instant::now() >= deadline {
                eprintln!("skipped: Apicurio did not answer within {START_LIMIT:?}");
                return None;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Some(registry)
    }

    /// Where it is, as `host:port`.
    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its address for clients of Confluent's interface.
    pub(crate) fn address(&self) -> String {
        format!("http://{}{PATH}", self.place())
    }

    /// The subjects of which one part of the name is this.
    pub(crate) fn subjects(&self, part: &str) -> Vec<String> {
        let (_, answer) = self.answer("GET", "/subjects", "");
        let all: Vec<String> = serde_json::from_str(&answer).expect("a list of names");
        all.into_iter().filter(|subject| subject.contains(part)).collect()
    }

    /// What the next schema of a subject must be to those before it: `FULL`, `BACKWARD_TRANSITIVE`.
    pub(crate) fn demand(&self, subject: &str, level: &str) {
        let body = serde_json::json!({ "compatibility": level }).to_string();
        let (status, answer) = self.answer("PUT", &format!("/config/{subject}"), &body);
        assert_eq!(status, 200, "{answer}");
    }

    /// The id of a schema, registered under a subject.
    pub(crate) fn register(&self, subject: &str, schema: &str) -> u32 {
        self.register_referring(subject, schema, &[])
    }

    /// The id of a schema that refers to others: each a type, a subject and a version.
    pub(crate) fn register_referring(&self, subject: &str, schema: &str, to: &[(&str, &str, u32)]) -> u32 {
        let reference = |(name, subject, version): &(&str, &str, u32)| serde_json::json!({ "name": name, "subject": subject, "version": version });
        let references: Vec<_> = to.iter().map(reference).collect();
        let body = serde_json::json!({ "schema": schema, "references": references }).to_string();
        let (status, answer) = self.answer("POST", &format!("/subjects/{subject}/versions"), &body);
        assert_eq!(status, 200, "{answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        u32::try_from(answer["id"].as_u64().expect("an id")).expect("a small one")
    }

    /// The text of a schema, by its id.
    pub(crate) fn schema(&self, id: u32) -> String {
        let (status, answer) = self.answer("GET", &format!("/schemas/ids/{id}"), "");
        assert_eq!(status, 200, "{answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        answer["schema"].as_str().expect("a text").to_owned()
    }

    /// A Java with the library of Avro that the registry brings: the options that find it.
    pub(crate) fn java_with_avro() -> Option<(PathBuf, String)> {
        let (java, program) = java().and_then(|java| Ok((java, program()?))).ok()?;
        Some((java, format!("{}/lib/main/*", program.display())))
    }

    /// The answer to what may be asked again: a busy server closes a connection now and then.
    fn answer(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.ask(method, path, body) {
                Some(answer) => return answer,
                None => assert!(Instant::now() < deadline, "Apicurio does not answer any more"),
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
        let length = body.len();
        write!(
            stream,
            "{method} {PATH}{path} HTTP/1.0\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

/// A Java that is new enough: named by `JAVA_HOME`, installed beside others, or the one in the path.
fn java() -> Result<PathBuf, String> {
    let home = env::var_os("JAVA_HOME").map(PathBuf::from);
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|entry| entry.path());
    let candidates = home.into_iter().chain(installed).map(|home| home.join("bin/java")).chain([PathBuf::from("java")]);
    let is_new = |java: &PathBuf| version(java).is_some_and(|version| version >= JAVA_MIN);
    candidates.into_iter().find(is_new).ok_or_else(|| format!("it needs Java {JAVA_MIN}"))
}

/// The first number in what `java -version` says, as `25` in `openjdk version "25.0.1"`.
fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split('"').nth(1)?.split('.').next()?.parse().ok()
}

/// Where the program is, fetched if it is not there. Two test runs may do so at once: the folder appears whole.
fn program() -> Result<PathBuf, String> {
    let root = cache_root();
    let program = root.join(format!("apicurio-{VERSION}"));
    if program.exists() {
        return Ok(program);
    }
    eprintln!("fetching Apicurio {VERSION} into {}: about 160 MB, once", program.display());
    let part = root.join(format!("apicurio-{VERSION}.{}", std::process::id()));
    fs::create_dir_all(&part).map_err(|error| error.to_string())?;
    let made = run(Command::new("mvn")
        .args(["-q", "-B", "dependency:copy"])
        .arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"))
        .arg(format!("-DoutputDirectory={}", part.display())))
    .and_then(|()| {
        let archive = part.join(format!("apicurio-registry-app-{VERSION}-all.tar.gz"));
        run(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&part))?;
        fs::remove_file(archive).map_err(|error| error.to_string())
    });
    if made.is_ok() && fs::rename(&part, &program).is_ok() {
        return Ok(program);
    }
    fs::remove_dir_all(&part).ok();
    if program.exists() { Ok(program) } else { Err(made.err().unwrap_or_else(|| "its folder cannot be made".into())) }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}
