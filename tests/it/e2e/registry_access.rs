//! How a schema registry is accessed: TLS, credentials and proxy. No Kafka is needed.

use std::fs;
use std::path::Path;

use cohortd::codec::{Access, Registry, RegistryError};
use tempfile::TempDir;

use super::registry;
use crate::support::broker::free_ports;
use crate::support::certificates::{certificates, is_without_openssl};
use crate::support::fronts::{Clients, TlsFront, TunnelProxy};

/// A folder with certificates, unless there is no openssl.
pub(super) fn certified() -> Option<TempDir> {
    if is_without_openssl() {
        return None;
    }
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    Some(folder)
}

/// The registry of a stub behind TLS, and the id of a schema that it has.
pub(super) fn secured(folder: &Path, clients: Clients) -> (TlsFront, registry::Registry, u32) {
    let stub = registry::Registry::start();
    let id = stub.register("events-value", "\"string\"");
    let front = TlsFront::start(folder, clients, stub.address.trim_start_matches("http://"));
    (front, stub, id)
}

fn ask(address: &str, access: Access<'_>, id: u32) -> Result<(), RegistryError> {
    Registry::new(address, access).unwrap().schema(id).map(drop)
}

#[test]
fn a_registry_is_trusted_by_its_own_authority_alone() {
    let (Some(folder), Some(other)) = (certified(), certified()) else { return };
    let (front, _stub, id) = secured(folder.path(), Clients::Anybody);
    let by = |ca: Option<&Path>| ask(&front.address, Access { ca, ..Access::default() }, id);
    let of = |folder: &TempDir| folder.path().join("ca.pem");
    assert_eq!(by(Some(&of(&folder))), Ok(()));
    for ca in [None, Some(of(&other))] {
        let error = by(ca.as_deref()).unwrap_err();
        println!("{error}");
        assert!(matches!(&error, RegistryError::Untrusted(_)), "{error}");
        assert!(error.to_string().contains("schemas.ca") && error.to_string().contains(&front.address), "{error}");
    }
    // An address with an untrusted certificate is skipped if another address of the registry works.
    let (theirs, _stub, _) = secured(other.path(), Clients::Anybody);
    let both = format!("{},{}", theirs.address, front.address);
    assert_eq!(ask(&both, Access { ca: Some(&of(&folder)), ..Access::default() }, id), Ok(()));
}

#[test]
fn a_certificate_of_ones_own_is_shown_and_counts_when_it_is_renewed() {
    let (Some(folder), Some(other)) = (certified(), certified()) else { return };
    let (front, _stub, id) = secured(folder.path(), Clients::Certified);
    let own = TempDir::new().unwrap();
    let put = |from: &TempDir, names: &[&str]| {
        for name in names {
            fs::copy(from.path().join(name), own.path().join("beside")).unwrap();
            fs::rename(own.path().join("beside"), own.path().join(name)).unwrap();
        }
    };
    put(&other, &["client.pem", "client.key"]);
    put(&folder, &["ca.pem"]);
    let [ca, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(|name| own.path().join(name));
    let without = Access { ca: Some(&ca), ..Access::default() };
    let error = ask(&front.address, without, id).unwrap_err();
    println!("{error}");
    assert!(matches!(&error, RegistryError::Denied(text) if text.contains("schemas.certificate")), "{error}");
    let registry = Registry::new(&front.address, Access { identity: Some((&certificate, &key)), ..without }).unwrap();
    let error = registry.schema(id).unwrap_err();
    println!("{error}");
    assert!(
        matches!(&error, RegistryError::Denied(text) if text.contains("the certificate in schemas.certificate")),
        "{error}"
    );
    // Half a renewal is none: the pair before stays.
    put(&folder, &["client.pem"]);
    assert!(matches!(registry.schema(id), Err(RegistryError::Denied(_))));
    put(&folder, &["client.key"]);
    assert!(registry.schema(id).is_ok());
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_setting() {
    let (Some(folder), Some(other)) = (certified(), certified()) else { return };
    let file = |name: &str| folder.path().join(name);
    fs::write(file("empty.pem"), "").unwrap();
    fs::write(file("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let (certificate, key, strange) = (file("client.pem"), file("client.key"), other.path().join("client.key"));
    for (ca, identity, setting, words) in [
        (Some(file("nowhere.pem")), None, "schemas.ca", "cannot be read"),
        (Some(file("empty.pem")), None, "schemas.ca", "holds no certificate"),
        (Some(file("broken.pem")), None, "schemas.ca", "cannot be used"),
        (None, Some((&certificate, &strange)), "schemas.certificate", "cannot be used together"),
        (None, Some((&certificate, &certificate)), "schemas.key", "holds no private key"),
        (None, Some((&key, &key)), "schemas.certificate", "holds no certificate"),
    ] {
        let identity = identity.map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let access = Access { ca: ca.as_deref(), identity, ..Access::default() };
        let error = Registry::new("https://registry", access).unwrap_err();
        println!("{}: {error}", error.key);
        assert!(error.key == setting && error.problem.contains(words), "{}: {error}", error.key);
    }
}

#[test]
fn a_proxy_opens_a_tunnel_to_the_registry_and_sees_no_credentials_of_it() {
    let Some(folder) = certified() else { return };
    let (front, stub, id) = secured(folder.path(), Clients::Anybody);
    let proxy = TunnelProxy::start();
    let by_proxy = format!("http://through:hunter%32@{}", proxy.address);
    let ca = folder.path().join("ca.pem");
    let access = Access { ca: Some(&ca), token: Some("of-the-registry"), proxy: Some(&by_proxy), identity: None };
    for address in [&front.address, &stub.address] {
        assert_eq!(ask(address, access, id), Ok(()));
        let asked = proxy.asked().last().unwrap().to_lowercase();
        let place = address.rsplit('/').next().unwrap();
        assert!(asked.starts_with(&format!("connect {place} http/1.1")), "{asked}");
        assert!(
            asked.contains("proxy-authorization: basic dghyb3vnadpodw50zxiy") && !asked.contains("of-the"),
            "{asked}"
        );
        let request = stub.heads().last().unwrap().to_lowercase();
        assert!(request.contains("authorization: bearer of-the-registry"), "{request}");
        assert!(request.contains(&format!("host: {place}")) && !request.contains("proxy-"), "{request}");
    }
    assert_eq!(proxy.asked().len(), 2);
    // One that is gone is no reason to go without it.
    let [port] = free_ports();
    let gone = format!("http://127.0.0.1:{port}");
    let before = stub.asked();
    assert!(matches!(
        ask(&stub.address, Access { proxy: Some(&gone), ..access }, id),
        Err(RegistryError::Unreachable(_))
    ));
    assert_eq!(stub.asked(), before);
}
