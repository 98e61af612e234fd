//! Random records as other libraries write them: Python's fastavro, and Java's Avro, by schemas that a real registry has
//! kept. Their events are those of the reference.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use apache_avro::types::Value as Avro;
use cohortd::sources::Payload;
use serde_json::{Value as Json, json};

use super::mapping;
use super::naive::Source;
use super::random::{Shape, in_short};
use super::values::{Found, Maker, Type};
use crate::support::apicurio::Apicurio;
use crate::support::python::python;

const CASES: u64 = 1_000;
/// Each is registered.
const REGISTERED: u64 = 60;

/// A random source over a random schema, with records and what they hold.
struct Case {
    seed: u64,
    of: Type,
    source: Source,
    schema: Json,
    values: Vec<(Avro, Found)>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut maker = Maker::new(seed);
        let of = maker.record();
        let source = maker.source(Shape::Type(&of));
        let values = (0..3).map(|_| maker.value(&of)).collect();
        Self { seed, schema: of.schema(), of, source, values }
    }

    /// Do a value's bytes, as somebody wrote them, become what the reference says? `schema`: as its reader has it.
    fn check(&self, value: &Found, bytes: &[u8], schema: &str) {
        let mapping = mapping(&self.source.text("avro"));
        let reader = mapping.reader(schema).unwrap();
        let mapped = in_short(&mapping.map(&Payload::Avro(&reader, bytes).alone()));
        let judged = self.source.judge(value, Some(&self.of));
        assert_eq!(mapped, judged, "seed {}\n{}\n{schema}\n{value:#?}", self.seed, self.source.text("avro"));
        assert_eq!(reader.length(bytes), Ok(bytes.len()));
    }
}

/// A value for the script, which says what JSON has no value for.
fn plain(value: &Avro) -> Json {
    let hex = |bytes: &[u8]| json!({ "bytes": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() });
    match value {
        Avro::Null => Json::Null,
        Avro::Boolean(value) => json!(value),
        Avro::Int(value) | Avro::Date(value) | Avro::TimeMillis(value) => json!(value),
        Avro::Long(value)
        | Avro::TimestampMillis(value)
        | Avro::TimestampMicros(value)
        | Avro::LocalTimestampMillis(value) => json!(value),
        Avro::Double(value) if value.is_finite() => json!(value),
        Avro::Double(value) => json!({ "double": value.to_string() }),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Bytes(bytes) => hex(bytes),
        Avro::Decimal(decimal) => hex(&Vec::<u8>::try_from(decimal).unwrap()),
        Avro::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Avro::Map(entries) => entries.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Avro::Array(items) => items.iter().map(plain).collect(),
        Avro::Union(_, value) => plain(value),
        other => panic!("no case has {other:?}"),
    }
}

/// The lines that a program answers these with.
fn answers(command: &mut Command, lines: String) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(name)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |place: usize| u8::from_str_radix(&hex[place..place + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Each case's values as fastavro writes them.
fn by_fastavro(cases: &[Case]) -> Option<Vec<Vec<String>>> {
    let line = |case: &Case| {
        let values: Vec<Json> = case.values.iter().map(|(value, _)| plain(value)).collect();
        json!({ "schema": case.schema, "values": values }).to_string() + "\n"
    };
    let lines = answers(Command::new(python()?).arg(script("avro_writer.py")), cases.iter().map(line).collect());
    assert_eq!(lines.len(), cases.len());
    Some(lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect())
}

#[test]
fn random_records_by_fastavro_give_the_events_of_the_reference() {
    let cases: Vec<Case> = (0..CASES).map(Case::new).collect();
    let Some(written) = by_fastavro(&cases) else { return };
    for (case, written) in cases.iter().zip(&written) {
        assert_eq!(written.len(), case.values.len());
        for ((_, found), hex) in case.values.iter().zip(written) {
            case.check(found, &bytes_of(hex), &case.schema.to_string());
        }
    }
}

#[test]
fn random_records_by_java_with_schemas_of_a_real_registry_give_the_events_of_the_reference() {
    let cases: Vec<Case> = (0..REGISTERED).map(Case::new).collect();
    let Some(written) = by_fastavro(&cases) else { return };
    let (Some(registry), Some((java, class_path))) = (Apicurio::shared(), Apicurio::java_with_avro()) else { return };
    let schemas: Vec<String> = cases
        .iter()
        .map(|case| {
            let id = registry.register(&format!("random-{}-value", case.seed), &case.schema.to_string());
            registry.schema(id)
        })
        .collect();
    let line = |(schema, hex): (&String, &String)| format!("{}\t{hex}\n", schema.replace(['\n', '\t'], " "));
    let lines = schemas.iter().zip(&written).flat_map(|(schema, written)| written.iter().map(move |hex| (schema, hex)));
    let lines =
        answers(Command::new(java).args(["-cp", &class_path]).arg(script("Rewrite.java")), lines.map(line).collect());
    let mut lines = lines.iter();
    for (case, schema) in cases.iter().zip(&schemas) {
        for (_, found) in &case.values {
            let (usual, blocks) = lines.next().unwrap().split_once(' ').unwrap();
            case.check(found, &bytes_of(usual), schema);
            case.check(found, &bytes_of(blocks), schema);
        }
    }
    assert_eq!(lines.next(), None);
}
