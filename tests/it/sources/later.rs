//! Later versions of random schemas, with fields renamed, added, moved, widened and made nullable: the same values give
//! the same events, by the same mapping.

use std::collections::HashMap;
use std::rc::Rc;

use apache_avro::types::Value as Avro;
use cohortd::sources::Payload;

use super::mapping;
use super::random::{Shape, in_short, is_mapped};
use super::values::{Field, Maker, Record, Type};

const CASES: u64 = 2_000;

#[test]
fn records_of_a_later_version_of_their_schema_give_the_same_events() {
    let mut events = 0;
    for seed in 0..CASES {
        let mut maker = Maker::new(seed);
        let of = maker.record();
        let source = maker.source(Shape::Type(&of));
        let later = maker.later(&of, &mut HashMap::new());
        let mapping = mapping(&source.text("avro"));
        let map = |of: &Type, value: Avro| {
            let bytes = of.encoded(value);
            let reader = mapping.reader(&of.schema().to_string()).unwrap();
            in_short(&mapping.map(&Payload::Avro(&reader, &bytes).alone()))
        };
        for _ in 0..3 {
            let (value, _) = maker.value(&of);
            let now = as_later(&value, &of, &later);
            let before = map(&of, value);
            let text = source.text("avro");
            assert_eq!(map(&later, now), before, "seed {seed}\n{text}\n{}\n{}", of.schema(), later.schema());
            events += u64::from(is_mapped(&before));
        }
    }
    assert!(events > CASES / 4, "{events}");
}

impl Maker {
    /// The type as a later version has it. `known`: the records that were made.
    fn later(&mut self, of: &Type, known: &mut HashMap<String, Rc<Record>>) -> Type {
        let later = self.later_branch(of, known);
        match later {
            Type::Null | Type::Union(_) => later,
            later if self.random.u32(..4) == 0 => Type::Union(vec![Type::Null, later]),
            later => later,
        }
    }

    /// The same, but not as a union of its own.
    fn later_branch(&mut self, of: &Type, known: &mut HashMap<String, Rc<Record>>) -> Type {
        match of {
            Type::Int if self.random.bool() => Type::Long,
            Type::Record(record) => Type::Record(self.later_record(record, known)),
            Type::List(items) => Type::List(Box::new(self.later(items, known))),
            Type::Map(values) => Type::Map(Box::new(self.later(values, known))),
            Type::Union(branches) => {
                Type::Union(branches.iter().map(|branch| self.later_branch(branch, known)).collect())
            }
            other => other.clone(),
        }
    }

    fn later_record(&mut self, record: &Rc<Record>, known: &mut HashMap<String, Rc<Record>>) -> Rc<Record> {
        if let Some(later) = known.get(&record.name) {
            return Rc::clone(later);
        }
        let later = Record::unfinished(record.name.clone());
        known.insert(record.name.clone(), Rc::clone(&later));
        let mut fields: Vec<Field> = Vec::new();
        for field in record.fields() {
            let mut field = Field { of: self.later(&field.of, known), ..field.clone() };
            if self.random.u32(..3) == 0 {
                let name = format!("now_{}", field.name);
                field.aliases.push(std::mem::replace(&mut field.name, name));
            }
            fields.push(field);
        }
        if self.random.bool() {
            fields.push(Field::new("added", Type::Text));
        }
        self.random.shuffle(&mut fields);
        later.finish(fields);
        later
    }
}

/// A value as the later version holds it.
fn as_later(value: &Avro, of: &Type, later: &Type) -> Avro {
    match (value, of, later) {
        (Avro::Union(branch, value), Type::Union(branches), Type::Union(later)) => {
            let at = *branch as usize;
            Avro::Union(*branch, Box::new(as_later(value, &branches[at], &later[at])))
        }
        (value, of, Type::Union(later)) => Avro::Union(1, Box::new(as_later(value, of, &later[1]))),
        (Avro::Int(value), _, Type::Long) => Avro::Long((*value).into()),
        (Avro::Record(values), Type::Record(record), Type::Record(later)) => {
            let mut now = Vec::new();
            for field in later.fields() {
                let is_same = |before: &&Field| before.name == field.name || field.aliases.contains(&before.name);
                let value = match record.fields().iter().find(is_same) {
                    Some(before) => {
                        let (_, value) = values.iter().find(|(name, _)| *name == before.name).expect("it has all");
                        as_later(value, &before.of, &field.of)
                    }
                    None => Avro::String("new".to_owned()),
                };
                now.push((field.name.clone(), value));
            }
            Avro::Record(now)
        }
        (Avro::Array(items), Type::List(of), Type::List(later)) => {
            Avro::Array(items.iter().map(|item| as_later(item, of, later)).collect())
        }
        (Avro::Map(entries), Type::Map(of), Type::Map(later)) => {
            Avro::Map(entries.iter().map(|(name, value)| (name.clone(), as_later(value, of, later))).collect())
        }
        (value, ..) => value.clone(),
    }
}
