//! A writer's schema, as far as needed to read its records: types, their names and references, and the names of fields.
//!
//! Schemas come from tools of all kinds. What reading does not need is not checked, and so never a reason to reject a
//! schema: defaults (only the reader's matter), documentation, the characters of names (other languages allow `-` and
//! `$`), logical types that are unknown or do not fit their type.

use std::collections::{HashMap, HashSet};

use super::json::{Array, Json, NotJson, Object, Text};
use super::{Incompatible, SchemaText};

/// The types of a schema; the same type is stored once, however often it is referenced.
#[derive(Debug)]
pub struct WriterSchema {
    types: Vec<Type>,
    root: TypeId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TypeId(usize);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Int(LogicalType),
    Long(LogicalType),
    Float,
    Double,
    Bytes(LogicalType),
    String,
    Enum { name: String, symbols: Vec<String> },
    Fixed { name: String, size: usize, logical_type: LogicalType },
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record { name: String, fields: Vec<Field> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// What the writers called it before.
    pub(crate) aliases: Vec<String>,
    pub(crate) schema: TypeId,
}

/// The meaning that a logical type adds to a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogicalType {
    /// None: a number, or bytes.
    Plain,
    Millis,
    Micros,
    Nanos,
    Date,
    TimeOfDay,
    LocalMillis,
    LocalMicros,
    LocalNanos,
    Decimal {
        scale: usize,
    },
    /// Each value has its own scale.
    BigDecimal,
    Uuid,
    Duration,
    /// Kafka Connect's and Debezium's times, which they mark by `connect.name` instead: instants, or local times in UTC.
    ConnectMillis,
    ConnectMicros,
    ConnectNanos,
    ConnectDate,
}

impl WriterSchema {
    /// Reads a schema from its JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, Incompatible> {
        Self::parse_after(&[], text)
    }

    /// Reads a schema that may refer to types of others; each of these may refer to those before it.
    pub(crate) fn parse_after(others: &[String], text: &str) -> Result<Self, Incompatible> {
        let mut parser = Parser { types: Vec::new(), named: HashMap::new() };
        for other in others {
            parser.text(other)?;
        }
        let root = parser.text(text)?;
        Ok(Self { types: parser.types, root })
    }

    /// Reads a schema with its references.
    pub(crate) fn of_text(text: &SchemaText) -> Result<Self, Incompatible> {
        Self::parse_after(&text.references, &text.schema)
    }

    pub(crate) fn root(&self) -> TypeId {
        self.root
    }

    pub(crate) fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0]
    }

    /// CRC-64-AVRO of the canonical form: what single-object encoding begins with.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut canonical = String::new();
        self.write_canonical(self.root, &mut vec![false; self.types.len()], &mut canonical);
        crc64(canonical.as_bytes())
    }

    /// Avro's parsing canonical form. A type with a name is written out the first time, and named from then on.
    fn write_canonical(&self, id: TypeId, written: &mut Vec<bool>, out: &mut String) {
        let inner = self.get(id);
        if let Some(name) = inner.name() {
            if std::mem::replace(&mut written[id.0], true) {
                return out.push_str(&quoted(name));
            }
            out.push_str(&format!("{{\"name\":{},\"type\":", quoted(name)));
        }
        match inner {
            Type::Array(items) => self.write_container("array\",\"items", *items, written, out),
            Type::Map(values) => self.write_container("map\",\"values", *values, written, out),
            Type::Union(branches) => {
                out.push('[');
                for (place, branch) in branches.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { "," });
                    self.write_canonical(*branch, written, out);
                }
                out.push(']');
            }
            Type::Record { fields, .. } => {
                out.push_str("\"record\",\"fields\":[");
                for (place, field) in fields.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    out.push_str(&format!("{comma}{{\"name\":{},\"type\":", quoted(&field.name)));
                    self.write_canonical(field.schema, written, out);
                    out.push('}');
                }
                out.push_str("]}");
            }
            Type::Enum { symbols, .. } => {
                let symbols: Vec<_> = symbols.iter().map(|symbol| quoted(symbol)).collect();
                out.push_str(&format!("\"enum\",\"symbols\":[{}]}}", symbols.join(",")));
            }
            Type::Fixed { size, .. } => out.push_str(&format!("\"fixed\",\"size\":{size}}}")),
            simple => out.push_str(&quoted(simple.avro())),
        }
    }

    fn write_container(&self, head: &str, items: TypeId, written: &mut Vec<bool>, out: &mut String) {
        out.push_str(&format!("{{\"type\":\"{head}\":"));
        self.write_canonical(items, written, out);
        out.push('}');
    }
}

impl Type {
    /// Its full name, if its kind has one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Record { name, .. } | Self::Enum { name, .. } | Self::Fixed { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The type's name in Avro.
    fn avro(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int(_) => "int",
            Self::Long(_) => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes(_) => "bytes",
            Self::String => "string",
            Self::Enum { .. } => "enum",
            Self::Fixed { .. } => "fixed",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record { .. } => "record",
        }
    }

    /// Its kind, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        let (Self::Int(logical_type)
        | Self::Long(logical_type)
        | Self::Bytes(logical_type)
        | Self::Fixed { logical_type, .. }) = self
        else {
            return self.avro();
        };
        match logical_type {
            LogicalType::Plain
            | LogicalType::ConnectMillis
            | LogicalType::ConnectMicros
            | LogicalType::ConnectNanos
            | LogicalType::ConnectDate => self.avro(),
            LogicalType::Millis => "timestamp-millis",
            LogicalType::Micros => "timestamp-micros",
            LogicalType::Nanos => "timestamp-nanos",
            LogicalType::Date => "date",
            LogicalType::TimeOfDay => "time of day",
            LogicalType::LocalMillis => "local-timestamp-millis",
            LogicalType::LocalMicros => "local-timestamp-micros",
            LogicalType::LocalNanos => "local-timestamp-nanos",
            LogicalType::Decimal { .. } | LogicalType::BigDecimal => "decimal",
            LogicalType::Uuid => "uuid",
            LogicalType::Duration => "duration",
        }
    }
}

/// A primitive type.
fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int(LogicalType::Plain),
        "long" => Type::Long(LogicalType::Plain),
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes(LogicalType::Plain),
        "string" => Type::String,
        _ => return None,
    })
}

struct Parser {
    types: Vec<Type>,
    named: HashMap<String, TypeId>,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<TypeId, Incompatible> {
        let json = Json::parse(text.as_bytes())
            .map_err(|NotJson(column)| Incompatible::Schema(format!("invalid JSON at column {column}")))?;
        self.schema(json, "")
    }

    fn schema(&mut self, json: Json<'_>, namespace: &str) -> Result<TypeId, Incompatible> {
        match json {
            Json::Text(name) => self.name(&name.lossy(), namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => self.object(object, namespace),
            _ => Err(Incompatible::Schema("a type is neither a name, a list nor an object".into())),
        }
    }

    /// A primitive, or a type that was defined before.
    fn name(&mut self, name: &str, namespace: &str) -> Result<TypeId, Incompatible> {
        if let Some(primitive) = primitive(name) {
            return Ok(self.add(primitive));
        }
        let full = full_name(name, namespace);
        let found = self.named.get(&full).or_else(|| self.named.get(name));
        found.copied().ok_or(Incompatible::Undefined(full))
    }

    fn union(&mut self, branches: Array<'_>, namespace: &str) -> Result<TypeId, Incompatible> {
        let branches = branches.items().map(|branch| self.schema(branch, namespace)).collect::<Result<Vec<_>, _>>()?;
        // Records could not identify the inner branch.
        if branches.iter().any(|branch| matches!(self.types[branch.0], Type::Union(_))) {
            return Err(Incompatible::Schema("a union directly contains a union".into()));
        }
        Ok(self.add(Type::Union(branches)))
    }

    fn object(&mut self, object: Object<'_>, namespace: &str) -> Result<TypeId, Incompatible> {
        let missing = |key: &str, kind: &str| Incompatible::Schema(format!("a type {kind} has no `{key}`"));
        let kind = object.get("type").ok_or_else(|| Incompatible::Schema("an object has no `type`".into()))?;
        let Json::Text(name) = kind else {
            let inner = self.schema(kind, namespace)?;
            return Ok(self.with_logical_type(inner, object));
        };
        let kind = name.lossy();
        let inner = |key: &str| object.get(key).ok_or_else(|| missing(key, &kind));
        match &*kind {
            "array" => {
                let items = self.schema(inner("items")?, namespace)?;
                Ok(self.add(Type::Array(items)))
            }
            "map" => {
                let values = self.schema(inner("values")?, namespace)?;
                Ok(self.add(Type::Map(values)))
            }
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let (name, _) = self.own_name(object, namespace)?;
                let Json::Array(symbols) = inner("symbols")? else { return Err(missing("symbols", &kind)) };
                let symbols = symbols.items().filter_map(Json::text).map(|symbol| symbol.lossy().into_owned());
                let symbols = symbols.collect();
                Ok(self.define(object, Type::Enum { name, symbols }))
            }
            "fixed" => {
                let (name, _) = self.own_name(object, namespace)?;
                let size = match inner("size")? {
                    Json::Number(size) => size.whole().and_then(|size| usize::try_from(size).ok()),
                    _ => None,
                };
                let size = size.ok_or_else(|| missing("size", &kind))?;
                let fixed = self.define(object, Type::Fixed { name, size, logical_type: LogicalType::Plain });
                Ok(self.with_logical_type(fixed, object))
            }
            other => {
                let found = self.name(other, namespace)?;
                // A named type is defined elsewhere, with its own meaning.
                Ok(if primitive(other).is_some() { self.with_logical_type(found, object) } else { found })
            }
        }
    }

    fn record(&mut self, object: Object<'_>, namespace: &str) -> Result<TypeId, Incompatible> {
        let (name, namespace) = self.own_name(object, namespace)?;
        // Registered before its fields, since they may refer to it.
        let own = self.define(object, Type::Record { name: name.clone(), fields: Vec::new() });
        let Some(Json::Array(entries)) = object.get("fields") else {
            return Err(Incompatible::Schema(format!("the record {name} has no `fields`")));
        };
        let (mut fields, mut names) = (Vec::new(), HashSet::new());
        for entry in entries.items() {
            let of = |key| match entry {
                Json::Object(entry) => entry.get(key),
                _ => None,
            };
            let field = of("name").and_then(Json::text).map(|name| name.lossy().into_owned());
            let field = field.ok_or_else(|| Incompatible::Schema(format!("a field of {name} has no `name`")))?;
            let inner = of("type").ok_or_else(|| Incompatible::Schema(format!("`{field}` of {name} has no `type`")))?;
            if !names.insert(field.clone()) {
                return Err(Incompatible::Schema(format!("{name} has two fields `{field}`")));
            }
            let schema = self.schema(inner, &namespace)?;
            let aliases = of("aliases").map(texts).unwrap_or_default();
            fields.push(Field { name: field, aliases, schema });
        }
        self.types[own.0] = Type::Record { name, fields };
        Ok(own)
    }

    /// The full name of a defined type, and the namespace within it.
    fn own_name(&self, object: Object<'_>, namespace: &str) -> Result<(String, String), Incompatible> {
        let text = |key| object.get(key).and_then(Json::text).map(|text| text.lossy().into_owned());
        let name = text("name").ok_or_else(|| Incompatible::Schema("a type that needs a name has none".into()))?;
        let given = text("namespace");
        let full = full_name(&name, given.as_deref().unwrap_or(namespace));
        let within = full.rsplit_once('.').map_or(String::new(), |(within, _)| within.to_owned());
        Ok((full, within))
    }

    /// Adds a named type with its aliases.
    fn define(&mut self, object: Object<'_>, defined: Type) -> TypeId {
        let name = defined.name().unwrap_or_default().to_owned();
        let id = self.add(defined);
        let within = name.rsplit_once('.').map_or("", |(within, _)| within);
        for alias in object.get("aliases").map(texts).unwrap_or_default() {
            self.named.insert(full_name(&alias, within), id);
        }
        // Some tools repeat a definition at each use; a later reference means the latest.
        self.named.insert(name, id);
        id
    }

    fn add(&mut self, added: Type) -> TypeId {
        self.types.push(added);
        TypeId(self.types.len() - 1)
    }

    /// The type with its `logicalType`, if that fits.
    fn with_logical_type(&mut self, id: TypeId, object: Object<'_>) -> TypeId {
        let text = |key| object.get(key).and_then(Json::text).map(Text::lossy);
        let inner = &self.types[id.0];
        let of_avro = text("logicalType").and_then(|logical| logical_type(&logical, inner, object));
        let found = of_avro.or_else(|| text("connect.name").and_then(|name| connect_type(&name, inner)));
        if let Some(found) = found
            && let Type::Int(of) | Type::Long(of) | Type::Bytes(of) | Type::Fixed { logical_type: of, .. } =
                &mut self.types[id.0]
        {
            *of = found;
        }
        id
    }
}

/// The texts of a list.
fn texts(list: Json<'_>) -> Vec<String> {
    let Json::Array(list) = list else { return Vec::new() };
    list.items().filter_map(Json::text).map(|text| text.lossy().into_owned()).collect()
}

fn logical_type(logical: &str, inner: &Type, object: Object<'_>) -> Option<LogicalType> {
    Some(match (inner, logical) {
        (Type::Int(_), "date") => LogicalType::Date,
        (Type::Int(_), "time-millis") | (Type::Long(_), "time-micros") => LogicalType::TimeOfDay,
        (Type::Long(_), "timestamp-millis") => LogicalType::Millis,
        (Type::Long(_), "timestamp-micros") => LogicalType::Micros,
        (Type::Long(_), "timestamp-nanos") => LogicalType::Nanos,
        (Type::Long(_), "local-timestamp-millis") => LogicalType::LocalMillis,
        (Type::Long(_), "local-timestamp-micros") => LogicalType::LocalMicros,
        (Type::Long(_), "local-timestamp-nanos") => LogicalType::LocalNanos,
        (Type::Bytes(_) | Type::Fixed { .. }, "decimal") => {
            let whole = |key: &str| match object.get(key) {
                Some(Json::Number(number)) => number.whole().and_then(|number| usize::try_from(number).ok()),
                _ => None,
            };
            let scale = if object.get("scale").is_some() { whole("scale")? } else { 0 };
            let precision = whole("precision")?;
            if precision == 0 || precision < scale {
                return None;
            }
            LogicalType::Decimal { scale }
        }
        (Type::Bytes(_), "big-decimal") => LogicalType::BigDecimal,
        (Type::Bytes(_) | Type::Fixed { size: 16, .. }, "uuid") => LogicalType::Uuid,
        (Type::Fixed { size: 12, .. }, "duration") => LogicalType::Duration,
        _ => return None,
    })
}

/// What Kafka Connect and Debezium mean by a number.
fn connect_type(name: &str, inner: &Type) -> Option<LogicalType> {
    Some(match (inner, name) {
        (Type::Long(_), "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp") => {
            LogicalType::ConnectMillis
        }
        (Type::Long(_), "io.debezium.time.MicroTimestamp") => LogicalType::ConnectMicros,
        (Type::Long(_), "io.debezium.time.NanoTimestamp") => LogicalType::ConnectNanos,
        (Type::Int(_), "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date") => LogicalType::ConnectDate,
        _ => return None,
    })
}

/// A name with dots is a full name; others are in the namespace, if there is one.
fn full_name(name: &str, namespace: &str) -> String {
    match name.strip_prefix('.') {
        Some(outside) => outside.to_owned(),
        None if name.contains('.') || namespace.is_empty() => name.to_owned(),
        None => format!("{namespace}.{name}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Rabin's fingerprint, as the specification gives it.
fn crc64(bytes: &[u8]) -> u64 {
    const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
    let table = |index: u64| (0..8).fold(index, |crc, _| (crc >> 1) ^ (EMPTY & (crc & 1).wrapping_neg()));
    bytes.iter().fold(EMPTY, |crc, byte| (crc >> 8) ^ table((crc ^ u64::from(*byte)) & 0xff))
}
