//! Certificates for tests, made by openssl.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says why it is skipped"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Says so where there is no openssl.
pub(crate) fn is_without_openssl() -> bool {
    let is_without = Command::new("openssl").arg("version").output().is_err();
    if is_without {
        println!("skipped: there is no openssl");
    }
    is_without
}

/// A CA, and what it signs: `server` for `127.0.0.1`, `client` named `cohortd`.
pub(crate) fn certificates(folder: &Path) {
    let openssl = |words: &[&str]| {
        let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-x509"];
    openssl(&[&["req"][..], &key, &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"]].concat());
    fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for (name, subject) in [("server", "/CN=127.0.0.1"), ("client", "/CN=cohortd")] {
        let [key_file, request, certificate, extensions] =
            ["key", "csr", "pem", "ext"].map(|kind| format!("{name}.{kind}"));
        let made = ["-keyout", &key_file, "-out", &request, "-subj", subject];
        openssl(&[&["req"][..], &key[..5], &made].concat());
        let signed = ["-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
        openssl(&[&["x509", "-req"][..], &signed, &["-extfile", &extensions, "-out", &certificate]].concat());
    }
    let both = ["server.key", "server.pem"].map(|file| fs::read_to_string(folder.join(file)).unwrap()).concat();
    fs::write(folder.join("server.both.pem"), both).unwrap();
}
