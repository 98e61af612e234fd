//! Tokens, origins, and who is named in the log.

use super::*;

#[test]
fn every_request_needs_a_token_and_one_that_writes_the_token_for_it() {
    let (folder, admin) = with_tokens(Admin::local());
    let fixture = fixture_with(&admin);
    let ask = |method: &str, path: &str, headers: &[&str]| {
        let headers = [&["Host: localhost"], headers].concat();
        ask_with(&fixture.admin, method, path, &headers, "")
    };
    let paths = ["/", "/rules", "/cohorts", "/customers/c1", "/health/live", "/nowhere"];
    let twice = [bearer("r"), bearer("r")];
    for path in paths {
        let refused = ask("GET", path, &[]);
        assert_eq!(status_of(&refused), 401, "{path}");
        assert!(refused.to_lowercase().contains("\r\nwww-authenticate: bearer realm=\"cohortd\"\r\n"), "{refused}");
        for wrong in [&[&*bearer("x")][..], &["Authorization: Basic cjpy"], &[&twice[0], &twice[1]]] {
            let other = ask("GET", path, wrong);
            assert_eq!((status_of(&other), body_of(&other)), (401, body_of(&refused)), "all hear the same");
        }
        for right in [bearer("r"), bearer("w")] {
            assert_ne!(status_of(&ask("GET", path, &[&right])), 401, "{path}");
        }
    }
    // Whoever may read is let on to try rules, and not to put them in force; nor to what does not exist yet.
    for (letter, path, status) in [
        ("r", "/rules", 403),
        ("r", "/rules?dry_run=TRUE", 403),
        ("r", "/later", 403),
        ("r", "/rules?dry_run=true", 415),
        ("w", "/rules", 415),
    ] {
        assert_eq!(status_of(&ask("POST", path, &[&bearer(letter)])), status, "{letter} {path}");
    }
    // Metrics and probes have no tokens.
    assert_eq!(self::ask(fixture.metrics, "GET", "/health/live").0, 200);
    // Another token counts from the next request on, the one before no more.
    fs::write(folder.path().join("read"), "s".repeat(32)).unwrap();
    assert_eq!(status_of(&ask("GET", "/", &[&bearer("r")])), 401);
    assert_eq!(status_of(&ask("GET", "/", &[&bearer("s")])), 200);
}

#[test]
fn a_token_that_cannot_be_used_ends_the_start() {
    let (folder, admin) = with_tokens(Admin::local());
    fs::write(folder.path().join("write"), "short").unwrap();
    let (key, error) = refused("127.0.0.1:0", &admin);
    assert_eq!(key, "admin.write_token_file");
    assert!(error.contains("openssl rand -hex 32") && !error.contains("short"), "{error}");
}

#[test]
fn no_web_page_can_ask_the_loopback() {
    let fixture = fixture();
    let status = |method: &str, headers: &[&str]| status_of(&ask_with(&fixture.admin, method, "/rules", headers, ""));
    let own = format!("Host: {}", fixture.admin);
    for host in ["Host: localhost:9465", "Host: LOCALHOST", "Host: [::1]:9465", &own] {
        assert_eq!(status("GET", &[host]), 503, "{host}");
    }
    // A name that was made to point here.
    for host in [
        "Host: rebound.example:9465",
        "Host: rebound.example",
        "Host: 10.0.0.1",
        "Host: localhost.rebound.example",
        "Host: a b",
    ] {
        assert_eq!(status("GET", &[host]), 403, "{host}");
    }
    assert_eq!((status("GET", &[]), status("GET", &[&own, "Host: rebound.example"])), (400, 400));
    let target = "GET http://rebound.example/rules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&exchange(connect(&fixture.admin), target).unwrap()), 403);
    // A page of another site, for reads and for writes.
    for method in ["GET", "POST"] {
        for header in
            ["Origin: http://shop.example", "Origin: null", "Origin: http://localhost:1", "Sec-Fetch-Site: cross-site"]
        {
            assert_eq!(status(method, &[&own, header]), 403, "{method} {header}");
        }
    }
    assert_eq!(
        status("GET", &[&own, &format!("Origin: http://{}", fixture.admin), "Sec-Fetch-Site: same-origin"]),
        503
    );
    assert_eq!(status("POST", &[&own]), 415);
}

/// Keeps entries of the log, a line each.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut fields = Fields(event.metadata().target().to_owned());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn who_asks_for_a_customer_and_who_writes_stands_in_the_log_without_the_customer() {
    let (_folder, admin) = with_tokens(Admin::local());
    let log = Log::default();
    // Where there is but one subscriber, tracing asks whoever comes by a line first what is wanted there, which may be another
    // test's thread that wants nothing.
    let _another = tracing::Dispatch::new(Log::default());
    // All of the server runs on this thread, whose log this is.
    tracing::subscriber::with_default(log.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut fixture = fixture_on(runtime, &admin);
        drop(fixture.posts.take());
        let ask = |method: &str, path: &str, letter: &str, body: &str| {
            let headers = ["Host: localhost", &*bearer(letter), "Content-Type: application/toml"];
            let (address, text) = (fixture.admin.clone(), request(method, path, &headers, body));
            let asking = std::thread::spawn(move || status_of(&exchange(connect(&address), &text).unwrap()));
            fixture.runtime.block_on(async {
                while !asking.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            asking.join().unwrap()
        };
        assert_eq!(ask("GET", "/customers/c1", "r", ""), 503);
        assert_eq!(ask("GET", "/customers/c1/cohorts/vip", "w", ""), 503);
        assert_eq!(ask("GET", "/customers/c1", "x", ""), 401);
        assert_eq!(ask("POST", "/rules?dry_run=true", "r", "x"), 503);
        assert_eq!(ask("POST", "/rules", "w", "x"), 503);
    });
    let lines = log.0.lock().unwrap().clone();
    let audited: Vec<&String> = lines.iter().filter(|line| line.starts_with("cohortd::admin::audit ")).collect();
    assert_eq!(audited.len(), 4, "two reads; a write, before and after: {lines:?}");
    let has = |line: &str, words: &[&str]| words.iter().all(|word| line.contains(word));
    let customer = "customer_sha256=\"d0f631ca1ddba8db\"";
    let all = lines.join("\n");
    assert!(has(audited[0], &["read a customer", customer, "status=503", "\"admin.token_file", "127.0.0.1:"]), "{all}");
    assert!(has(audited[1], &["read a customer", customer, "admin.write_token_file"]), "{all}");
    assert!(has(audited[2], &["posts rules", "rules_sha256=\"2d711642b726b044\"", "admin.write_token_file"]), "{all}");
    assert!(has(audited[3], &["posted rules", "status=503"]), "{all}");
    assert!(has(&all, &["The admin API refused requests", "no token, or an unknown one"]), "{all}");
    for secret in ["c1", "rrr", "www", "xxx"] {
        assert!(!all.contains(secret), "{all}");
    }
}
