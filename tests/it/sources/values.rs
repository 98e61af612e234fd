//! Random types of Avro and values of them.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use serde_json::{Value as Json, json};

/// A type of Avro.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Null,
    Bool,
    Int,
    Long,
    Double,
    Text,
    Bytes,
    Enum(String),
    Decimal(u32),
    Millis,
    Micros,
    LocalMillis,
    Date,
    Time,
    Record(Rc<Record>),
    List(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
}

/// A record, which may be within itself.
pub(super) struct Record {
    pub(super) name: String,
    fields: OnceCell<Vec<Field>>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) of: Type,
}

/// A value, with nothing of how it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Null,
    Bool(bool),
    /// `unscaled` × 10^-`scale`, of at most six places.
    Number(i128, u32),
    Double(f64),
    Text(String),
    Bytes,
    /// Milliseconds, and the number as sent.
    Moment(i64, i64),
    Local(i64),
    Date(i32),
    Time(i32),
    /// Of a record, a map, or an object, in which names may stand twice.
    Members(Vec<(String, Found)>),
    List(Vec<Found>),
}

pub(super) const SYMBOLS: [&str; 3] = ["x", "y", "PAID"];
pub(super) const NAMES: [&str; 5] = ["a", "b", "c_1", "d", "E"];
/// About how many values one value holds: so few that none is nested too deeply.
const WITHIN_MAX: u32 = 28;
/// Of records, without lists and what may be null, in one that is used again.
const RECORDS_MAX: usize = 3;
const TEXTS: [&str; 6] = ["", "x", "y", "1", "2026-01-05T09:00:00Z", "59.90"];

/// Makes types and values.
pub(super) struct Maker {
    pub(super) random: fastrand::Rng,
    /// Before the names of types.
    namespace: &'static str,
    named: u32,
    /// Those whose fields are known.
    records: Vec<Rc<Record>>,
    enums: Vec<String>,
    /// How many values the current one may still hold.
    room: u32,
}

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let namespace = if random.bool() { "" } else { "shop.v1." };
        Self { random, namespace, named: 0, records: Vec::new(), enums: Vec::new(), room: 0 }
    }

    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())].clone()
    }

    fn name(&mut self, letter: char) -> String {
        self.named += 1;
        format!("{}{letter}{}", self.namespace, self.named)
    }

    /// A record at the top, mostly with a customer and a time that are of use.
    pub(super) fn record(&mut self) -> Type {
        let who = Field::new("who", Type::Union(vec![Type::Null, Type::Text]));
        Type::Record(self.record_type(3, vec![who, Field::new("at", Type::Millis)]))
    }

    fn record_type(&mut self, depth: u32, and: Vec<Field>) -> Rc<Record> {
        let record = Record::unfinished(self.name('R'));
        // A first field of some bytes, since lists of what takes none are a case of their own.
        let mut fields = vec![Field::new(NAMES[0], self.one(&[Type::Text, Type::Long, Type::Double]))];
        let mut left = Vec::new();
        for name in &NAMES[1..] {
            match self.random.u32(..12) {
                0..=5 => fields.push(Field::new(name, self.some(depth))),
                // Within itself: none, or any number of them.
                6 => {
                    let own = Type::Record(Rc::clone(&record));
                    let own = self.one(&[
                        Type::Union(vec![Type::Null, own.clone()]),
                        Type::List(Box::new(own.clone())),
                        Type::Map(Box::new(own)),
                    ]);
                    fields.push(Field::new(name, own));
                }
                _ => left.push(name),
            }
        }
        for name in left {
            if self.random.u32(..4) == 0 {
                let renamed = self.random.usize(..fields.len());
                fields[renamed].aliases.push((*name).to_owned());
            }
        }
        fields.extend(and);
        self.random.shuffle(&mut fields);
        record.finish(fields);
        self.records.push(Rc::clone(&record));
        record
    }

    /// A new one, or one that is known.
    fn some_record(&mut self, depth: u32) -> Type {
        let is_small = |record: &&Rc<Record>| record.records() <= RECORDS_MAX;
        let again = self.random.u32(..3) == 0;
        let known: Vec<_> = self.records.iter().filter(|_| again).filter(is_small).cloned().collect();
        Type::Record(if known.is_empty() { self.record_type(depth, Vec::new()) } else { self.one(&known) })
    }

    fn some(&mut self, depth: u32) -> Type {
        let nested = if depth == 0 { 0 } else { 6 };
        match self.random.u32(..13 + nested) {
            0 => Type::Null,
            1 => Type::Bool,
            2 => Type::Int,
            3 => Type::Long,
            4 => Type::Double,
            5 => Type::Text,
            6 => Type::Bytes,
            7 => {
                if self.enums.is_empty() || self.random.bool() {
                    let name = self.name('E');
                    self.enums.push(name);
                }
                let known = self.enums.clone();
                Type::Enum(self.one(&known))
            }
            8 => Type::Decimal(self.random.u32(..=6)),
            9 => self.one(&[Type::Millis, Type::Micros, Type::LocalMillis]),
            10 => Type::Date,
            11 => Type::Time,
            12 => Type::Union(vec![Type::Null, self.one(&[Type::Long, Type::Text, Type::Bool])]),
            13 | 14 => self.some_record(depth - 1),
            15 => Type::List(Box::new(self.some_of_bytes(depth - 1))),
            16 => Type::List(Box::new(self.some_record(depth - 1))),
            17 => Type::Map(Box::new(self.some(depth - 1))),
            _ => Type::Union(vec![Type::Null, self.some_record(depth - 1), Type::Text]),
        }
    }

    fn some_of_bytes(&mut self, depth: u32) -> Type {
        loop {
            let found = self.some(depth);
            if !matches!(found, Type::Null) {
                return found;
            }
        }
    }

    pub(super) fn value(&mut self, of: &Type) -> (Avro, Found) {
        self.room = WITHIN_MAX;
        self.value_within(of)
    }

    fn value_within(&mut self, of: &Type) -> (Avro, Found) {
        self.room = self.room.saturating_sub(1);
        match of {
            Type::Null => (Avro::Null, Found::Null),
            Type::Bool => {
                let value = self.random.bool();
                (Avro::Boolean(value), Found::Bool(value))
            }
            Type::Int => {
                let value = self.random.i32(-3..3);
                (Avro::Int(value), Found::Number(value.into(), 0))
            }
            Type::Long => {
                let value = self.one(&[0, 1, -2, 1_767_603_600_000, 1_767_603_600, i64::MAX, i64::MIN]);
                (Avro::Long(value), Found::Number(value.into(), 0))
            }
            Type::Double => {
                let value = self.one(&[0.0, 1.0, -1.5, 0.1, 1e300, f64::NAN, f64::INFINITY, 1.767_603_600_000_5e12]);
                (Avro::Double(value), Found::Double(value))
            }
            Type::Text => {
                let value = self.one(&TEXTS);
                (Avro::String(value.to_owned()), Found::Text(value.to_owned()))
            }
            Type::Bytes => (Avro::Bytes(vec![0; self.random.usize(..4)]), Found::Bytes),
            Type::Enum(_) => {
                let index = self.random.usize(..SYMBOLS.len());
                let symbol = SYMBOLS[index].to_owned();
                (Avro::Enum(u32::try_from(index).unwrap(), symbol.clone()), Found::Text(symbol))
            }
            Type::Decimal(scale) => {
                let unscaled: i64 = self.one(&[0, 5, -599, 100_000_000, i64::MAX / 1_000_000]);
                (Avro::Decimal(Decimal::from(unscaled.to_be_bytes())), Found::Number(unscaled.into(), *scale))
            }
            Type::Millis => {
                let value = self.one(&[1_767_603_600_000, 1_767_603_600_123, 0, -1, i64::MAX]);
                (Avro::TimestampMillis(value), Found::Moment(value, value))
            }
            Type::Micros => {
                let value = self.one(&[1_767_603_600_000_999, -1, i64::MIN]);
                (Avro::TimestampMicros(value), Found::Moment(value.div_euclid(1_000), value))
            }
            Type::LocalMillis => (Avro::LocalTimestampMillis(1_767_603_600_000), Found::Local(1_767_603_600_000)),
            Type::Date => {
                let days = self.one(&[0, 20_484, -1]);
                (Avro::Date(days), Found::Date(days))
            }
            Type::Time => {
                let seconds = self.one(&[0, 43_200, 86_399]);
                (Avro::TimeMillis(seconds * 1_000), Found::Time(seconds))
            }
            Type::Record(record) => {
                let mut avro = Vec::new();
                let mut found = Vec::new();
                for field in record.fields() {
                    let (value, own) = self.value_within(&field.of);
                    avro.push((field.name.clone(), value));
                    found.extend(field.aliases.iter().map(|alias| (alias.clone(), own.clone())));
                    found.push((field.name.clone(), own));
                }
                (Avro::Record(avro), Found::Members(found))
            }
            Type::List(items) => {
                let length = if self.room == 0 { 0 } else { self.random.usize(..4) };
                let (avro, found) = (0..length).map(|_| self.value_within(items)).unzip();
                (Avro::Array(avro), Found::List(found))
            }
            Type::Map(values) => {
                let mut avro = std::collections::HashMap::new();
                let mut found = Vec::new();
                for name in NAMES {
                    if self.room > 0 && self.random.bool() {
                        let (value, own) = self.value_within(values);
                        avro.insert(name.to_owned(), value);
                        found.push((name.to_owned(), own));
                    }
                }
                (Avro::Map(avro), Found::Members(found))
            }
            Type::Union(branches) => {
                let branch = if self.room == 0 { 0 } else { self.random.usize(..branches.len()) };
                let (value, found) = self.value_within(&branches[branch]);
                (Avro::Union(u32::try_from(branch).unwrap(), Box::new(value)), found)
            }
        }
    }

    /// A value of JSON, with members that stand twice.
    pub(super) fn json(&mut self, depth: u32) -> Found {
        match self.random.u32(..if depth == 0 { 6 } else { 12 }) {
            0 => Found::Null,
            1 => Found::Bool(self.random.bool()),
            2 => Found::Number(self.random.i64(-3..3).into(), 0),
            3 => Found::Number(self.one(&[1_767_603_600_000, 1_767_603_600, 599, -1, 9_007_199_254_740_993]), 2),
            4 | 5 => Found::Text(self.one(&TEXTS).to_owned()),
            6 | 7 => Found::List((0..self.random.usize(..4)).map(|_| self.json(depth - 1)).collect()),
            _ => {
                let members = (0..self.random.usize(..6)).map(|_| (self.one(&NAMES).to_owned(), self.json(depth - 1)));
                Found::Members(members.collect())
            }
        }
    }
}

impl Type {
    /// As JSON of a schema, in which a type with a name is written out the first time.
    pub(super) fn schema(&self) -> Json {
        self.schema_after(&mut HashSet::new())
    }

    /// A value as apache_avro writes it.
    pub(super) fn encoded(&self, value: Avro) -> Vec<u8> {
        let schema = Schema::parse(&self.schema()).unwrap();
        GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
    }

    fn schema_after<'t>(&'t self, written: &mut HashSet<&'t str>) -> Json {
        match self {
            Self::Null => json!("null"),
            Self::Bool => json!("boolean"),
            Self::Int => json!("int"),
            Self::Long => json!("long"),
            Self::Double => json!("double"),
            Self::Text => json!("string"),
            Self::Bytes => json!("bytes"),
            Self::Enum(name) if !written.insert(name) => json!(name),
            Self::Enum(name) => json!({"type": "enum", "name": name, "symbols": SYMBOLS}),
            Self::Decimal(scale) => json!({"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": scale}),
            Self::Millis => json!({"type": "long", "logicalType": "timestamp-millis"}),
            Self::Micros => json!({"type": "long", "logicalType": "timestamp-micros"}),
            Self::LocalMillis => json!({"type": "long", "logicalType": "local-timestamp-millis"}),
            Self::Date => json!({"type": "int", "logicalType": "date"}),
            Self::Time => json!({"type": "int", "logicalType": "time-millis"}),
            Self::Record(record) if !written.insert(&record.name) => json!(record.name),
            Self::Record(record) => {
                let of = |field: &'t Field| {
                    let mut shown = json!({"name": field.name, "type": field.of.schema_after(written)});
                    if !field.aliases.is_empty() {
                        shown["aliases"] = json!(field.aliases);
                    }
                    shown
                };
                let fields: Vec<Json> = record.fields().iter().map(of).collect();
                json!({"type": "record", "name": record.name, "fields": fields})
            }
            Self::List(items) => json!({"type": "array", "items": items.schema_after(written)}),
            Self::Map(values) => json!({"type": "map", "values": values.schema_after(written)}),
            Self::Union(branches) => branches.iter().map(|branch| branch.schema_after(written)).collect(),
        }
    }
}

impl Record {
    /// One that may stand in its own fields before they are known.
    pub(super) fn unfinished(name: String) -> Rc<Self> {
        Rc::new(Self { name, fields: OnceCell::new() })
    }

    pub(super) fn finish(&self, fields: Vec<Field>) {
        self.fields.set(fields).expect("a record gets its fields once");
    }

    pub(super) fn fields(&self) -> &[Field] {
        self.fields.get().expect("a record is shown once it is made")
    }

    /// How many records each value has at least, itself included.
    fn records(&self) -> usize {
        let within = self.fields().iter().map(|field| match &field.of {
            Type::Record(record) => record.records(),
            _ => 0,
        });
        1 + within.sum::<usize>()
    }

    /// The type of a field, by its name or by what it was called before.
    pub(super) fn field(&self, name: &str) -> Option<&Type> {
        let has = |field: &&Field| field.name == name || field.aliases.iter().any(|alias| alias == name);
        self.fields().iter().find(has).map(|field| &field.of)
    }
}

impl fmt::Debug for Record {
    /// Without the fields, in which it may be again.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

impl Field {
    pub(super) fn new(name: &str, of: Type) -> Self {
        Self { name: name.to_owned(), aliases: Vec::new(), of }
    }
}

impl Found {
    /// As text of JSON.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(unscaled, 0) => unscaled.to_string(),
            Self::Number(unscaled, scale) => format!("{unscaled}e-{scale}"),
            Self::Text(text) => Json::from(text.as_str()).to_string(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::written).collect::<Vec<_>>().join(",")),
            Self::Members(members) => {
                let of = |(name, value): &(String, Self)| format!("{}: {}", Json::from(name.as_str()), value.written());
                format!("{{{}}}", members.iter().map(of).collect::<Vec<_>>().join(" , "))
            }
            other => panic!("JSON has no {other:?}"),
        }
    }
}
