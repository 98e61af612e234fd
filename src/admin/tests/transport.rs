//! Unix sockets and TLS.

use super::*;

#[test]
fn a_unix_socket_is_this_users_alone_and_a_stale_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let admin = Admin { listen: Listen::Unix(path.clone()), ..Admin::local() };
    // Left by a process that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let fixture = fixture_with(&admin);
    assert_eq!(fixture.admin, format!("unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |path: &Path| {
        let stream = UnixStream::connect(path).unwrap();
        exchange(stream, &request("GET", "/", &["Host: anything"], "")).unwrap()
    };
    assert_eq!(status_of(&ask(&path)), 200);
    let (key, error) = refused("127.0.0.1:0", &admin);
    assert!(key == "admin.listen" && error.contains("a process listens there"), "{error}");
    assert_eq!(status_of(&ask(&path)), 200, "it was left alone");
    let Fixture { runtime, close, serving, .. } = fixture;
    close.send(()).unwrap();
    runtime.block_on(serving).unwrap();
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    let (_, error) = refused("127.0.0.1:0", &admin);
    assert!(error.contains("not a socket") && fs::read_to_string(&path).unwrap() == "precious", "{error}");
}

#[test]
fn tls_has_the_certificate_of_its_file_also_when_that_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let admin = certificate(folder.path(), "one.example");
    let fixture = fixture_with(&admin);
    let trusted = admin.tls_certificate_file.clone().unwrap();
    assert_eq!(status_of(&ask_by_tls(&fixture.admin, &trusted, "one.example").unwrap()), 200);
    assert!(ask_by_tls(&fixture.admin, &trusted, "two.example").is_err());
    // A client without TLS gets no answer.
    let plain = exchange(connect(&fixture.admin), &request("GET", "/", &["Host: localhost"], "")).unwrap_or_default();
    assert!(!plain.contains("HTTP/"), "{plain}");
    // Half a renewal: the certificate that fits no key is not taken, and the one before stays.
    let old = fs::read(&trusted).unwrap();
    fs::write(folder.path().join("old.pem"), &old).unwrap();
    let key = admin.tls_key_file.as_ref().unwrap();
    let replace = |with: &[u8]| {
        let beside = folder.path().join("beside");
        fs::write(&beside, with).unwrap();
        fs::rename(&beside, key).unwrap();
    };
    let old_key = fs::read(key).unwrap();
    certificate(folder.path(), "two.example");
    let new_key = fs::read(key).unwrap();
    replace(&old_key);
    let answer = ask_by_tls(&fixture.admin, &folder.path().join("old.pem"), "one.example").unwrap();
    assert_eq!(status_of(&answer), 200);
    replace(&new_key);
    assert_eq!(status_of(&ask_by_tls(&fixture.admin, &trusted, "two.example").unwrap()), 200);
    assert!(ask_by_tls(&fixture.admin, &folder.path().join("old.pem"), "one.example").is_err());
}

#[test]
fn a_header_or_a_handshake_that_does_not_come_to_its_end_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixture_with(&certificate(folder.path(), "one.example"));
    let half = connect(&fixture.metrics.to_string());
    (&half).write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").unwrap();
    let [silent, no_handshake] = [fixture.metrics.to_string(), fixture.admin.clone()].map(|address| connect(&address));
    [half, silent, no_handshake].into_iter().for_each(closes);
    // Longer headers than anybody needs are refused; what was not read of them may make the system drop the answer.
    let long = format!("X: {}", "x".repeat(20 << 10));
    let request = request("GET", "/health/live", &["Host: x", &long], "");
    let answer = exchange(connect(&fixture.metrics.to_string()), &request).unwrap_or_default();
    assert!(answer.is_empty() || status_of(&answer) == 431, "{answer}");
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let admin = certificate(folder.path(), "one.example");
    let other = tempfile::tempdir().unwrap();
    let strange = Admin { tls_key_file: certificate(other.path(), "two.example").tls_key_file, ..admin.clone() };
    let (key, error) = refused("127.0.0.1:0", &strange);
    assert!(key == "admin.tls_certificate_file" && error.contains("cannot be used together"), "{error}");
    let missing = Admin { tls_key_file: Some("/nowhere.key".into()), ..admin.clone() };
    let (key, error) = refused("127.0.0.1:0", &missing);
    assert!(key == "admin.tls_key_file" && error.contains("/nowhere.key cannot be read"), "{error}");
    let swapped = Admin { tls_certificate_file: admin.tls_key_file.clone(), ..admin };
    assert!(refused("127.0.0.1:0", &swapped).1.contains("holds no certificate"));
}
