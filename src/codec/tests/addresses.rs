//! Several addresses, tokens, redirects and proxies.

use std::net::TcpListener;

use serde_json::json;

use super::stub::{Stub, event_schema, registry};
use crate::codec::{Access, Registry, RegistryError};

#[test]
fn the_next_address_is_asked_at_once_and_kept_to_while_it_answers() {
    let [one, two] = [(); 2].map(|()| Stub::start());
    for stub in [&one, &two] {
        stub.answer("/schemas/ids/7", 200, &event_schema());
    }
    let gone = Stub::start().address;
    let registry = registry(&format!("http://{gone}, http://u:p@{},http://{}", one.address, two.address));
    let asked = |stub: &Stub, by: &dyn Fn()| {
        let before = stub.requests();
        by();
        stub.requests() - before
    };
    let ask = || assert!(registry.schema(7).is_ok() && registry.answers());
    assert_eq!(asked(&one, &ask), 1, "the first is gone");
    assert_eq!(asked(&two, &|| drop((0..3).map(|_| ask()).collect::<Vec<_>>())), 0);
    one.page("/schemas/ids/7", 503, "");
    assert_eq!(asked(&two, &ask), 1, "what fails is passed over");
    assert!(!two.state.last.lock().unwrap().to_lowercase().contains("authorization"), "whose credentials are whose");
    assert_eq!(asked(&one, &ask), 0, "and the one that answers is kept to");
    // Who is asked for credentials gets the same from everybody.
    two.answer("/schemas/ids/7", 401, &json!({"message": "who are you?"}));
    one.answer("/schemas/ids/7", 200, &event_schema());
    let error = registry.schema(7).unwrap_err();
    assert!(matches!(&error, RegistryError::Denied(text) if text.contains("who are you?")), "{error}");
    assert!(error.to_string().contains("requests without credentials"), "{error}");
    // All of them are named where none answers.
    let places = [gone, one.address, two.address];
    drop((one, two));
    let error = registry.schema(7).unwrap_err().to_string();
    assert!(places.iter().all(|place| error.contains(&format!("http://{place}/schemas/ids/7: "))), "{error}");
    assert!(!error.contains("u:p"), "{error}");
}

#[test]
fn a_token_is_shown_as_a_bearer_and_named_when_it_is_refused() {
    let stub = Stub::start();
    stub.answer("/schemas/ids/7", 200, &event_schema());
    let access = Access { token: Some("hunter2"), ..Access::default() };
    let registry = Registry::new(&format!("http://{}", stub.address), access).unwrap();
    assert!(registry.schema(7).is_ok());
    assert!(stub.state.last.lock().unwrap().contains("authorization: Bearer hunter2\r\n"));
    stub.page("/schemas/ids/7", 403, "");
    let error = registry.schema(7).unwrap_err().to_string();
    assert!(error.starts_with("the schema registry refuses the token in schemas.token: HTTP 403"), "{error}");
    for token in ["", "two words", "a\nb", "é"] {
        let error = Registry::new("http://r", Access { token: Some(token), ..Access::default() }).unwrap_err();
        assert!(error.key == "schemas.token" && !error.problem.contains("two"), "{error}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_says_where_it_points() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let place = elsewhere.local_addr().unwrap();
    for status in [301, 302, 303, 307, 308] {
        let stub = Stub::start();
        *stub.state.location.lock().unwrap() = Some(format!("http://{place}/schemas/ids/7?state=secret"));
        stub.page("/schemas/ids/7", status, "");
        stub.page("/subjects/s/versions", status, "");
        let registry = stub.registry();
        for error in [registry.schema(7).map(drop), registry.register("s", "\"int\"").map(drop)] {
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains(&format!("HTTP {status}")) && error.contains(&format!("http://{place}/schemas/ids/7")),
                "{error}"
            );
            assert!(error.contains("is not followed") && !error.contains("secret"), "{error}");
        }
        assert!(matches!(registry.schema(7), Err(RegistryError::Foreign(_))));
        // Nor on the same host, where the path may be another's.
        *stub.state.location.lock().unwrap() = Some("/login".into());
        assert!(registry.schema(7).unwrap_err().to_string().contains("points to /login"));
    }
    assert!(elsewhere.accept().is_err(), "nobody came");
}

#[test]
fn a_proxy_is_one_by_http_and_nothing_else() {
    for proxy in
        ["proxy:3128", "https://proxy:3128", "socks5://proxy", "http://proxy:3128/path", "http://u:p@ss@proxy", ""]
    {
        let error = Registry::new("http://r", Access { proxy: Some(proxy), ..Access::default() }).unwrap_err();
        assert!(error.key == "schemas.proxy" && !error.problem.contains("p@ss"), "{error}");
    }
    assert!(Registry::new("http://r", Access { proxy: Some("http://u:p@proxy:3128/"), ..Access::default() }).is_ok());
}
