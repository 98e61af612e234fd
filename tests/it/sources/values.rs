//! Random types of Avro and values of them.

use apache_avro::Decimal;
use apache_avro::types::Value as Avro;
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
    Record(String, Vec<(String, Type)>),
    List(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
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
const TEXTS: [&str; 6] = ["", "x", "y", "1", "2026-01-05T09:00:00Z", "59.90"];

/// Makes types and values.
pub(super) struct Maker {
    pub(super) random: fastrand::Rng,
    records: u32,
}

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), records: 0 }
    }

    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())].clone()
    }

    /// A record at the top, mostly with a customer and a time that are of use.
    pub(super) fn record(&mut self) -> Type {
        let Type::Record(name, mut fields) = self.record_type(3) else { unreachable!("it makes records") };
        fields.retain(|(name, _)| name != "who" && name != "at");
        fields.push(("who".to_owned(), Type::Union(vec![Type::Null, Type::Text])));
        fields.push(("at".to_owned(), Type::Millis));
        Type::Record(name, fields)
    }

    fn record_type(&mut self, depth: u32) -> Type {
        self.records += 1;
        let name = format!("R{}", self.records);
        // A first field of some bytes, since lists of what takes none are a case of their own.
        let mut fields = vec![(NAMES[0].to_owned(), self.one(&[Type::Text, Type::Long, Type::Double]))];
        for name in &NAMES[1..] {
            if self.random.bool() {
                fields.push(((*name).to_owned(), self.some(depth)));
            }
        }
        self.random.shuffle(&mut fields);
        Type::Record(name, fields)
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
                self.records += 1;
                Type::Enum(format!("E{}", self.records))
            }
            8 => Type::Decimal(self.random.u32(..=6)),
            9 => self.one(&[Type::Millis, Type::Micros, Type::LocalMillis]),
            10 => Type::Date,
            11 => Type::Time,
            12 => Type::Union(vec![Type::Null, self.one(&[Type::Long, Type::Text, Type::Bool])]),
            13 | 14 => self.record_type(depth - 1),
            15 => Type::List(Box::new(self.some_of_bytes(depth - 1))),
            16 => Type::List(Box::new(self.record_type(depth - 1))),
            17 => Type::Map(Box::new(self.some(depth - 1))),
            _ => Type::Union(vec![Type::Null, self.record_type(depth - 1), Type::Text]),
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
            Type::Record(_, fields) => {
                let mut avro = Vec::new();
                let mut found = Vec::new();
                for (name, of) in fields {
                    let (value, own) = self.value(of);
                    avro.push((name.clone(), value));
                    found.push((name.clone(), own));
                }
                (Avro::Record(avro), Found::Members(found))
            }
            Type::List(items) => {
                let (avro, found) = (0..self.random.usize(..4)).map(|_| self.value(items)).unzip();
                (Avro::Array(avro), Found::List(found))
            }
            Type::Map(values) => {
                let mut avro = std::collections::HashMap::new();
                let mut found = Vec::new();
                for name in NAMES {
                    if self.random.bool() {
                        let (value, own) = self.value(values);
                        avro.insert(name.to_owned(), value);
                        found.push((name.to_owned(), own));
                    }
                }
                (Avro::Map(avro), Found::Members(found))
            }
            Type::Union(branches) => {
                let branch = self.random.usize(..branches.len());
                let (value, found) = self.value(&branches[branch]);
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
    /// As JSON of a schema.
    pub(super) fn schema(&self) -> Json {
        match self {
            Self::Null => json!("null"),
            Self::Bool => json!("boolean"),
            Self::Int => json!("int"),
            Self::Long => json!("long"),
            Self::Double => json!("double"),
            Self::Text => json!("string"),
            Self::Bytes => json!("bytes"),
            Self::Enum(name) => json!({"type": "enum", "name": name, "symbols": SYMBOLS}),
            Self::Decimal(scale) => json!({"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": scale}),
            Self::Millis => json!({"type": "long", "logicalType": "timestamp-millis"}),
            Self::Micros => json!({"type": "long", "logicalType": "timestamp-micros"}),
            Self::LocalMillis => json!({"type": "long", "logicalType": "local-timestamp-millis"}),
            Self::Date => json!({"type": "int", "logicalType": "date"}),
            Self::Time => json!({"type": "int", "logicalType": "time-millis"}),
            Self::Record(name, fields) => {
                let of = |(name, of): &(String, Self)| json!({"name": name, "type": of.schema()});
                json!({"type": "record", "name": name, "fields": fields.iter().map(of).collect::<Vec<_>>()})
            }
            Self::List(items) => json!({"type": "array", "items": items.schema()}),
            Self::Map(values) => json!({"type": "map", "values": values.schema()}),
            Self::Union(branches) => branches.iter().map(Self::schema).collect(),
        }
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
