//! Schemas that refer to others.

use std::time::Duration;

use serde_json::json;

use super::stub::{LONG, Stub, until};
use crate::codec::{Lookup, Registry, SchemaCache, SchemaKey, Schemas};
use crate::event::DeadLetterReason;

pub(super) fn reference(name: &str, subject: &str, version: i64) -> serde_json::Value {
    json!({"name": name, "subject": subject, "version": version})
}

/// Events that name types of other schemas, in a namespace that not every library takes.
fn referring(stub: &Stub) {
    let event = json!({"type": "record", "name": "E", "namespace": "com.my-shop.events", "fields": [
        {"name": "customer_id", "type": "string"},
        {"name": "event", "type": "com.my-shop.common.Kind"},
        {"name": "total", "type": ["null", "com.my-shop.common.Money"]},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]});
    let references =
        [reference("com.my-shop.common.Kind", "my-shop/kind", 3), reference("com.my-shop.common.Money", "money", 1)];
    stub.answer("/schemas/ids/7", 200, &json!({"schema": event.to_string(), "references": references}));
    let kind =
        json!({"type": "enum", "name": "Kind", "namespace": "com.my-shop.common", "symbols": ["visit", "purchase"]});
    stub.answer("/subjects/my-shop%2Fkind/versions/3", 200, &json!({"schema": kind.to_string(), "version": 3}));
    let money = json!({"type": "record", "name": "Money", "namespace": "com.my-shop.common", "fields": [
        {"name": "cents", "type": "long"}, {"name": "of", "type": "Kind"}]});
    let references = [reference("com.my-shop.common.Kind", "my-shop/kind", 3)];
    stub.answer("/subjects/money/versions/1", 200, &json!({"schema": money.to_string(), "references": references}));
}

#[test]
fn a_schema_is_fetched_with_those_that_it_refers_to_and_kept_in_one_piece() {
    let root = tempfile::tempdir().unwrap();
    let stub = Stub::start();
    referring(&stub);
    let open = |registry: Registry| {
        let cache = SchemaCache::open(root.path(), &registry).unwrap();
        Schemas::built_in().with_registry(registry, LONG, Some(cache)).unwrap()
    };
    let read = |schemas: &mut Schemas| {
        let Lookup::Ready(reader) = schemas.lookup(SchemaKey::Id(7)) else { panic!("it is not ready") };
        let vocabulary = crate::event::Vocabulary::default();
        let mut properties = crate::event::Properties::default();
        let event = reader.decode(b"\x08anna\x02\x02\x90\x03\x00\x88\x27", &vocabulary, &mut properties).unwrap();
        (event.customer.to_owned(), event.name.to_owned(), event.at.0, reader.fingerprint())
    };
    let mut schemas = open(stub.registry());
    assert_eq!(until(&mut schemas, 7, &["ready", "unusable"]), "ready");
    let found = read(&mut schemas);
    assert_eq!((found.0.as_str(), found.1.as_str(), found.2), ("anna", "purchase", 2));
    assert_eq!(stub.requests(), 3, "each once");
    let registry = stub.registry();
    drop((stub, schemas));
    assert_eq!(read(&mut open(registry)), found);
}

#[test]
fn what_a_schema_refers_to_may_be_late_and_is_named_when_it_does_not_come() {
    let stub = Stub::start();
    referring(&stub);
    let missing = ("/subjects/my-shop%2Fkind/versions/3", json!({"error_code": 40402, "message": "Version not found"}));
    let whole = stub.state.answers.lock().unwrap()[missing.0].1.clone();
    stub.answer(missing.0, 404, &missing.1);
    let mut schemas = stub.schemas(LONG);
    assert_eq!(until(&mut schemas, 7, &["missing"]), "missing");
    stub.page(missing.0, 200, &whole);
    assert_eq!(until(&mut schemas, 7, &["ready"]), "ready");
    stub.answer(missing.0, 404, &missing.1);
    let mut schemas = stub.schemas(Duration::ZERO);
    assert_eq!(until(&mut schemas, 7, &["not found"]), "not found");
    let (reason, detail) = schemas.lookup(SchemaKey::Id(7)).settled(SchemaKey::Id(7)).unwrap_err();
    assert_eq!(reason, DeadLetterReason::UnknownSchema);
    assert!(
        detail.contains("refers to version 3 of subject my-shop/kind, which the registry does not have"),
        "{detail}"
    );
    // No answer is none here either.
    stub.page(missing.0, 503, "");
    let mut schemas = stub.schemas(Duration::ZERO);
    assert!(until(&mut schemas, 7, &["no answer", "not found", "unusable"]).contains("HTTP 503"));
}
