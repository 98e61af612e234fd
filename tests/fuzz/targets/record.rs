//! Any bytes into the reader of records: written with our schema, with a schema of any text, and with one of any types.
//!
//! Limit: 64 bytes of memory for each byte of a record; reading allocates for the properties that the rules name only.

#![no_main]

use std::fmt::Write;
use std::sync::LazyLock;

use cohortd::codec::{Framing, Lookup, Reader, Schemas};
use cohortd::event::{Properties, Vocabulary};
use libfuzzer_sys::fuzz_target;

#[path = "../../support/allocations.rs"]
mod allocations;

const BYTES_PER_BYTE: usize = 64;
const BYTES_ALWAYS: usize = 4_096;

static OURS: LazyLock<Reader> = LazyLock::new(Reader::built_in);

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut vocabulary = Vocabulary::default();
    for property in ["a", "b", "amount"] {
        vocabulary.add_property(property);
    }
    vocabulary.add_name("purchase");
    vocabulary
});

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind % 4 {
        0 => framed(rest),
        1 => decode(&OURS, rest),
        2 => {
            // A schema's text, a zero byte, and a record.
            let mut parts = rest.splitn(2, |byte| *byte == 0);
            let (schema, datum) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if let Ok(schema) = std::str::from_utf8(schema)
                && let Ok(reader) = Reader::compile(schema)
            {
                decode(&reader, datum);
            }
        }
        _ => {
            let mut types = Types { choices: rest, names: 0 };
            let schema = types.event();
            let reader = Reader::compile(&schema);
            if let Ok(reader) = reader {
                decode(&reader, types.choices);
            }
        }
    }
});

fn framed(record: &[u8]) {
    if let Ok((key, datum)) = Framing::Tagged.split(record)
        && let Lookup::Ready(reader) = Schemas::built_in().lookup(key)
    {
        decode(reader, datum);
    }
}

fn decode(reader: &Reader, datum: &[u8]) {
    let vocabulary = &*VOCABULARY;
    let (decoded, peak) = allocations::peak_of(|| {
        let mut properties = Properties::new();
        let event = reader.decode(datum, vocabulary, &mut properties);
        event.is_ok_and(|event| !event.customer.is_empty() && event.properties.len() <= 3)
            || reader.decode(datum, vocabulary, &mut Properties::new()).is_err()
    });
    assert!(decoded, "an event has a customer and each property at most once");
    assert!(peak <= BYTES_ALWAYS + BYTES_PER_BYTE * datum.len(), "{peak} bytes for {} read", datum.len());
}

/// A schema by the choices that bytes make; what they leave is a record.
struct Types<'b> {
    choices: &'b [u8],
    names: usize,
}

impl Types<'_> {
    fn choose(&mut self, among: u8) -> u8 {
        let Some((first, rest)) = self.choices.split_first() else { return 0 };
        self.choices = rest;
        first % among
    }

    /// A record with our fields, or most of them, of usual and unusual types, and others between them.
    fn event(&mut self) -> String {
        let mut fields = Vec::new();
        for name in ["event_id", "customer_id", "event", "occurred_at", "source", "properties"] {
            if self.choose(4) == 3 {
                let kind = self.kind(3);
                fields.push(format!(r#"{{"name":"other{}","type":{kind}}}"#, fields.len()));
            }
            let usual = match name {
                "occurred_at" => r#"{"type":"long","logicalType":"timestamp-millis"}"#,
                "properties" => r#"{"type":"map","values":["null","boolean","long","double","string"]}"#,
                _ => r#"["null","string"]"#,
            };
            let kind = match self.choose(4) {
                0 => self.kind(3),
                1 if name == "properties" => format!(r#"{{"type":"map","values":{}}}"#, self.kind(2)),
                _ => usual.to_owned(),
            };
            fields.push(format!(r#"{{"name":"{name}","type":{kind}}}"#));
        }
        format!(r#"{{"type":"record","name":"Event","fields":[{}]}}"#, fields.join(","))
    }

    fn kind(&mut self, depth: u8) -> String {
        const PLAIN: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
        const LOGICAL: [(&str, &str); 9] = [
            ("int", "date"),
            ("int", "time-millis"),
            ("long", "time-micros"),
            ("long", "timestamp-micros"),
            ("long", "timestamp-nanos"),
            ("long", "local-timestamp-millis"),
            ("string", "uuid"),
            ("bytes", "big-decimal"),
            ("bytes", "decimal"),
        ];
        let nested = if depth == 0 { 4 } else { 9 };
        match self.choose(nested) {
            0 | 1 => format!("\"{}\"", PLAIN[usize::from(self.choose(8))]),
            2 => {
                let (base, logical) = LOGICAL[usize::from(self.choose(9))];
                let (precision, scale) = (self.choose(40), self.choose(40));
                format!(r#"{{"type":"{base}","logicalType":"{logical}","precision":{precision},"scale":{scale}}}"#)
            }
            3 => format!(r#"{{"type":"fixed","name":"{}","size":{}}}"#, self.name(), self.choose(20)),
            4 => format!(r#"{{"type":"enum","name":"{}","symbols":["x","y","z"]}}"#, self.name()),
            5 => format!(r#"{{"type":"array","items":{}}}"#, self.kind(depth - 1)),
            6 => format!(r#"{{"type":"map","values":{}}}"#, self.kind(depth - 1)),
            7 => {
                let name = self.name();
                let mut fields = String::new();
                for field in 0..self.choose(4) {
                    let comma = if field > 0 { "," } else { "" };
                    // A record may hold itself.
                    let kind = if self.choose(4) == 0 { format!(r#"["null","{name}"]"#) } else { self.kind(depth - 1) };
                    write!(fields, r#"{comma}{{"name":"f{field}","type":{kind}}}"#).expect("a text takes every text");
                }
                format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
            }
            _ => {
                let branches: Vec<String> = (0..=self.choose(4)).map(|_| self.kind(depth - 1)).collect();
                format!("[{}]", branches.join(","))
            }
        }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("T{}", self.names)
    }
}
