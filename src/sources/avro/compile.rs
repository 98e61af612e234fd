//! The steps to read the records of a writer: the paths of a mapping, laid over its schema. What no path names is
//! skipped.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Field, LogicalType, SkipCompiler, SkipId, Skips, Type, TypeId, WriterSchema};
use crate::rules::nearest;
use crate::sources::field::Kind;
use crate::sources::time::{Clock, Moment, Unit};
use crate::sources::tree::{Node, NodeId, Slot, Tree};

/// How texts about a field that is null end.
const NULL: &str = " of type null";
/// The most fields that are named where a path finds none.
const NAMED_MAX: usize = 8;

/// How the records of one writer's schema are read.
#[derive(Debug)]
pub(in crate::sources) struct Program {
    pub(super) root: Step,
    pub(super) skips: Skips,
    /// How a whole record is skipped.
    pub(super) whole: SkipId,
    /// The full names of the records that the root may be, by branch of a union at the root; empty: it has no name.
    pub(in crate::sources) names: Vec<String>,
    /// Which paths no branch of the schema has.
    pub(in crate::sources) absent: BTreeMap<Slot, Absent>,
    /// What there is instead of the list of `each`, if no branch has it.
    pub(in crate::sources) no_list: Option<String>,
}

/// A path that no branch of a schema has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sources) struct Absent {
    /// What there is instead: a clause.
    pub(in crate::sources) instead: String,
}

/// Reads one value.
#[derive(Debug)]
pub(super) struct Step {
    /// Who wants it.
    pub(super) slot: Option<Slot>,
    pub(super) op: Op,
}

#[derive(Debug)]
pub(super) enum Op {
    /// Takes no bytes, and is missing.
    Nothing,
    Pass(SkipId, Kind),
    /// Skips values that nobody wants, one after the other.
    PassAll(Box<[SkipId]>),
    Scalar(Decode),
    /// Reads one value again and again; there are two steps or more.
    Several(Box<[Step]>),
    Record(Box<[Step]>),
    Union(Box<[Step]>),
    List(Box<Items>),
    Map(Box<Entries>),
}

/// Reads a list.
#[derive(Debug)]
pub(super) struct Items {
    /// How an element is skipped.
    pub(super) pass: SkipId,
    pub(super) each: Option<Step>,
    pub(super) places: Vec<(u64, Step)>,
    pub(super) keyed: Vec<KeyedItems>,
    /// Elements for `contains`; only where a slot wants them.
    pub(super) values: Option<Decode>,
}

#[derive(Debug)]
pub(super) struct KeyedItems {
    pub(super) by: Step,
    pub(super) slot: Slot,
    pub(super) choices: Vec<(Box<str>, Step)>,
}

/// Reads a map.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) pass: SkipId,
    pub(super) names: Vec<(Box<str>, NodeId, Step)>,
}

/// Reads a single value.
#[derive(Debug)]
pub(super) enum Decode {
    Null,
    Bool,
    Int(Meaning),
    Long(Meaning),
    Float,
    Double,
    Text,
    Symbol(Box<[Box<str>]>),
    Decimal { scale: i32, size: Option<usize> },
    BigDecimal,
    Uuid { size: Option<usize> },
    Other(SkipId, Kind),
    Union(Box<[Self]>),
}

/// What an integer means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    Number,
    Moment(Unit, Clock),
    Date,
    /// Since midnight: a factor that makes microseconds of it.
    TimeOfDay(i64),
}

impl Meaning {
    fn of(logical_type: LogicalType) -> Self {
        match logical_type {
            LogicalType::Millis => Self::Moment(Unit::Millis, Clock::Utc),
            LogicalType::Micros => Self::Moment(Unit::Micros, Clock::Utc),
            LogicalType::Nanos => Self::Moment(Unit::Nanos, Clock::Utc),
            LogicalType::LocalMillis => Self::Moment(Unit::Millis, Clock::Local),
            LogicalType::LocalMicros => Self::Moment(Unit::Micros, Clock::Local),
            LogicalType::LocalNanos => Self::Moment(Unit::Nanos, Clock::Local),
            LogicalType::ConnectMillis => Self::Moment(Unit::Millis, Clock::LocalOrUtc),
            LogicalType::ConnectMicros => Self::Moment(Unit::Micros, Clock::LocalOrUtc),
            LogicalType::ConnectNanos => Self::Moment(Unit::Nanos, Clock::LocalOrUtc),
            LogicalType::Date | LogicalType::ConnectDate => Self::Date,
            LogicalType::TimeOfDay => Self::TimeOfDay(1),
            LogicalType::Plain
            | LogicalType::Decimal { .. }
            | LogicalType::BigDecimal
            | LogicalType::Uuid
            | LogicalType::Duration => Self::Number,
        }
    }

    pub(super) fn moment(unit: Unit, clock: Clock, value: i64) -> Moment {
        Moment { value, unit, clock }
    }
}

impl Program {
    /// Lays the paths below a node over a schema.
    pub(in crate::sources) fn compile(tree: &Tree, node: NodeId, writer: &WriterSchema) -> Self {
        let skips = SkipCompiler::new(writer);
        let (reached, absent) = (BTreeSet::new(), BTreeMap::new());
        let mut compiler = Compiler { tree, writer, skips, reached, absent, has_list: false, no_list: None };
        let root = compiler.step(node, writer.root());
        let whole = compiler.skips.skip(writer.root());
        let name = |id: TypeId| writer.get(id).name().unwrap_or_default().to_owned();
        let names = match writer.get(writer.root()) {
            Type::Union(branches) => branches.iter().map(|branch| name(*branch)).collect(),
            _ => vec![name(writer.root())],
        };
        let Compiler { skips, reached, mut absent, has_list, no_list, .. } = compiler;
        absent.retain(|slot, _| !reached.contains(slot));
        Self { root, skips: skips.finish(), whole, names, absent, no_list: no_list.filter(|_| !has_list) }
    }
}

struct Compiler<'s> {
    tree: &'s Tree,
    writer: &'s WriterSchema,
    skips: SkipCompiler<'s>,
    reached: BTreeSet<Slot>,
    absent: BTreeMap<Slot, Absent>,
    has_list: bool,
    no_list: Option<String>,
}

impl<'s> Compiler<'s> {
    fn step(&mut self, at: NodeId, schema: TypeId) -> Step {
        let (tree, writer) = (self.tree, self.writer);
        let node = tree.get(at);
        if let Type::Union(branches) = writer.get(schema) {
            let branches = branches.iter().map(|branch| self.step(at, *branch)).collect();
            return Step { slot: None, op: Op::Union(branches) };
        }
        self.reached.extend(node.slot);
        let op = match writer.get(schema) {
            Type::Record { fields, .. } => self.record(node, schema, fields),
            Type::Map(values) => {
                self.no_elements(node, "map");
                let names: Vec<_> =
                    node.names.iter().map(|(name, child)| (name.clone(), *child, self.step(*child, *values))).collect();
                if names.is_empty() {
                    self.pass(schema)
                } else {
                    Op::Map(Box::new(Entries { pass: self.skips.skip(*values), names }))
                }
            }
            Type::Array(items) => self.list(node, schema, *items),
            other => {
                let kind = other.kind();
                self.no_elements(node, kind);
                for (_, child) in &node.names {
                    self.note(*child, &format!("nothing lies within a value of type {kind}"));
                }
                match node.slot {
                    Some(_) => match self.decode(schema) {
                        Decode::Null => Op::Nothing,
                        decode => Op::Scalar(decode),
                    },
                    None => self.pass(schema),
                }
            }
        };
        Step { slot: node.slot, op }
    }

    fn record(&mut self, node: &'s Node, schema: TypeId, fields: &'s [Field]) -> Op {
        self.no_elements(node, "record");
        // A field is found by its name, and by what it was called before, unless that is now another's name.
        let named = |name: &str| {
            let was_named = |field: &Field| field.aliases.iter().any(|alias| alias == name);
            let by_name = fields.iter().position(|field| field.name == name);
            by_name.or_else(|| fields.iter().position(was_named))
        };
        let mut children: Vec<Vec<NodeId>> = vec![Vec::new(); fields.len()];
        for (name, child) in &node.names {
            if let Some(at) = named(name) {
                children[at].push(*child);
                continue;
            }
            let names = || fields.iter().map(|field| field.name.as_str());
            let instead = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let some: Vec<&str> = names().take(NAMED_MAX).collect();
                    let more = if fields.len() > some.len() { ", …" } else { "" };
                    format!("there are {}{more}", some.join(", "))
                }
            };
            self.note(*child, &instead);
        }
        if children.iter().all(Vec::is_empty) {
            return self.pass(schema);
        }
        let (mut steps, mut unwanted) = (Vec::new(), Vec::new());
        for (field, children) in fields.iter().zip(children) {
            let step = match children.as_slice() {
                [] => {
                    unwanted.push(self.skips.skip(field.schema));
                    continue;
                }
                [child] => self.step(*child, field.schema),
                several => {
                    let steps = several.iter().map(|child| self.step(*child, field.schema)).collect();
                    Step { slot: None, op: Op::Several(steps) }
                }
            };
            steps.extend(pass_all(&mut unwanted));
            steps.push(step);
        }
        steps.extend(pass_all(&mut unwanted));
        Op::Record(steps.into_iter().filter(|step| step.slot.is_some() || step.op.takes_part()).collect())
    }

    fn list(&mut self, node: &'s Node, schema: TypeId, items: TypeId) -> Op {
        for (_, child) in &node.names {
            self.note(*child, "this is a list: use `each`, [0] or [key=text]");
        }
        let pass = self.skips.skip(items);
        // Elements without bytes hold nothing, and there could be any number of them; only `each` counts them.
        if !node.has_elements() || pass == SkipId::NOTHING && !node.is_each {
            return self.pass(schema);
        }
        self.has_list |= node.is_each;
        let each = node.is_each.then(|| self.step(self.tree.element, items));
        let places = node.places.iter().map(|(place, child)| (*place, self.step(*child, items))).collect();
        let mut keyed = Vec::new();
        for group in &node.keyed {
            let by = self.step(group.by, items);
            let mut choices = Vec::new();
            for (is, child) in &group.choices {
                choices.push((is.clone(), self.step(*child, items)));
            }
            keyed.push(KeyedItems { by, slot: group.slot, choices });
        }
        let values = node.is_list_wanted.then(|| self.decode(items));
        Op::List(Box::new(Items { pass, each, places, keyed, values }))
    }

    /// No list is here, so nothing is found in its elements.
    fn no_elements(&mut self, node: &Node, kind: &str) {
        let instead = format!("this is no list, but of type {kind}");
        if node.is_each && kind != "null" {
            self.no_list.get_or_insert_with(|| instead.clone());
        }
        for (_, child) in &node.places {
            self.note(*child, &instead);
        }
        for (_, child) in node.keyed.iter().flat_map(|group| &group.choices) {
            self.note(*child, &instead);
        }
    }

    /// No path at or below a node finds anything here.
    fn note(&mut self, node: NodeId, instead: &str) {
        // What the other branch of a nullable field says is of more use.
        let is_of_null = |known: &str| known.ends_with(NULL);
        if self.tree.has_each(node) && self.no_list.as_deref().is_none_or(is_of_null) {
            self.no_list = Some(instead.to_owned());
        }
        for slot in self.tree.below(node) {
            let known = self.absent.entry(slot).or_insert_with(|| Absent { instead: instead.to_owned() });
            if is_of_null(&known.instead) {
                instead.clone_into(&mut known.instead);
            }
        }
    }

    fn pass(&mut self, schema: TypeId) -> Op {
        let kind = match self.writer.get(schema) {
            Type::Array(_) => Kind::List,
            Type::Bytes(_) | Type::Fixed { .. } => Kind::Bytes,
            _ => Kind::Record,
        };
        Op::Pass(self.skips.skip(schema), kind)
    }

    fn decode(&mut self, schema: TypeId) -> Decode {
        let scale_of = |scale: usize| i32::try_from(scale).unwrap_or(i32::MAX);
        match self.writer.get(schema) {
            Type::Null => Decode::Null,
            Type::Boolean => Decode::Bool,
            // A time of day is in milliseconds as an int, in microseconds as a long.
            Type::Int(LogicalType::TimeOfDay) => Decode::Int(Meaning::TimeOfDay(1_000)),
            Type::Int(of) => Decode::Int(Meaning::of(*of)),
            Type::Long(of) => Decode::Long(Meaning::of(*of)),
            Type::Float => Decode::Float,
            Type::Double => Decode::Double,
            Type::String => Decode::Text,
            Type::Enum { symbols, .. } => Decode::Symbol(symbols.iter().map(|symbol| symbol.as_str().into()).collect()),
            Type::Bytes(LogicalType::Decimal { scale }) => Decode::Decimal { scale: scale_of(*scale), size: None },
            Type::Fixed { size, logical_type: LogicalType::Decimal { scale }, .. } => {
                Decode::Decimal { scale: scale_of(*scale), size: Some(*size) }
            }
            Type::Bytes(LogicalType::BigDecimal) => Decode::BigDecimal,
            Type::Bytes(LogicalType::Uuid) => Decode::Uuid { size: None },
            Type::Fixed { size, logical_type: LogicalType::Uuid, .. } => Decode::Uuid { size: Some(*size) },
            Type::Union(branches) => Decode::Union(branches.iter().map(|branch| self.decode(*branch)).collect()),
            Type::Bytes(_) | Type::Fixed { .. } => Decode::Other(self.skips.skip(schema), Kind::Bytes),
            Type::Array(_) => Decode::Other(self.skips.skip(schema), Kind::List),
            Type::Map(_) | Type::Record { .. } => Decode::Other(self.skips.skip(schema), Kind::Record),
        }
    }
}

/// The step over fields that nobody wants, if there are any; none are left.
fn pass_all(unwanted: &mut Vec<SkipId>) -> Option<Step> {
    let skips: Box<[SkipId]> = unwanted.drain(..).filter(|skip| *skip != SkipId::NOTHING).collect();
    (!skips.is_empty()).then_some(Step { slot: None, op: Op::PassAll(skips) })
}

impl Op {
    /// Does it read anything?
    fn takes_part(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Pass(SkipId::NOTHING, _))
    }
}
