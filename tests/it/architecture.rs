//! Which module may use which. The table is the architecture: change it on purpose, and say why in the same commit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One module of the crate: a file or a folder in `src/`.
struct Module {
    name: &'static str,
    /// Modules that it may import. They are all above it, so there are no cycles.
    imports: &'static [&'static str],
    /// External crates that it alone may use.
    crates: &'static [&'static str],
}

const fn module(name: &'static str, imports: &'static [&'static str], crates: &'static [&'static str]) -> Module {
    Module { name, imports, crates }
}

/// In reading order.
const MODULES: &[Module] = &[
    module("event", &[], &[]),
    module("calendar", &["event"], &[]),
    module("bytes", &["event"], &[]),
    // A hint to the processor.
    module("prefetch", &[], &[]),
    // Numbers in, numbers out. Its functions must not be the platform's, which differ in the last digit.
    module("churn", &[], &["libm"]),
    // A kind of fact is one file, its bytes included.
    module("fact", &["event", "calendar", "bytes", "prefetch", "churn"], &[]),
    module("rules", &["event", "calendar", "fact"], &[]),
    // The bytes of a customer's state are what a customer takes in memory, too.
    module("engine", &["event", "calendar", "bytes", "prefetch", "churn", "fact", "rules"], &[]),
    // It counts positions in the rankings of the rules, and predictions of the churn models.
    module("summary", &["event", "calendar", "rules", "churn", "engine"], &[]),
    module("settings", &["event"], &["config"]),
    module("clock", &["event"], &[]),
    // Pauses between retries.
    module("backoff", &[], &["fastrand"]),
    // Certificates in files, for servers and clients.
    module("tls", &[], &["tokio_rustls"]),
    module("codec", &["event", "settings", "backoff", "tls"], &["apache_avro", "bzip2", "liblzma", "snap", "ureq"]),
    // Errors in a sources file are shown as those of a rules file.
    module("sources", &["event", "rules", "codec"], &[]),
    // What records hold before any rule or mapping; values and times are read as sources read them.
    module("audit", &["event", "rules", "codec", "sources"], &[]),
    // A state's bytes follow the facts that the rules ask for, so reading one takes the rules.
    module(
        "store",
        &["event", "calendar", "bytes", "churn", "fact", "rules", "engine", "summary", "settings"],
        &["rocksdb"],
    ),
    // Customers between memory and the database: the lane does it with Kafka, the engine's benchmark without. Rules are
    // loaded in its tests.
    module("residents", &["event", "rules", "engine", "store"], &[]),
    module("kafka", &["prefetch", "settings"], &["rdkafka", "rdkafka_sys"]),
    module("metrics", &["event"], &["prometheus"]),
    // What loops that read in a consumer group and write in transactions have in common.
    module("member", &["event", "settings", "clock", "backoff", "codec", "kafka", "metrics"], &[]),
    // How far sources are gathered: `gather` writes it, lanes follow it.
    module("marks", &["event", "settings", "kafka"], &[]),
    module(
        "gather",
        &["event", "settings", "clock", "backoff", "codec", "sources", "kafka", "metrics", "member", "marks"],
        &[],
    ),
    // Between HTTP and the lanes, so that neither imports the other. Kafka's partitioner decides a customer's
    // partition.
    module("inquiry", &["event", "rules", "engine", "summary", "kafka"], &[]),
    module(
        "lane",
        &[
            "event",
            "rules",
            "engine",
            "summary",
            "settings",
            "clock",
            "backoff",
            "codec",
            "store",
            "residents",
            "kafka",
            "metrics",
            "member",
            "marks",
            "inquiry",
        ],
        &[],
    ),
    module(
        "admin",
        &["rules", "settings", "tls", "metrics", "inquiry"],
        &["axum", "hyper", "hyper_util", "ring", "subtle"],
    ),
    module("telemetry", &["settings"], &["tracing_subscriber"]),
    module("shutdown", &[], &[]),
    module(
        "app",
        &[
            "event",
            "calendar",
            "fact",
            "rules",
            "churn",
            "engine",
            "summary",
            "settings",
            "clock",
            "backoff",
            "codec",
            "sources",
            "store",
            "kafka",
            "metrics",
            "member",
            "marks",
            "gather",
            "inquiry",
            "lane",
            "admin",
            "telemetry",
            "shutdown",
        ],
        &[],
    ),
    module(
        "cli",
        &[
            "event",
            "calendar",
            "fact",
            "rules",
            "churn",
            "engine",
            "summary",
            "settings",
            "clock",
            "codec",
            "sources",
            "audit",
            "store",
            "kafka",
            "metrics",
            "member",
            // `sources try` maps records of topics as gathering does.
            "gather",
            "inquiry",
            "lane",
            "admin",
            "telemetry",
            "shutdown",
            "app",
        ],
        &["clap", "indicatif"],
    ),
];

/// Modules whose result is a function of their arguments, so that replay, rebuild and test decide alike.
const PURE: &[&str] =
    &["event", "calendar", "bytes", "prefetch", "churn", "fact", "rules", "engine", "summary", "audit"];

/// What would make a result depend on something else: threads, clocks, the environment, and the random order in which
/// the standard library's maps are walked.
const IMPURE: &[&str] = &[
    "tokio",
    "tracing",
    "prometheus",
    "SystemTime",
    "std::time::Instant",
    "std::env",
    "std::net",
    "std::thread",
    "HashMap",
    "HashSet",
    "RandomState",
];

/// The files that tie the modules together, and are none themselves.
const NOT_MODULES: &[&str] = &["lib.rs", "main.rs"];

#[test]
fn modules_import_only_those_that_the_table_allows() {
    let mut broken = Vec::new();
    for module in MODULES {
        for source in sources(module.name) {
            for other in modules_named(&source) {
                if other != module.name && !module.imports.contains(&other) {
                    broken.push(format!("{}: {} may not import {other}", source.path, module.name));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn an_external_crate_is_used_by_one_module() {
    let mut broken = Vec::new();
    for module in MODULES {
        let sources = sources(module.name);
        for owner in MODULES.iter().filter(|owner| owner.name != module.name) {
            // A submodule with the crate's name is what the name means there.
            let foreign = |name: &&&str| !sources.iter().any(|source| source.path.ends_with(&format!("/{name}.rs")));
            for name in owner.crates.iter().filter(foreign) {
                for source in sources.iter().filter(|source| names_crate(&source.code, name)) {
                    broken.push(format!("{}: only {} may name {name}", source.path, owner.name));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Files that name each other in a circle, and why that is right: none does.
const CIRCLES: &[(&str, &str)] = &[];

/// Within a module no folder names one that names it back, and no file does, so that each can be read before those that
/// use it.
#[test]
fn no_files_or_folders_of_a_module_import_each_other_in_a_circle() {
    let mut broken = Vec::new();
    for Module { name: module, .. } in MODULES.iter().filter(|module| src().join(module.name).is_dir()) {
        let files = imports_within(module);
        let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, named) in &files {
            let (of, others) = (folder(file), named.iter().map(|name| folder(name)));
            folders.entry(of.clone()).or_default().extend(others.filter(|other| *other != of));
        }
        folders.remove("");
        broken.extend(circle(&files).map(|circle| format!("{module}: {circle}")));
        broken.extend(circle(&folders).map(|circle| format!("{module}, folders: {circle}")));
    }
    broken.retain(|circle| !CIRCLES.iter().any(|(known, _)| circle.contains(known)));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A file's folder within its module; empty: it lies in none.
fn folder(file: &str) -> String {
    file.split_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

/// Which files of a module each of them imports from. A folder's own file stands for what it hands on: only those that
/// name it are followed, not what it names.
fn imports_within(module: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = src().join(module);
    let name_of = |path: &str| {
        let path = path.trim_start_matches("src/").trim_start_matches(module).trim_start_matches('/');
        path.trim_end_matches(".rs").trim_end_matches("/mod").to_owned()
    };
    let mut files = BTreeMap::new();
    for source in sources(module).iter().filter(|source| !source.path.ends_with("tests.rs")) {
        let code = source.code.split("#[cfg(test)]").next().unwrap_or_default();
        let own = name_of(&source.path);
        if source.path.ends_with("/mod.rs") && is_table_of_contents(code) {
            continue;
        }
        let here: Vec<&str> = source.path.trim_start_matches("src/").split('/').collect();
        let mut named = BTreeSet::new();
        for path in paths_named(code, &here) {
            // The longest part of the path that is a file.
            let parts: Vec<&str> = path.split("::").collect();
            let found = (1..=parts.len()).rev().find_map(|length| {
                let candidate = parts[..length].join("/");
                let is_file =
                    root.join(format!("{candidate}.rs")).exists() || root.join(&candidate).join("mod.rs").exists();
                is_file.then_some(candidate)
            });
            named.extend(found.filter(|found| *found != own));
        }
        files.insert(own, named);
    }
    files
}

/// Has a file nothing but modules, and what it hands on of them?
fn is_table_of_contents(code: &str) -> bool {
    !["fn ", "struct ", "enum ", "impl "].iter().any(|item| code.contains(item))
}

/// The paths below a module that a file names by `use`, without the module.
fn paths_named(code: &str, here: &[&str]) -> Vec<String> {
    let module = here[0];
    let is_own_folder = here.last() == Some(&"mod.rs");
    let folder: Vec<&str> = here[1..here.len() - 1].to_vec();
    let mut found = Vec::new();
    for statement in code.split(';').filter_map(|part| part.rsplit_once("use ").map(|(_, path)| path.trim())) {
        let (prefix, tail) = match statement.split_once("::{") {
            Some((prefix, tail)) => (prefix, Some(tail)),
            None => (statement, None),
        };
        let base = if let Some(rest) = prefix.strip_prefix("crate::").and_then(|rest| rest.strip_prefix(module)) {
            rest.trim_start_matches("::").to_owned()
        } else if prefix.starts_with("super") {
            let ups = prefix.split("::").take_while(|part| *part == "super").count();
            let rest: Vec<&str> = prefix.split("::").skip(ups).collect();
            let depth = folder.len() + 1 - usize::from(is_own_folder);
            let Some(kept) = depth.checked_sub(ups) else { continue };
            folder[..kept.min(folder.len())].iter().copied().chain(rest).collect::<Vec<_>>().join("::")
        } else {
            continue;
        };
        match tail {
            None => found.push(base),
            Some(tail) => {
                let with = |item: &str| if base.is_empty() { item.to_owned() } else { format!("{base}::{item}") };
                found.extend(items(tail).into_iter().map(with));
            }
        }
    }
    found
}

/// One circle among what names what, as a line; `None`: there is none.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    fn visit<'g>(
        node: &'g str,
        graph: &'g BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<&'g str>,
        done: &mut BTreeSet<&'g str>,
    ) -> Option<String> {
        if let Some(start) = path.iter().position(|seen| *seen == node) {
            return Some(path[start..].iter().chain([&node]).copied().collect::<Vec<_>>().join(" -> "));
        }
        if done.contains(node) {
            return None;
        }
        path.push(node);
        let found = graph.get(node).into_iter().flatten().find_map(|next| visit(next, graph, path, done));
        path.pop();
        done.insert(node);
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|node| visit(node, graph, &mut Vec::new(), &mut done))
}

#[test]
fn the_reader_of_imports_sees_what_it_should() {
    let here = ["engine", "decide", "engine.rs"];
    let named = |code: &str| paths_named(code, &here);
    assert_eq!(named("use super::context::Context;"), ["context::Context"].map(|path| format!("decide::{path}")));
    assert_eq!(named("use crate::engine::customer::{A, B};"), ["customer::A", "customer::B"]);
    assert_eq!(named("use super::super::model::Model;"), ["model::Model"]);
    assert_eq!(named("use crate::event::Instant;"), [""; 0]);
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).into()).or_default().insert((*to).into());
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])).as_deref(), Some("b -> c -> b"));
}

#[test]
fn the_core_is_a_function_of_its_inputs() {
    let mut broken = Vec::new();
    for source in PURE.iter().flat_map(|module| sources(module)) {
        for impure in IMPURE.iter().filter(|impure| positions(&source.code, impure).next().is_some()) {
            broken.push(format!("{}: names {impure}, on which a decision must not depend", source.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// How `Hash` of a tuple or an `Option` writes its bytes is the standard library's own affair, and may differ with a machine:
/// what is stored, or counts between processes, is hashed from bytes that are written out.
#[test]
fn nothing_is_hashed_as_the_standard_library_would_have_it() {
    let mut broken = Vec::new();
    for module in MODULES {
        let sources = sources(module.name).into_iter();
        broken.extend(sources.filter(|source| source.code.contains(".hash(&mut")).map(|source| source.path));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_and_folder_of_the_source_is_in_the_table() {
    let missing: Vec<String> = fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !NOT_MODULES.contains(&name.as_str()))
        .filter(|name| !MODULES.iter().any(|module| module.name == name.trim_end_matches(".rs")))
        .collect();
    assert!(missing.is_empty(), "not in the table of modules: {}", missing.join(", "));
}

#[test]
fn the_table_is_in_reading_order_so_nothing_names_what_comes_after_it() {
    for (position, module) in MODULES.iter().enumerate() {
        for name in module.imports {
            assert!(MODULES[..position].iter().any(|above| above.name == *name), "{} names {name}", module.name);
        }
    }
}

/// One that is declared and never set shows 0, which is taken for a fact.
#[test]
fn every_metric_that_is_declared_is_set_by_another_module() {
    let others = MODULES.iter().filter(|module| module.name != "metrics").flat_map(|module| sources(module.name));
    let others: String = others.map(|source| source.code).collect();
    let kinds = ["IntCounter,", "IntGauge,", "Gauge,", "Histogram,", "Share,"];
    let (mut declared, mut never) = (0, Vec::new());
    for source in sources("metrics").iter().filter(|source| !source.path.ends_with("tests.rs")) {
        for line in source.code.lines() {
            let Some(public) = line.trim_start().strip_prefix("pub ") else { continue };
            let field = public.split_once(": ").filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| name);
            let method = public.strip_prefix("fn ").and_then(|rest| {
                let (name, parameters) = rest.split_once('(')?;
                (parameters.starts_with("&self") || parameters.starts_with("&mut self")).then_some(name)
            });
            for name in field.into_iter().chain(method) {
                let name = name.split('<').next().unwrap_or(name);
                declared += 1;
                if !positions(&others, name).any(|at| others[..at].ends_with('.')) {
                    never.push(format!("{}: nobody outside sets {name}", source.path));
                }
            }
        }
    }
    assert!(declared > 50, "{declared}: the reader of sources sees too little");
    assert!(never.is_empty(), "{}", never.join("\n"));
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    let source = |code: &str| Source { path: "src/x.rs".into(), code: without_comments(code), is_root: true };
    assert_eq!(modules_named(&source("use crate::event::Instant;")), ["event"]);
    assert_eq!(modules_named(&source("use crate::{\n    event::{Instant, Span},\n    store,\n};")), ["event", "store"]);
    assert_eq!(modules_named(&source("fn f(s: &super::settings::Kafka) {}")), ["settings"]);
    assert_eq!(modules_named(&source("/// See [`crate::lane`].\nuse crate::events_of_ours; // crate::lane")), [""; 0]);
    assert!(names_crate("use config::Value;", "config"));
    assert!(names_crate("let value = ::config::Value::new();", "config"));
    assert!(names_crate("use prometheus as p;", "prometheus"));
    assert!(!names_crate("use super::config::Value; let my_config::X = config;", "config"));
    assert_eq!(positions("FxHashMap::default()", "HashMap").count(), 0);
    assert_eq!(positions("std::collections::HashMap", "HashMap").count(), 1);
}

/// One file, without comments: documentation may mention anything.
struct Source {
    path: String,
    code: String,
    /// The module's own file, in which `super` is the crate.
    is_root: bool,
}

/// All files of a module; none when it is not built yet.
fn sources(module: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut paths = vec![src().join(format!("{module}.rs")), src().join(module)];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            let is_root = path == src().join(format!("{module}.rs")) || path == src().join(module).join("mod.rs");
            let code = without_comments(&fs::read_to_string(&path).unwrap());
            let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display().to_string();
            found.push(Source { path, code, is_root });
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn without_comments(text: &str) -> String {
    let code = |line: &'_ str| match line.find("//") {
        // `//` within a string follows a colon, as in an address.
        Some(at) if !line[..at].ends_with(':') => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// The modules that a file names, by `crate::module`, `crate::{module, …}` or, in the module's own file, `super::module`.
fn modules_named(source: &Source) -> Vec<&'static str> {
    let mut paths = Vec::new();
    for prefix in if source.is_root { &["crate::", "super::"][..] } else { &["crate::"][..] } {
        for (at, _) in source.code.match_indices(prefix) {
            let after = &source.code[at + prefix.len()..];
            match after.strip_prefix('{') {
                Some(group) => paths.extend(items(group)),
                None => paths.push(after),
            }
        }
    }
    MODULES
        .iter()
        .map(|module| module.name)
        .filter(|module| paths.iter().any(|path| first_name(path) == *module))
        .collect()
}

/// The items of a braced import, given what follows its opening brace.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                items.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    items
}

fn first_name(path: &str) -> &str {
    path.split(|c| !is_name(c)).next().unwrap_or_default()
}

/// Is `foreign` named as a crate: at the start of a path, or alone in a `use`?
fn names_crate(code: &str, foreign: &str) -> bool {
    positions(code, foreign).any(|at| {
        let before = code[..at].trim_end();
        let within_a_path = before.ends_with("::") && first_path_of(before);
        let after = code[at + foreign.len()..].trim_start();
        let imported = before.ends_with("use") && (after.starts_with(';') || after.starts_with("as "));
        !within_a_path && (after.starts_with("::") || imported)
    })
}

/// Does a name stand before the `::` at the end, so that what follows is no crate?
fn first_path_of(before: &str) -> bool {
    before.trim_end_matches(':').ends_with(|c| is_name(c) || c == '>')
}

/// Where `word` stands by itself, not as a part of a longer name.
fn positions<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(|at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
