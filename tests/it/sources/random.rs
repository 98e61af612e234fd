//! Random sources over random records of Avro and JSON: the events are those of the reference; and over damaged ones.

use cohortd::sources::Payload;

use super::naive::{Filter, Path, Source, Step, Test};
use super::values::{Field, Found, Maker, NAMES, Type};
use super::{mapping, shown};

const CASES: u64 = 4_000;

/// Reasons alone, since details are for people.
pub(super) fn in_short(outcome: &cohortd::sources::Outcome<'_>) -> Vec<String> {
    let short = |line: String| match line.strip_prefix("refused: ") {
        Some(rest) => format!("refused: {}", rest.split(':').next().unwrap_or_default()),
        None => line,
    };
    shown(outcome).into_iter().map(short).collect()
}

/// Did a record become events?
pub(super) fn is_mapped(lines: &[String]) -> bool {
    !lines[0].starts_with("refused") && !lines[0].starts_with("skipped")
}

#[test]
fn random_sources_over_random_avro_give_the_events_of_the_reference() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..CASES {
        let mut maker = Maker::new(seed);
        let of = maker.record();
        let source = maker.source(Shape::Type(&of));
        let schema = of.schema().to_string();
        let mapping = mapping(&source.text("avro"));
        let reader = mapping.reader(&schema).unwrap();
        for _ in 0..3 {
            let (value, found) = maker.value(&of);
            let bytes = of.encoded(value);
            let mapped = in_short(&mapping.map(&Payload::Avro(&reader, &bytes).alone()));
            let judged = source.judge(&found, Some(&of));
            assert_eq!(mapped, judged, "seed {seed}\n{}\n{schema}\n{found:#?}", source.text("avro"));
            assert_eq!(reader.length(&bytes), Ok(bytes.len()));
            kinds.extend(
                judged.iter().map(|line| line.split('[').next().unwrap().split(' ').take(2).collect::<String>()),
            );
        }
    }
    for reason in ["refused:no_such_field", "refused:bad_time", "skipped:where", "skipped:no_elements"] {
        assert!(kinds.contains(reason), "no case ends as {reason}: {kinds:?}");
    }
    assert!(kinds.len() > 15, "{kinds:?}");
}

#[test]
fn random_sources_over_random_json_give_the_events_of_the_reference() {
    let mut mapped_to_events = 0;
    for seed in 0..CASES {
        let mut maker = Maker::new(seed);
        let record = maker.json_record();
        let source = maker.source(Shape::Value(&record));
        let mapping = mapping(&source.text("json"));
        for record in [record, maker.json_record(), maker.json(2)] {
            let text = record.written();
            let mapped = in_short(&mapping.map(&Payload::Json(text.as_bytes()).alone()));
            let judged = source.judge(&record, None);
            assert_eq!(mapped, judged, "seed {seed}\n{}\n{text}", source.text("json"));
            mapped_to_events += u64::from(is_mapped(&judged));
        }
    }
    assert!(mapped_to_events > CASES / 10, "{mapped_to_events}");
}

/// Whatever the bytes are, a record is refused or becomes something, at once.
#[test]
fn damaged_bytes_harm_nobody() {
    for seed in 0..CASES / 2 {
        let mut maker = Maker::new(seed);
        let of = maker.record();
        let source = maker.source(Shape::Type(&of));
        let schema = of.schema().to_string();
        let mapping = mapping(&source.text("avro"));
        let reader = mapping.reader(&schema).unwrap();
        let (value, _) = maker.value(&of);
        let bytes = of.encoded(value);
        for _ in 0..20 {
            let damaged = maker.damaged(&bytes);
            let outcome = mapping.map(&Payload::Avro(&reader, &damaged).alone());
            assert!(!shown(&outcome).is_empty());
            assert!(!reader.length(&damaged).is_ok_and(|length| length > damaged.len()));
        }
        let record = maker.json_record();
        let source = maker.source(Shape::Value(&record));
        let mapping = super::mapping(&source.text("json"));
        for _ in 0..20 {
            let damaged = maker.damaged(record.written().as_bytes());
            assert!(!shown(&mapping.map(&Payload::Json(&damaged).alone())).is_empty());
        }
    }
}

/// Counts that no record could hold, of elements that take no bytes or some.
#[test]
fn claimed_counts_cost_nothing() {
    let mapping = mapping(
        "[sources.s]\ntopic = 't'\ncustomer = 'c'\ntime = '@timestamp'\nevent = 'e'\neach = 'l'\n\
         properties = { x = 'each.x', y = 'm[3].x', z = 'm[x=\"1\"].x' }\n",
    );
    let nothing = r#"{"type":"record","name":"N","fields":[{"name":"x","type":"null"}]}"#;
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"c","type":"string"}},
            {{"name":"l","type":{{"type":"array","items":{nothing}}}}},{{"name":"m","type":{{"type":"array","items":"N"}}}}]}}"#
    );
    let reader = mapping.reader(&schema).unwrap();
    // 2^31 - 1 elements, again and again.
    let block = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let many = |blocks: usize| [&[2, b'c'][..], &block.repeat(blocks), &[0], &block.repeat(blocks), &[0]].concat();
    let found = shown(&mapping.map(&Payload::Avro(&reader, &many(1_000)).alone()));
    assert_eq!(found, ["refused: bad_list: `l` has more than 10000 elements"]);
    let one = [2, b'c', 2, 0, 0];
    let found = shown(&mapping.map(&Payload::Avro(&reader, &one).alone()));
    assert_eq!(found, ["refused: bad_time: element 1: `@timestamp` is missing or empty"]);
}

#[test]
fn json_is_nested_64_levels_deep_and_no_deeper() {
    let mapping = mapping("[sources.s]\ntopic = 't'\nformat = 'json'\ncustomer = 'c'\ntime = 't'\nevent = 'e'\n");
    let nested = |levels: usize| {
        format!(r#"{{"c":"c","t":1767603600000,"x":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
    };
    let of = |levels: usize| shown(&mapping.map(&Payload::Json(nested(levels).as_bytes()).alone()));
    assert_eq!(of(64), ["c e 2026-01-05T09:00:00.000Z hash s []"]);
    for levels in [65, 100_000] {
        assert!(of(levels)[0].starts_with("refused: undecodable"), "{levels}");
    }
    let many = |elements: usize| format!("[{}]", vec!["1"; elements].join(","));
    let mapping = super::mapping(
        "[sources.s]\ntopic = 't'\nformat = 'json'\ncustomer = 'c'\ntime = 't'\nevent = 'e'\neach = 'l'\n",
    );
    let of = |elements: usize| {
        let text = format!(r#"{{"c":"c","t":1767603600000,"l":{}}}"#, many(elements));
        shown(&mapping.map(&Payload::Json(text.as_bytes()).alone()))
    };
    assert_eq!(of(10_000).len(), 10_000);
    assert_eq!(of(10_001), ["refused: bad_list: `l` has more than 10000 elements"]);
}

/// What paths are made for.
#[derive(Clone, Copy)]
pub(super) enum Shape<'s> {
    Type(&'s Type),
    Value(&'s Found),
}

impl Maker {
    fn json_record(&mut self) -> Found {
        let Found::Members(mut members) = (loop {
            if let members @ Found::Members(_) = self.json(3) {
                break members;
            }
        }) else {
            unreachable!("the loop ends with members")
        };
        members.push(("who".to_owned(), self.one(&[Found::Text("x".to_owned()), Found::Null, Found::Number(7, 0)])));
        members.push(("at".to_owned(), self.one(&[Found::Number(1_767_603_600_123, 0), Found::Number(5, 0)])));
        Found::Members(members)
    }

    fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        for _ in 0..self.random.usize(1..4) {
            let at = self.random.usize(..=damaged.len());
            match self.random.u32(..4) {
                0 => damaged.truncate(at),
                1 => damaged.insert(at, self.random.u8(..)),
                2 => damaged.extend((0..self.random.usize(..12)).map(|_| 0xff)),
                _ => {
                    if let Some(byte) = damaged.get_mut(at) {
                        *byte = self.random.u8(..);
                    }
                }
            }
        }
        damaged
    }

    pub(super) fn source(&mut self, shape: Shape<'_>) -> Source {
        let named = |name: &str| Path { of_element: false, steps: vec![Step::Name(name.to_owned())] };
        let each = self.random.bool().then(|| self.list(shape)).flatten();
        let elements: Vec<Shape<'_>> = match (&each, shape) {
            (None, _) => Vec::new(),
            (Some(each), Shape::Type(of)) => each.elements(of).into_iter().map(Shape::Type).collect(),
            (Some(_), Shape::Value(value)) => vec![Shape::Value(value)],
        };
        let path = |maker: &mut Self| match elements.as_slice() {
            [] => maker.path(shape),
            elements if maker.random.bool() => {
                let element = maker.one(elements);
                Path { of_element: true, ..maker.path(element) }
            }
            _ => maker.path(shape),
        };
        let mut customer = vec![named("who")];
        let mut time = vec![named("at")];
        match self.random.u32(..8) {
            0 => customer.insert(0, path(self)),
            1 => customer = vec![path(self)],
            2 => time.insert(0, path(self)),
            3 => time = vec![path(self)],
            _ => {}
        }
        Source {
            customer,
            time,
            id: (self.random.u32(..3) == 0).then(|| path(self)),
            name: (self.random.u32(..4) == 0).then(|| path(self)),
            filter: (self.random.u32(..3) == 0).then(|| self.filter(2, &path)),
            properties: (0..self.random.usize(..5)).map(|_| path(self)).collect(),
            each,
        }
    }

    fn filter(&mut self, depth: u32, path: &dyn Fn(&mut Self) -> Path) -> Filter {
        let inner = |maker: &mut Self| Box::new(maker.filter(depth - 1, path));
        match self.random.u32(..if depth == 0 { 1 } else { 5 }) {
            1 => Filter::And(inner(self), inner(self)),
            2 => Filter::Or(inner(self), inner(self)),
            3 => Filter::Not(inner(self)),
            _ => {
                let sign = self.one(&["=", "!=", "<", "<=", ">", ">="]);
                let test = match self.random.u32(..7) {
                    0 => Test::Number(sign, self.one(&[0, 100, -200, 599, 176_760_360_000_000])),
                    1 => Test::Text(sign, self.one(&["x", "y", "", "2026-01-31"])),
                    2 => Test::True,
                    3 => Test::In(vec!["x", "PAID"]),
                    4 => Test::Contains("x"),
                    5 => Test::Missing,
                    _ => Test::Known,
                };
                Filter::Test(path(self), test)
            }
        }
    }

    /// A path to a list, if there is one at hand.
    fn list(&mut self, shape: Shape<'_>) -> Option<Path> {
        for _ in 0..20 {
            let path = self.path(shape);
            let is_list = match shape {
                Shape::Type(of) => !path.elements(of).is_empty(),
                Shape::Value(_) => self.random.bool(),
            };
            if is_list && !path.steps.is_empty() {
                return Some(path);
            }
        }
        None
    }

    /// A path into a type or a value, or now and then past it.
    fn path(&mut self, shape: Shape<'_>) -> Path {
        let mut steps = Vec::new();
        match shape {
            Shape::Type(of) => self.walk_type(of, &mut steps),
            Shape::Value(value) => self.walk_value(value, &mut steps),
        }
        if steps.is_empty() || self.random.u32(..12) == 0 {
            steps.push(Step::Name(self.one(&NAMES).to_owned()));
        }
        Path { of_element: false, steps }
    }

    fn walk_type(&mut self, of: &Type, steps: &mut Vec<Step>) {
        if self.random.u32(..8) == 0 {
            return;
        }
        match of {
            Type::Record(record) => {
                let field = self.one(record.fields());
                let name = self.name_of(&field);
                steps.push(Step::Name(name));
                self.walk_type(&field.of, steps);
            }
            Type::Map(values) => {
                steps.push(Step::Name(self.one(&NAMES).to_owned()));
                self.walk_type(values, steps);
            }
            Type::List(items) => {
                let by = match &**items {
                    Type::Record(record) => {
                        let field = self.one(record.fields());
                        self.name_of(&field)
                    }
                    _ => self.one(&NAMES).to_owned(),
                };
                steps.push(self.element_step(by));
                self.walk_type(items, steps);
            }
            Type::Union(branches) => {
                let branch = self.one(branches);
                self.walk_type(&branch, steps);
            }
            _ => {}
        }
    }

    /// Its name, or what it was called before.
    fn name_of(&mut self, field: &Field) -> String {
        let names: Vec<&String> = std::iter::once(&field.name).chain(&field.aliases).collect();
        self.one(&names).clone()
    }

    fn walk_value(&mut self, value: &Found, steps: &mut Vec<Step>) {
        if self.random.u32(..8) == 0 {
            return;
        }
        match value {
            Found::Members(members) if !members.is_empty() => {
                let (name, value) = self.one(members);
                steps.push(Step::Name(name));
                self.walk_value(&value, steps);
            }
            Found::List(items) if !items.is_empty() => {
                let by = self.one(&NAMES).to_owned();
                steps.push(self.element_step(by));
                let item = self.one(items);
                self.walk_value(&item, steps);
            }
            _ => {}
        }
    }

    fn element_step(&mut self, by: String) -> Step {
        if self.random.bool() {
            Step::Place(self.random.usize(..3))
        } else {
            Step::Keyed(by, self.one(&["x", "1", "PAID", "-2"]).to_owned())
        }
    }
}
