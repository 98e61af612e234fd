//! A registry that is late, gone, or somebody else.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::references::reference;
use super::stub::{LONG, Stub, event_schema, registry, until};
use crate::codec::{Lookup, Output, Registry, RegistryError, SchemaCache, SchemaKey, Schemas, Standing, WriterSchema};
use crate::event::DeadLetterReason;

#[test]
fn a_schema_is_fetched_once_and_kept_when_the_registry_goes() {
    let stub = Stub::start();
    stub.answer("/schemas/ids/7", 200, &event_schema());
    let mut schemas = stub.schemas(LONG);
    assert!(matches!(schemas.lookup(SchemaKey::Id(7)), Lookup::Pending), "the first look does not wait");
    assert_eq!(until(&mut schemas, 7, &["ready"]), "ready");
    let mut of_another_lane = schemas.clone();
    assert_eq!(stub.requests(), 1);
    assert!(stub.state.last.lock().unwrap().contains("Basic dXNlcjpzZWNyZXQ="), "credentials are sent");
    drop(stub);
    assert_eq!(until(&mut schemas, 7, &["ready"]), "ready");
    assert_eq!(until(&mut of_another_lane, 7, &["ready"]), "ready");
}

#[test]
fn an_unreachable_registry_is_never_an_answer_and_is_asked_until_it_is_back() {
    let address = Stub::start().address.to_string();
    let registry = registry(&format!("http://user:secret@{address}"));
    let mut schemas = Schemas::built_in().with_registry(registry, Duration::ZERO, None).unwrap();
    assert!(!schemas.registry_answers(), "nothing is known of it yet");
    let answer = until(&mut schemas, 7, &["no answer", "not found"]);
    assert!(answer.starts_with("no answer") && !answer.contains("secret"), "{answer}");
    assert!(answer.contains(&format!("http://{address}/schemas/ids/7")), "{answer}");
    assert!(!schemas.registry_answers());
    let stub = Stub::on(&address);
    stub.answer("/schemas/ids/7", 200, &event_schema());
    assert_eq!(until(&mut schemas, 7, &["ready", "not found"]), "ready");
    assert!(schemas.registry_answers());
}

#[test]
fn what_is_no_answer_is_waited_out_and_says_why() {
    let stub = Stub::start();
    stub.page("/subjects", 404, "<html>");
    stub.answer("/schemas/ids/1", 401, &json!({}));
    stub.answer("/schemas/ids/2", 403, &json!({"error_code": 40301, "message": "not for you"}));
    stub.answer("/schemas/ids/3", 429, &json!({}));
    stub.answer("/schemas/ids/4", 500, &json!({"error_code": 50001, "message": "store"}));
    stub.page("/schemas/ids/5", 503, "<html>");
    stub.answer("/schemas/ids/6", 404, &json!({"error_code": 404, "message": "HTTP 404 Not Found"}));
    stub.answer("/schemas/ids/7", 200, &json!({"welcome": true}));
    stub.page("/schemas/ids/8", 418, "tea");
    let denied = "the schema registry refuses the credentials in schemas.registry: HTTP";
    let silent = "the schema registry does not answer: HTTP";
    let foreign = "no schema registry answers at this address: HTTP";
    for (id, expected) in [
        (1, format!("{denied} 401 from http://{}/schemas/ids/1: Unauthorized", stub.address)),
        (2, format!("{denied} 403 from http://{}/schemas/ids/2: not for you", stub.address)),
        (3, format!("{silent} 429 from http://{}/schemas/ids/3: Too Many Requests", stub.address)),
        (4, format!("{silent} 500 from http://{}/schemas/ids/4: store", stub.address)),
        (5, format!("{silent} 503 from http://{}/schemas/ids/5: Service Unavailable", stub.address)),
        (6, format!("{foreign} 404 from http://{}/schemas/ids/6: HTTP 404 Not Found", stub.address)),
        (7, format!("{foreign} 200 from http://{}/schemas/ids/7: OK", stub.address)),
        (8, format!("{foreign} 418 from http://{}/schemas/ids/8: I'm a teapot", stub.address)),
    ] {
        let mut schemas = stub.schemas(Duration::ZERO);
        let answer = until(&mut schemas, id, &["no answer", "not found", "unusable", "ready"]);
        assert_eq!(answer, format!("no answer {expected}"));
    }
}

#[test]
fn a_registry_that_answers_other_questions_means_it_when_it_does_not_take_an_id() {
    let stub = Stub::start();
    stub.answer("/subjects", 200, &json!(["a-value"]));
    stub.answer("/schemas/ids/1", 404, &json!({"error_code": 404, "message": "HTTP 404 Not Found"}));
    stub.page("/schemas/ids/2", 404, "<html>no such page</html>");
    stub.page("/schemas/ids/3", 404, "");
    stub.answer("/schemas/ids/4", 400, &json!({"error_code": 400, "message": "For input string"}));
    stub.answer("/schemas/ids/5", 422, &json!({"error_code": 42202, "message": "invalid"}));
    stub.page("/schemas/ids/6", 410, "gone");
    stub.answer("/schemas/ids/7", 404, &json!({"error_code": 40401, "message": "Subject not found"}));
    let mut schemas = stub.schemas(Duration::ZERO);
    let wanted = ["no answer", "not found", "unusable", "ready"];
    for id in 1..=7 {
        assert_eq!(until(&mut schemas, id, &wanted), "not found", "{id}");
    }
    // A known id is proof too, where subjects are not listed to everybody.
    let stub = Stub::start();
    stub.page("/subjects", 403, "");
    stub.answer("/schemas/ids/1", 200, &event_schema());
    stub.page("/schemas/ids/2", 404, "");
    let mut schemas = stub.schemas(Duration::ZERO);
    assert_eq!(until(&mut schemas, 1, &wanted), "ready");
    assert_eq!(until(&mut schemas, 2, &wanted), "not found");
}

#[test]
fn a_negative_id_is_known_to_be_none_without_a_question() {
    let stub = Stub::start();
    let mut schemas = stub.schemas(LONG);
    for id in [0xffff_ffff, 0x8000_0000] {
        assert!(matches!(schemas.lookup(SchemaKey::Id(id)), Lookup::NotFound { .. }));
        assert!(!schemas.is_new(SchemaKey::Id(id)));
    }
    assert_eq!(stub.requests(), 0);
}

#[test]
fn many_ids_are_asked_for_at_once_but_not_too_many() {
    let stub = Stub::start();
    *stub.state.slowness.lock().unwrap() = Duration::from_millis(100);
    let mut schemas = stub.schemas(Duration::ZERO);
    for id in 1..=100 {
        assert!(matches!(schemas.lookup(SchemaKey::Id(id)), Lookup::Pending));
    }
    for id in 1..=100 {
        assert_eq!(until(&mut schemas, id, &["not found"]), "not found");
    }
    let most = stub.state.most.load(Ordering::SeqCst);
    assert!((4..=8).contains(&most), "{most}");
}

#[test]
fn a_registry_that_hangs_is_no_answer_for_all_that_asked_at_once() {
    let stub = Stub::start();
    *stub.state.slowness.lock().unwrap() = Duration::from_secs(120);
    let mut schemas = stub.schemas(Duration::ZERO);
    for id in 1..=8 {
        schemas.lookup(SchemaKey::Id(id));
    }
    for id in 1..=8 {
        let answer = until(&mut schemas, id, &["no answer", "not found"]);
        assert!(answer.contains("timeout"), "{answer}");
    }
    assert!(!schemas.registry_answers());
}

#[test]
fn not_found_is_final_only_after_it_was_answered_for_long_enough() {
    let stub = Stub::start();
    let mut schemas = stub.schemas(Duration::from_millis(500));
    let started = Instant::now();
    assert_eq!(until(&mut schemas, 7, &["missing", "not found"]), "missing");
    assert_eq!(until(&mut schemas, 7, &["not found"]), "not found");
    assert!(started.elapsed() >= Duration::from_millis(500));
    let asked = stub.requests();
    assert!(asked >= 3, "{asked}");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(until(&mut schemas, 7, &["not found", "pending"]), "not found");
    assert_eq!(stub.requests(), asked, "and is believed for a while");
}

#[test]
fn a_schema_that_the_registry_learns_late_is_found() {
    let stub = Stub::start();
    let mut schemas = stub.schemas(LONG);
    assert_eq!(until(&mut schemas, 7, &["missing"]), "missing");
    stub.answer("/schemas/ids/7", 200, &event_schema());
    assert_eq!(until(&mut schemas, 7, &["ready", "not found"]), "ready");
}

#[test]
fn what_was_fetched_before_is_known_without_the_registry_unless_its_copy_is_damaged() {
    let root = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    stub.answer("/schemas/ids/7", 200, &event_schema());
    stub.answer("/schemas/ids/8", 200, &event_schema());
    let open = |registry: Registry| {
        let cache = SchemaCache::open(root.path(), &registry).unwrap();
        Schemas::built_in().with_registry(registry, LONG, Some(cache)).unwrap()
    };
    let mut schemas = open(stub.registry());
    for id in [7, 8] {
        assert_eq!(until(&mut schemas, id, &["ready"]), "ready");
    }
    let registry = stub.registry();
    drop(stub);
    let mut schemas = open(registry.clone());
    for id in [7, 8] {
        assert!(matches!(schemas.lookup(SchemaKey::Id(id)), Lookup::Ready(_)), "{id}");
    }
    let folder = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()) {
        if file.file_name().to_str().unwrap().starts_with("8-") {
            let text = std::fs::read_to_string(file.path()).unwrap();
            std::fs::write(file.path(), text.replace("occurred_at", "occurred_bt")).unwrap();
        }
    }
    let mut schemas = open(registry);
    assert!(matches!(schemas.lookup(SchemaKey::Id(7)), Lookup::Ready(_)));
    assert!(until(&mut schemas, 8, &["no answer", "unusable", "ready"]).starts_with("no answer"));
}

#[test]
fn readers_of_events_and_of_any_record_share_a_registry_and_its_cache() {
    let root = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    stub.answer("/schemas/ids/7", 200, &event_schema());
    stub.answer("/schemas/ids/8", 200, &json!({"schema": "\"string\""}));
    let registry = stub.registry();
    let cache = || Some(SchemaCache::open(root.path(), &registry).unwrap());
    let mut events = Schemas::built_in().with_registry(registry.clone(), LONG, cache()).unwrap();
    let writers = || Schemas::<WriterSchema>::default().with_registry(registry.clone(), LONG, cache()).unwrap();
    let mut any = writers();
    assert_eq!(until(&mut events, 7, &["ready"]), "ready");
    assert_eq!(until(&mut any, 7, &["ready"]), "ready");
    assert!(until(&mut events, 8, &["unusable", "ready"]).starts_with("unusable"));
    assert_eq!(until(&mut any, 8, &["unusable", "ready"]), "ready");
    let requests = stub.requests();
    let mut again = writers();
    for id in [7, 8] {
        assert!(matches!(again.lookup(SchemaKey::Id(id)), Lookup::Ready(_)), "{id}");
    }
    assert_eq!(stub.requests(), requests);
}

#[test]
fn a_schema_whose_records_are_no_events_is_unusable_and_says_why() {
    let stub = Stub::start();
    stub.answer("/schemas/ids/1", 200, &json!({"schema": "\"string\""}));
    stub.answer("/schemas/ids/2", 200, &json!({"schema": "syntax", "schemaType": "PROTOBUF"}));
    stub.answer("/schemas/ids/3", 200, &json!({"schema": "\"x\"", "references": [{"name": "x"}]}));
    stub.answer("/schemas/ids/4", 200, &json!({"schema": "\"x\"", "references": [reference("x", "own", 1)]}));
    stub.answer("/subjects/own/versions/1", 200, &json!({"schema": "\"x\"", "references": [reference("y", "own", 1)]}));
    let mut schemas = stub.schemas(LONG);
    assert_eq!(until(&mut schemas, 1, &["unusable"]), "unusable the schema is a string, not a record");
    assert_eq!(until(&mut schemas, 2, &["unusable"]), "unusable the schema is PROTOBUF, not Avro");
    assert!(until(&mut schemas, 3, &["unusable"]).contains("without a subject and version"));
    assert!(until(&mut schemas, 4, &["unusable"]).contains("refers to itself through version 1 of subject own"));
    let set_aside = schemas.lookup(SchemaKey::Id(4)).settled(SchemaKey::Id(4)).unwrap_err();
    assert_eq!(set_aside.0, DeadLetterReason::Undecodable);
    assert!(set_aside.1.contains("refers to itself"), "{}", set_aside.1);
}

#[test]
fn how_a_schema_stands_is_asked_without_registering_it() {
    let stub = Stub::start();
    let registry = stub.registry();
    let standing = || registry.standing("cohort-changes-value", Output::CohortChange.schema());
    let subject = "/subjects/cohort-changes-value";
    let all = "/compatibility/subjects/cohort-changes-value/versions?verbose=true";
    let latest = "/compatibility/subjects/cohort-changes-value/versions/latest";
    assert_eq!(standing(), Ok(Standing::First), "nothing is there");
    stub.answer(
        all,
        200,
        &json!({"is_compatible": false, "messages": ["READER_FIELD_MISSING_DEFAULT_VALUE at /fields/3"]}),
    );
    stub.answer(latest, 200, &json!({"is_compatible": true}));
    assert!(
        matches!(standing(), Err(RegistryError::Refused(text)) if text.contains("not compatible") && text.contains("/fields/3"))
    );
    stub.answer(subject, 404, &json!({"error_code": 40401, "message": "Subject not found"}));
    assert_eq!(standing(), Ok(Standing::First), "its own word for it");
    stub.answer(subject, 404, &json!({"error_code": 40403, "message": "Schema not found"}));
    stub.answer(all, 200, &json!({"is_compatible": true}));
    assert_eq!(standing(), Ok(Standing::Compatible));
    // A registry that compares with one version only.
    stub.answer(all, 404, &json!({"error_code": 404, "message": "HTTP 404 Not Found"}));
    assert_eq!(standing(), Ok(Standing::Compatible));
    stub.answer(latest, 200, &json!({"is_compatible": false}));
    assert!(matches!(standing(), Err(RegistryError::Refused(text)) if text.contains("not compatible")));
    stub.answer(latest, 401, &json!({"message": "who are you?"}));
    assert!(matches!(standing(), Err(RegistryError::Denied(text)) if text.contains("who are you?")));
    stub.answer(subject, 200, &json!({"id": 12, "version": 1}));
    assert_eq!(standing(), Ok(Standing::Registered(12)));
    stub.page(subject, 404, "<html>no such page</html>");
    assert!(matches!(standing(), Err(RegistryError::Foreign(_))), "another server's 404 is no registry's");
    stub.page(subject, 503, "");
    assert!(matches!(standing(), Err(RegistryError::Unreachable(_))));
}

#[test]
fn registering_gives_the_id_or_says_who_must_act() {
    let stub = Stub::start();
    let registry = stub.registry();
    let path = "/subjects/cohort-changes-value/versions";
    let register = || registry.register("cohort-changes-value", Output::CohortChange.schema());
    stub.answer(path, 200, &json!({"id": 12}));
    assert_eq!(register(), Ok(12));
    let sent = stub.state.last.lock().unwrap().clone();
    let body: serde_json::Value = serde_json::from_str(&sent[sent.find("\r\n\r\n").unwrap()..]).unwrap();
    assert_eq!(body["schema"], Output::CohortChange.schema());
    stub.answer(path, 409, &json!({"error_code": 409, "message": "incompatible with an earlier schema"}));
    let answer = register().unwrap_err();
    assert!(matches!(&answer, RegistryError::Refused(text) if text.contains("incompatible")), "{answer}");
    stub.answer(path, 422, &json!({"error_code": 42201, "message": "invalid"}));
    assert!(matches!(register(), Err(RegistryError::Refused(_))));
    stub.answer(path, 500, &json!({}));
    assert!(matches!(register(), Err(RegistryError::Unreachable(text)) if text.contains("HTTP 500")));
    stub.answer(path, 404, &json!({"error_code": 404, "message": "HTTP 404 Not Found"}));
    assert!(matches!(register(), Err(RegistryError::Foreign(text)) if text.contains("/subjects/cohort-changes-value")));
    stub.answer(path, 403, &json!({"error_code": 40301, "message": "read only"}));
    assert!(matches!(register(), Err(RegistryError::Denied(text)) if text.contains("read only")));
    // Whoever may not register may still find what others did.
    let find = || registry.find("cohort-changes-value", Output::CohortChange.schema());
    assert_eq!(find(), Err(RegistryError::NotFound));
    stub.answer("/subjects/cohort-changes-value", 200, &json!({"id": 12, "version": 1}));
    assert_eq!((register(), find()), (Ok(12), Ok(12)));
    drop(stub);
    assert!(matches!(register(), Err(RegistryError::Unreachable(_))));
}

#[test]
fn a_registry_that_fails_by_turns_counts_as_away_until_it_has_answered_the_question() {
    let stub = Stub::start();
    let registry = stub.registry();
    let seen: Vec<bool> = [(503, "{}"), (401, "{}"), (200, "<html>"), (503, "{}"), (429, "{}")]
        .into_iter()
        .map(|(status, page)| {
            stub.page("/schemas/ids/7", status, page);
            assert!(registry.schema(7).is_err());
            registry.answers()
        })
        .collect();
    assert_eq!(seen, [false; 5], "none of them is an answer");
    stub.answer("/schemas/ids/7", 200, &event_schema());
    assert!(registry.schema(7).is_ok() && registry.answers());
    // Nor does it go up and down where an id is not known: that is an answer.
    assert_eq!(registry.schema(8), Err(RegistryError::NotFound));
    assert!(registry.answers());
}

#[test]
fn a_question_that_fails_late_does_not_belie_an_answer_that_came_meanwhile() {
    let stub = Stub::start();
    let registry = stub.registry();
    stub.page("/schemas/ids/7", 503, "{}");
    stub.answer("/schemas/ids/8", 200, &event_schema());
    let release = stub.hold("/schemas/ids/7");
    let late = {
        let registry = registry.clone();
        thread::spawn(move || registry.schema(7))
    };
    while stub.requests() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(registry.schema(8).is_ok());
    drop(release);
    assert!(matches!(late.join().unwrap(), Err(RegistryError::Unreachable(_))));
    assert!(registry.answers());
    assert!(registry.schema(7).is_err());
    assert!(!registry.answers(), "a question after that answer");
}

#[test]
fn questions_that_are_asked_again_are_counted() {
    let stub = Stub::start();
    stub.page("/schemas/ids/7", 503, "{}");
    let mut schemas = stub.schemas(Duration::from_secs(60));
    until(&mut schemas, 7, &["no answer"]);
    while schemas.retries() < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    stub.answer("/schemas/ids/7", 200, &event_schema());
    until(&mut schemas, 7, &["ready"]);
    assert_eq!(stub.requests() as u64, 1 + schemas.retries());
}
