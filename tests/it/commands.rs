//! Every command that people are shown is run: here, by a test that the table names, or nowhere, and then the table says how
//! else it was checked. A command that is shown but not listed here fails a test.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::check::buyers;
use crate::faults_table;
use crate::support::limit::Limit;

/// Programs whose name at the beginning makes a phrase in backticks a command.
const PROGRAMS: [&str; 21] = [
    "cohortd",
    "make",
    "cargo",
    "curl",
    "sh",
    "printf",
    "openssl",
    "docker",
    "podman",
    "kubectl",
    "helm",
    "sudo",
    "sudoedit",
    "apt",
    "systemctl",
    "systemd-analyze",
    "promtool",
    "kafka-acls.sh",
    "kafka-topics.sh",
    "kafka-transactions.sh",
    "kafka-configs.sh",
];

/// Files besides the pages whose comments show commands.
const COMMENTED: [&str; 5] = [
    "config/cohortd.toml",
    "config/rules.toml",
    "deploy/package/cohortd.toml",
    "deploy/kubernetes/base/cohortd.toml",
    "deploy/kubernetes/example/cohortd.toml",
];

const ACCESS: &str = "exactly_the_documented_access_lists_are_needed";
const FOLLOWED: &str = "changes_are_printed_as_they_are_published_and_as_they_are_asked_for";
const IGNORED: &str = "a_source_that_is_silent_for_too_long_holds_time_until_it_is_ignored_or_heard_again";
const HANGING: &str = "a_hanging_transaction_stops_one_partition_with_an_alarm_and_no_other";
const IMAGE: &str = "deploy/image-test.sh runs the image by podman";
const CLUSTER: &str = "no cluster at hand; docs/deploy.md says what was rendered and validated";
const REGISTERED: &str = "the loop was run on Apicurio 3.3.3, whose subjects were then the four of the page";
const PACKAGE: &str = "docs/deploy.md says what was installed in a container";

/// Commands that are not run here as they stand, whole or up to `...`.
const ELSEWHERE: [(&str, How); 45] = [
    ("cohortd changes --follow", How::Test(FOLLOWED)),
    ("cohortd changes --config cohortd.toml --follow", How::Test(FOLLOWED)),
    ("cohortd demo", How::Test("every_default_cohort_is_entered_and_left_and_the_demo_says_what_it_does_not_prove")),
    ("cohortd demo --to-kafka...", How::Test("the_shop_of_the_demo_feeds_a_kafka_of_ones_own")),
    ("cohortd run --config cohortd.toml", How::Test("what_the_pages_show_of_a_running_daemon_works")),
    ("cohortd sources reset TOPIC", How::Test("a_topic_made_anew_is_held_and_goes_on_after_a_reset")),
    (
        "cohortd sources try orders --topic --config cohortd.toml",
        How::Test("the_first_records_of_a_sources_topic_are_tried_as_gathering_maps_them"),
    ),
    ("cohortd sources ignore NAME", How::Test(IGNORED)),
    ("cohortd sources ignore NAME --undo", How::Test(IGNORED)),
    ("cohortd run --accept-rules", How::Test("a_file_that_nobody_edited_does_not_go_back_to_older_rules")),
    (
        "COHORTD_WRITE_DOCS=1 cargo test --release --lib metrics",
        How::Test("the_page_of_metrics_is_what_the_source_says"),
    ),
    ("acl() { kafka-acls.sh ...", How::Test(ACCESS)),
    ("acl --...", How::Test(ACCESS)),
    ("kafka-transactions.sh find-hanging", How::Test(HANGING)),
    ("kafka-transactions.sh abort", How::Test(HANGING)),
    ("docker run --rm cohortd demo", How::Not(IMAGE)),
    ("docker run -d --name cohortd -p 9464:9464 ...", How::Not(IMAGE)),
    ("docker build -f deploy/Dockerfile -t cohortd .", How::Not("docs/deploy.md says which of its stages were run")),
    ("docker compose -f deploy/compose.yaml up", How::Test("the_variables_of_compose_and_kubernetes_are_settings")),
    ("podman run", How::Not(IMAGE)),
    ("kubectl create namespace cohortd", How::Not(CLUSTER)),
    ("kubectl -n cohortd create secret generic cohortd-kafka ...", How::Not(CLUSTER)),
    ("kubectl apply -k deploy/kubernetes/example", How::Not(CLUSTER)),
    ("kubectl -n cohortd rollout status statefulset/cohortd", How::Not(CLUSTER)),
    ("kubectl -n cohortd exec cohortd-0 -- cohortd health ready", How::Not(CLUSTER)),
    (
        "kubectl -n cohortd exec cohortd-0 -- cohortd check --config /etc/cohortd/cohortd.toml --connect",
        How::Not(CLUSTER),
    ),
    ("kubectl -n cohortd port-forward cohortd-0 9465", How::Not(CLUSTER)),
    ("kubectl rollout restart statefulset/cohortd", How::Not(CLUSTER)),
    ("kubectl exec", How::Not(CLUSTER)),
    ("kubectl scale", How::Not(CLUSTER)),
    ("kubectl delete pvc", How::Not(CLUSTER)),
    ("kubectl kustomize", How::Not(CLUSTER)),
    ("sudo apt install ./dist/cohortd_0.1.0_amd64.deb", How::Not(PACKAGE)),
    ("sudoedit /etc/cohortd/cohortd.toml", How::Not(PACKAGE)),
    ("sudo systemctl enable --now cohortd", How::Not("docs/deploy.md: the unit is verified, not started")),
    ("sudo systemctl reload cohortd", How::Not("docs/deploy.md: the unit is verified, not started")),
    ("systemctl edit cohortd", How::Not("docs/deploy.md: the unit is verified, not started")),
    ("systemd-analyze verify", How::Not("docs/deploy.md: what was run")),
    ("promtool check config --syntax-only", How::Not("docs/deploy.md: what was run")),
    ("sh deploy/dist.sh BINARY", How::Not("docs/deploy.md: what was run")),
    ("awk ...", How::Here),
    ("printf %s ID | sha256sum | cut -c1-16", How::Here),
    ("make image-test", How::Not(IMAGE)),
    ("for schema in cohort-changes:cohort-change ...", How::Not(REGISTERED)),
    ("jq -Rs '{schema: .}' schemas/${schema#*:}.avsc | curl ...", How::Not(REGISTERED)),
];

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is run as it stands, in a folder that has the files.
    Here,
    /// It is run, with brokers and a daemon, by `e2e::documented_commands`.
    WithBrokers,
    /// The Makefile has it.
    Make,
    /// A test of this name runs it, or the like.
    Test(&'static str),
    /// It is not run; how else it was checked.
    Not(&'static str),
}

/// A command, and where it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) place: String,
    pub(crate) text: String,
}

impl Shown {
    pub(crate) fn how(&self) -> Option<How> {
        let fits = |entry: &str| match entry.strip_suffix("...") {
            Some(start) => self.text.starts_with(start),
            None => self.text == entry,
        };
        if let Some((_, how)) = ELSEWHERE.iter().find(|(entry, _)| fits(entry)) {
            return Some(*how);
        }
        let words: Vec<&str> = self.text.split_whitespace().collect();
        match words[..] {
            // The name of a command is no command line: that there is one of this name is what can be asked.
            ["cohortd", _] => Some(How::Here),
            ["cohortd", "run" | "demo", ..] => None,
            ["cohortd", "changes" | "health" | "reset", ..] | ["curl", ..] => Some(How::WithBrokers),
            ["cohortd", ..] if words.iter().any(|word| ["--connect", "--topic"].contains(word)) => {
                Some(How::WithBrokers)
            }
            ["cohortd", ..] => Some(How::Here),
            ["make", ..] => Some(How::Make),
            _ if self.option().is_some() => Some(How::Here),
            _ => None,
        }
    }

    /// The name of a command and of one of its options, without the program's.
    fn option(&self) -> Option<(&str, &str)> {
        let (command, option) = self.text.split_once(' ')?;
        (["check", "replay"].contains(&command) && option.starts_with("--") && !option.contains(' '))
            .then_some((command, option))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "SECURITY.md".to_owned(), "config/RULES.md".to_owned()];
    for file in fs::read_dir(root().join("docs")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        pages.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    pages.sort_unstable();
    pages
}

/// All commands of all pages and comments, in their order.
pub(crate) fn shown() -> Vec<Shown> {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let of_pages = pages().into_iter().flat_map(|page| of_page(&page, &read(&page)));
    let of_comments = COMMENTED.into_iter().flat_map(|file| {
        let text = read(file);
        let comments =
            text.lines().map(|line| line.strip_prefix('#').map_or("", |line| line.strip_prefix(' ').unwrap_or(line)));
        // What stands further in is TOML, but for commands of ours.
        let is_settings = |line: &&str| line.starts_with("  ") && !line.trim_start().starts_with("cohortd ");
        let comments: Vec<&str> = comments.map(|line| if is_settings(&line) { "" } else { line }).collect();
        of_page(file, &comments.join("\n"))
    });
    of_pages.chain(of_comments).collect()
}

/// The lines of indented blocks, those after `$ ` in fenced ones, and phrases in backticks that begin with a program.
fn of_page(file: &str, text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut add = |line: usize, text: &str| {
        let text = without_comment(text);
        found.push(Shown {
            place: format!("{file}:{line}"),
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    };
    let (mut fenced, mut goes_on) = (false, String::new());
    let mut prose: Vec<(usize, &str)> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line)) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            if let Some(command) = line.strip_prefix("$ ") {
                add(number, command);
            }
        } else if let Some(command) = line.strip_prefix("    ") {
            match command.strip_suffix('\\') {
                Some(part) => goes_on.push_str(&format!("{} ", part.trim())),
                None if command.starts_with('{') => {}
                None => {
                    let command = if goes_on.is_empty() { command } else { command.trim_start() };
                    add(number, &format!("{goes_on}{command}"));
                    goes_on.clear();
                }
            }
        } else {
            prose.push((number, line));
        }
    }
    // A phrase may begin on one line and end on the next.
    let (mut open, mut phrase, mut begun) = (false, String::new(), 0);
    for (number, line) in prose {
        if line.is_empty() {
            assert!(!open, "{file}:{begun}: a backtick is not closed");
        }
        for (place, part) in line.split('`').enumerate() {
            if place > 0 {
                if open && is_command(&phrase) {
                    add(begun, &phrase);
                }
                (open, begun) = (!open, number);
                phrase.clear();
            }
            phrase.push_str(part);
        }
        phrase.push(' ');
    }
    found
}

/// What stands after a command at a distance, or after `#`, explains it.
fn without_comment(line: &str) -> &str {
    let end = [line.find("   "), line.find(" # ")].into_iter().flatten().min();
    end.map_or(line, |end| &line[..end])
}

fn is_command(phrase: &str) -> bool {
    let mut words = phrase.split_whitespace().skip_while(|word| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    });
    let Some(first) = words.next() else { return false };
    let rest: Vec<&str> = words.collect();
    let is_name = !first.starts_with('-') && first.chars().all(|c| c.is_ascii_lowercase() || "-.".contains(c));
    !rest.is_empty()
        && (PROGRAMS.contains(&first) || is_name && rest.iter().any(|word| word.starts_with("--") && word.len() > 2))
}

/// A folder with the files that the pages name, and this program in front of all others.
pub(crate) struct Sandbox {
    pub(crate) folder: TempDir,
    program: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let (folder, program) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = |from: PathBuf, to: &Path| std::os::unix::fs::symlink(from, to).unwrap();
        link(env!("CARGO_BIN_EXE_cohortd").into(), &program.path().join("cohortd"));
        for name in ["config", "tests"] {
            link(root().join(name), &folder.path().join(name));
        }
        let rules = fs::read_to_string(root().join("config/rules.toml")).unwrap();
        let rules = format!("{rules}\n[churn]\non = \"purchase\"\namount = \"purchase.amount\"\n");
        let shop = fs::read_to_string(root().join("tests/fixtures/cli/shop.jsonl")).unwrap();
        let events = shop + &buyers(40);
        let sandbox = Self { folder, program };
        for name in ["rules.toml", "my-rules.toml", "FILE"] {
            sandbox.write(name, rules.as_bytes());
        }
        sandbox.write("cohortd.toml", b"rules.file = \"rules.toml\"\n");
        for name in ["draft.toml", "DRAFT"] {
            sandbox.write(name, rules.replace("silent for 90 days", "silent for 60 days").as_bytes());
        }
        for name in ["events.jsonl", "EVENTS"] {
            sandbox.write(name, events.as_bytes());
        }
        let page = fs::read_to_string(root().join("docs/sources.md")).unwrap();
        let block = |kind: &str| page.split(kind).nth(1).unwrap().split("```").next().unwrap().trim_start().to_owned();
        sandbox.write("sources.toml", block("```toml example").as_bytes());
        sandbox.write("orders.jsonl", block("```json records").as_bytes());
        let mut packed =
            GzEncoder::new(File::create(sandbox.folder.path().join("events.jsonl.gz")).unwrap(), Compression::fast());
        packed.write_all(events.as_bytes()).unwrap();
        packed.finish().unwrap();
        sandbox
    }

    pub(crate) fn write(&self, name: &str, text: &[u8]) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Runs a command as a shell does, with numbers in place of `N` and `M` and the folder's own files in place of installed
    /// ones: its exit code and its output.
    pub(crate) fn run(&self, text: &str) -> (Option<i32>, String) {
        let filled = |word| match word {
            "N" => "1000",
            "M" => "10",
            word => word,
        };
        let text = text.replace("/etc/cohortd/", "").split(' ').map(filled).collect::<Vec<_>>().join(" ");
        let path = format!("{}:{}", self.program.path().display(), std::env::var_os("PATH").unwrap().display());
        let output = Command::new("sh")
            .args(["-c", &text])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

#[test]
fn of_every_command_that_is_shown_it_is_known_how_it_is_checked() {
    let (shown, tests) = (shown(), faults_table::tests());
    assert!(shown.len() > 80, "only {} were found", shown.len());
    let unknown: Vec<String> = (shown.iter().filter(|command| command.how().is_none()))
        .map(|command| format!("{}: {}", command.place, command.text))
        .collect();
    assert!(unknown.is_empty(), "run these, or say in ELSEWHERE how they are checked:\n{}", unknown.join("\n"));
    for (entry, how) in ELSEWHERE {
        let start = entry.trim_end_matches("...");
        assert!(shown.iter().any(|command| command.text.starts_with(start)), "nobody is shown `{entry}` any more");
        if let How::Test(name) = how {
            assert!(tests.contains(name), "`{entry}`: there is no test {name}");
        }
    }
}

#[test]
fn what_needs_only_files_runs_as_it_is_shown() {
    let (_limit, sandbox) = (Limit::start(), Sandbox::new());
    let mut wrong = Vec::new();
    let mut run = 0;
    for command in shown().into_iter().filter(|command| command.how() == Some(How::Here)) {
        let Shown { place, text } = &command;
        let named = text.split(' ').count() == 2 && !text.contains("--");
        let (code, printed) = sandbox.run(&match command.option() {
            Some((command, option)) => format!("cohortd {command} --help | grep -e {option}"),
            None if named => format!("{text} --help"),
            None => text.clone(),
        });
        if code != Some(0) {
            wrong.push(format!("{place}: {text}\n  ended with {code:?}: {printed}"));
        }
        run += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run > 25, "only {run} were run");
}

#[test]
fn what_is_shown_of_make_is_in_the_makefile() {
    for Shown { place, text } in shown().into_iter().filter(|command| command.how() == Some(How::Make)) {
        let asked = text.replacen("make ", "make -n ", 1);
        let output = Command::new("sh").args(["-c", &asked]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{place}: {text}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn commands_are_found_wherever_they_stand() {
    let page = "Say `cohortd check\n--rules FILE` or `make`.\n\n    curl -s \\\n      http://h/ # hears\n\n```text\n$ make x\n```\n\
                `rpk topic list --all` and `A=1 cargo test`, not `did e --`, `x = 1` or `kafka.options`\n";
    let found: Vec<(String, String)> = of_page("p", page).into_iter().map(|found| (found.place, found.text)).collect();
    let expected = [
        ("p:5", "curl -s http://h/"),
        ("p:8", "make x"),
        ("p:1", "cohortd check --rules FILE"),
        ("p:10", "rpk topic list --all"),
        ("p:10", "A=1 cargo test"),
    ];
    assert_eq!(found, expected.map(|(place, text)| (place.to_owned(), text.to_owned())));
}
