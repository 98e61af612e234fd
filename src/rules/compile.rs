//! A document to a rule set: looks every name up, orders the cohorts, turns conditions into facts and tests on them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::ast::{
    Bound, Compare, CompareTest, Count, Did, Edge, Events, Expr, ExprKind, Filter as WrittenFilter,
    FilterTest as WrittenTest, Function, Literal as WrittenLiteral, Measure as WrittenMeasure, MeasureKind, Mode, Name,
    Op, Operand, Range, Sequence, Silent, Step, Unit, Window as WrittenWindow,
};
use super::calendar::Calendar;
use super::document::{Document, Written};
use super::error::{ExprError, RuleError, nearest};
use super::facts::{DistinctKey, FactIx, FactKind, FactSpec, Floor, Selector};
use super::ruleset::{
    Cohort, CohortIx, Comparand, Condition, ConditionIx, CountTest, Feed, Measure, Node, Role, RuleSet, Window,
};
use super::selector::{Filter, FilterTest, Literal};
use super::source::locate;
use crate::event::{Instant, NameId, Number, PropertyId, Span, Vocabulary};

/// "At least N times" is exact up to here.
const COUNT_MAX: u32 = 1_000;
/// (time, amount) pairs held one by one; older ones by day.
const SERIES_EXACT: usize = 256;
/// Pairs of (time, key) behind `different` over a band of time.
const DISTINCT_ALL_MAX: usize = 1_024;
/// Values of `per key` held at once.
const KEYS_MAX: usize = 64;
/// Unanswered A's of `each A then no B`.
const EACH_MAX: usize = 256;
/// Gaps behind `usual gap`, so one time more.
const GAPS: usize = 8;
/// Entries that the last 16 changes of a membership are sure to hold.
const MOVES_MAX: u32 = 8;
/// The largest factor of `N x measure`, so that products stay exact in 128 bits.
const FACTOR_MAX: i128 = 1_000_000 * Number::ONE;

type Compiled<T> = Result<T, ExprError>;

/// Compiles a document; `text` is the file's, for the places of mistakes.
///
/// # Errors
/// Every unknown cohort, cycle, mismatch of types and form that this release does not run.
pub fn compile(file: &str, text: &str, document: &Document) -> Result<RuleSet, Vec<RuleError>> {
    let mut errors = Vec::new();
    let order = match decision_order(document) {
        Ok(order) => order,
        Err(problems) => {
            for (cohort, part, error) in problems {
                errors.push(placed(file, text, document, &cohort, part, error));
            }
            return Err(errors);
        }
    };
    let mut compiler = Compiler::new(document, &order);
    let mut cohorts = Vec::new();
    for name in &order {
        let rule = &document.cohorts[*name];
        let mut part = |part: Part, written: Option<&Written>| {
            let node = written.map(|written| compiler.node(&written.text, &written.expr));
            match node.transpose() {
                Ok(node) => node,
                Err(error) => {
                    errors.push(placed(file, text, document, name, part, error));
                    None
                }
            }
        };
        let who = part(Part::Who, Some(&rule.who)).unwrap_or(Node::And(Vec::new()));
        let stay = part(Part::Stay, rule.stay.as_ref());
        let until = part(Part::Until, rule.until.as_ref());
        cohorts.push(Cohort {
            name: (*name).to_owned(),
            who,
            stay,
            until,
            at_least: rule.at_least,
            at_most: rule.at_most,
            cooldown: rule.cooldown,
            once: rule.once,
            enabled: rule.enabled,
            title: rule.name.clone(),
            owner: rule.owner.clone(),
            action: rule.action.clone(),
            definition: definition(document, name),
            dependants: Vec::new(),
            keeps_history: false,
        });
    }
    if !errors.is_empty() {
        errors.sort_by_key(|error| (error.line, error.column));
        return Err(errors);
    }
    Ok(compiler.finish(document, cohorts))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Who,
    Stay,
    Until,
}

fn placed(file: &str, text: &str, document: &Document, cohort: &str, part: Part, error: ExprError) -> RuleError {
    let rule = &document.cohorts[cohort];
    let (key, written) = match part {
        Part::Stay => ("stay", rule.stay.as_ref()),
        Part::Until => ("until", rule.until.as_ref()),
        Part::Who => ("who", Some(&rule.who)),
    };
    let written = written.unwrap_or(&rule.who);
    let range = locate(text, written.literal.clone(), &written.text, error.range);
    RuleError::at(file, text, range, &format!("cohorts.{cohort}.{key}"), error.message, error.hint)
}

/// The cohorts in the order of their references: always the smallest name among those whose references are decided.
fn decision_order(document: &Document) -> Result<Vec<&str>, Vec<(String, Part, ExprError)>> {
    let mut references: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut places: BTreeMap<(&str, &str), (Part, Range)> = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, rule) in &document.cohorts {
        let parts =
            [(Part::Who, Some(&rule.who)), (Part::Stay, rule.stay.as_ref()), (Part::Until, rule.until.as_ref())];
        let found = references.entry(name).or_default();
        for (part, written) in parts {
            let mut names = Vec::new();
            if let Some(written) = written {
                cohorts_named(&written.expr, &mut names);
            }
            for reference in names {
                if let Some((known, _)) = document.cohorts.get_key_value(&reference.text) {
                    found.insert(known);
                    places.entry((name, known)).or_insert((part, reference.range));
                    continue;
                }
                let mut error = ExprError::new(reference.range, format!("there is no cohort `{}`", reference.text));
                error = match nearest(&reference.text, document.cohorts.keys().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("define it, or take the reference out"),
                };
                errors.push((name.clone(), part, error));
            }
        }
    }
    // Whoever is not decided keeps nobody waiting.
    references.values_mut().for_each(|needs| needs.retain(|need| document.cohorts[*need].enabled));
    let mut order: Vec<&str> = Vec::new();
    while errors.is_empty() && order.len() < references.len() {
        let ready = references
            .iter()
            .find(|(name, needs)| !order.contains(name) && needs.iter().all(|need| order.contains(need)));
        if let Some((name, _)) = ready {
            order.push(name);
            continue;
        }
        let cycle = cycle(&references, &order);
        let (part, range) = places[&(cycle[0], cycle[1])];
        let error = ExprError::new(range, format!("cohorts refer to each other in a circle: {}", cycle.join(" -> ")))
            .hint("take one of these references out");
        errors.push((cycle[0].to_owned(), part, error));
    }
    if errors.is_empty() { Ok(order) } else { Err(errors) }
}

/// One circle among the cohorts not yet ordered, its first name repeated at the end.
fn cycle<'a>(references: &BTreeMap<&'a str, BTreeSet<&'a str>>, ordered: &[&str]) -> Vec<&'a str> {
    let open = |name: &&&'a str| !ordered.contains(*name);
    let mut path: Vec<&'a str> = references.keys().filter(open).take(1).copied().collect();
    loop {
        let here = path[path.len() - 1];
        let next = references[here].iter().find(open).copied().unwrap_or(here);
        if let Some(start) = path.iter().position(|name| *name == next) {
            path.drain(..start);
            path.push(next);
            return path;
        }
        path.push(next);
    }
}

fn cohorts_named<'e>(expr: &'e Expr, found: &mut Vec<&'e Name>) {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| cohorts_named(part, found)),
        ExprKind::Not(inner) => cohorts_named(inner, found),
        ExprKind::InCohort { cohort, .. } | ExprKind::Entered { cohort, .. } | ExprKind::Left { cohort, .. } => {
            found.push(cohort);
        }
        ExprKind::Rank(rank) => found.extend(rank.among.as_ref()),
        ExprKind::Did(_)
        | ExprKind::Sequence(_)
        | ExprKind::Streak(_)
        | ExprKind::Silent(_)
        | ExprKind::Compare(_)
        | ExprKind::Consent { .. } => {}
    }
}

/// Everything of one cohort that decides, in a fixed form: white space does not matter.
fn canonical(document: &Document, cohort: &str) -> String {
    let rule = &document.cohorts[cohort];
    let words = |written: Option<&Written>| {
        written.map(|w| w.text.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    let span = |span: Option<Span>| span.map(|s| s.0.to_string()).unwrap_or_default();
    [
        cohort.to_owned(),
        words(Some(&rule.who)),
        words(rule.stay.as_ref()),
        words(rule.until.as_ref()),
        span(rule.at_least),
        span(rule.at_most),
        span(rule.cooldown),
        format!("{} {}", rule.once, rule.enabled),
    ]
    .join("\n")
}

/// What all cohorts share: time zone, activity, default gaps.
fn canonical_frame(document: &Document) -> String {
    let activity = match &document.activity {
        Events::Anything => "anything".to_owned(),
        Events::Named(names) => {
            names.iter().map(|n| n.text.as_str()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
        }
    };
    let gaps: Vec<String> = document.usual_gaps.iter().map(|(event, gap)| format!("{event}={}", gap.0)).collect();
    format!("{}\n{activity}\n{}", document.time_zone, gaps.join(","))
}

fn hash128(text: &str) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish128().as_u128()
}

fn definition(document: &Document, cohort: &str) -> String {
    let text = format!("{}\n{}", canonical_frame(document), canonical(document, cohort));
    format!("{:016x}", hash128(&text) >> 64)
}

struct Compiler<'d> {
    document: &'d Document,
    order: BTreeMap<&'d str, CohortIx>,
    conditions: Vec<Condition>,
    facts: Vec<FactSpec>,
    vocabulary: Vocabulary,
    /// Names by number, for the facts' definitions in words.
    names: Vec<String>,
    properties: Vec<String>,
    calendar: Calendar,
}

impl<'d> Compiler<'d> {
    fn new(document: &'d Document, order: &[&'d str]) -> Self {
        let index = |i: usize| CohortIx(u16::try_from(i).unwrap_or(u16::MAX));
        let zone = jiff::tz::TimeZone::get(&document.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        Self {
            document,
            order: order.iter().enumerate().map(|(i, name)| (*name, index(i))).collect(),
            conditions: Vec::new(),
            facts: Vec::new(),
            vocabulary: Vocabulary::default(),
            names: Vec::new(),
            properties: Vec::new(),
            calendar: Calendar::new(zone),
        }
    }

    fn node(&mut self, text: &str, expr: &Expr) -> Compiled<Node> {
        Ok(match &expr.kind {
            ExprKind::And(parts) => Node::And(self.nodes(text, parts)?),
            ExprKind::Or(parts) => Node::Or(self.nodes(text, parts)?),
            ExprKind::Not(inner) => Node::Not(Box::new(self.node(text, inner)?)),
            kind => {
                let words = text[expr.range.start..expr.range.end].split_whitespace().collect::<Vec<_>>();
                let words: Box<str> = words.join(" ").into();
                let parts = self.conditions_of(kind, expr.range)?;
                let mut leaves: Vec<Node> =
                    parts.into_iter().map(|c| Node::Leaf(self.intern(c), words.clone())).collect();
                if leaves.len() == 1 { leaves.remove(0) } else { Node::And(leaves) }
            }
        })
    }

    fn nodes(&mut self, text: &str, parts: &[Expr]) -> Compiled<Vec<Node>> {
        parts.iter().map(|part| self.node(text, part)).collect()
    }

    fn intern(&mut self, condition: Condition) -> ConditionIx {
        let at = self.conditions.iter().position(|known| *known == condition).unwrap_or_else(|| {
            self.conditions.push(condition);
            self.conditions.len() - 1
        });
        ConditionIx(u16::try_from(at).expect("a rules file has fewer than 65,536 conditions"))
    }

    /// The conditions that one construct stands for; all must hold.
    fn conditions_of(&mut self, kind: &ExprKind, range: Range) -> Compiled<Vec<Condition>> {
        let one = match kind {
            ExprKind::Did(did) => self.did(did, range)?,
            ExprKind::Silent(silent) => self.silent(silent),
            ExprKind::Sequence(sequence) => self.absence(sequence, range)?,
            ExprKind::InCohort { cohort, stay } => Condition::In {
                cohort: self.order[cohort.text.as_str()],
                stay: stay.map(|(bound, duration)| (bound, duration.span)),
            },
            ExprKind::Entered { cohort, count, window } => self.moves(cohort, true, count.as_ref(), window, range)?,
            ExprKind::Left { cohort, window } => self.moves(cohort, false, None, window, range)?,
            ExprKind::Compare(compare) => return self.compare(compare),
            ExprKind::Streak(_) => return Err(later(range, "`every week for ... in a row`")),
            ExprKind::Rank(_) => return Err(later(range, "a rank")),
            ExprKind::Consent { .. } => return Err(later(range, "a consent")),
            ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) => {
                return Err(ExprError::new(range, "expected a condition"));
            }
        };
        Ok(vec![one])
    }

    fn did(&mut self, did: &Did, range: Range) -> Compiled<Condition> {
        let selector = self.selector(&did.step);
        let waits = !did.even_if_new && has_length(&did.window);
        let times = |bound, n| count_test(bound, n, did.negated, range);
        let (test, key) = match &did.count {
            None => (CountTest { min: 1, max: None, negated: did.negated }, None),
            Some(Count::Times(bound, n)) => (times(*bound, *n)?, None),
            Some(Count::FirstTime) => {
                let fact = self.fact(FactKind::Earliest { cap: 1 }, &selector, None);
                let window = self.window(&did.window, false);
                return Ok(Condition::First { fact, window, negated: did.negated });
            }
            Some(Count::Different(bound, n, property)) => {
                (times(*bound, *n)?, Some(DistinctKey::Property(self.property(property))))
            }
            Some(Count::OnDifferent(bound, n, unit)) => (times(*bound, *n)?, Some(DistinctKey::Period(*unit))),
            Some(Count::Rhythm { .. }) => return Err(later(range, "`times a week in ...`")),
        };
        let window = self.window(&did.window, false);
        let cap = test.capacity();
        let from = match window {
            Window::Ever => None,
            Window::SinceDate(from) => Some(from),
            _ => Some(Instant::MAX),
        };
        if key.is_none() && from != Some(Instant::MAX) {
            let fact = self.fact(FactKind::Total { property: None, from }, &selector, None);
            return Ok(Condition::Total { fact, test });
        }
        let floor = match window {
            Window::WithinFirst { fact, span } => Floor::WithinFirst(fact, span),
            _ => Floor::None,
        };
        let horizon = match window {
            Window::Between { far, .. } => Some(far),
            _ => None,
        };
        let banded = matches!(window, Window::Between { .. } | Window::WithinFirst { .. });
        let earliest = matches!(window, Window::MoreThan(_));
        let kind = match key {
            None if banded => FactKind::Series { property: None, exact: cap.max(SERIES_EXACT), horizon, floor },
            None if earliest => FactKind::Earliest { cap },
            None => FactKind::Latest { cap },
            Some(key) if banded => FactKind::DistinctAll { key, cap: DISTINCT_ALL_MAX, horizon, floor },
            Some(key) => FactKind::Distinct { key, earliest, cap },
        };
        let fact = self.fact(kind, &selector, None);
        Ok(Condition::Count { fact, window, test, waits })
    }

    fn silent(&mut self, silent: &Silent) -> Condition {
        let document = self.document;
        let selector = self.selector_of(silent.on.as_ref().unwrap_or(&document.activity), &[]);
        let fact = self.fact(FactKind::Latest { cap: 1 }, &selector, None);
        Condition::Count {
            fact,
            window: Window::Last(silent.span.span),
            test: CountTest { min: 0, max: Some(0), negated: false },
            waits: !silent.even_if_new,
        }
    }

    fn absence(&mut self, sequence: &Sequence, range: Range) -> Compiled<Condition> {
        let [next] = sequence.next.as_slice() else { return Err(later(range, "`A then B within D`")) };
        if !next.absent {
            return Err(later(range, "`A then B within D`"));
        }
        let (a, b) = (self.selector(&sequence.first), self.selector(&next.step));
        let key = sequence.key.as_ref().map(|name| self.property(name));
        let window = self.window(&sequence.window, false);
        let after = next.within.span;
        let horizon = match window {
            Window::Last(span) | Window::Between { far: span, .. } => Some(span + after),
            _ => None,
        };
        let each = sequence.mode == Some(Mode::Each);
        let kind = FactKind::Followed { key, each, keys_max: KEYS_MAX, each_max: EACH_MAX, horizon };
        let fact = self.fact(kind, &a, Some(b));
        Ok(Condition::Followed { fact, after, window })
    }

    fn moves(
        &mut self,
        cohort: &Name,
        entered: bool,
        count: Option<&Count>,
        window: &WrittenWindow,
        range: Range,
    ) -> Compiled<Condition> {
        let cohort = self.order[cohort.text.as_str()];
        let window = self.window(window, true);
        let test = match count {
            None => CountTest { min: 1, max: None, negated: false },
            Some(Count::FirstTime) => return Ok(Condition::FirstEntered { cohort, window }),
            Some(Count::Times(bound, n)) => count_test(*bound, *n, false, range)?,
            Some(_) => return Err(ExprError::new(range, "entries are counted in `times`")),
        };
        if test.capacity() > MOVES_MAX as usize {
            let message =
                format!("a membership remembers its last 16 changes, so at most {MOVES_MAX} entries are counted");
            return Err(ExprError::new(range, message));
        }
        Ok(Condition::Moves { cohort, entered, window, test })
    }

    fn compare(&mut self, compare: &Compare) -> Compiled<Vec<Condition>> {
        let written = &compare.measure;
        let (measure, kind) = self.measure(written)?;
        let mut with = |op: Op, operand: &Operand, measure: Measure| -> Compiled<Condition> {
            Ok(Condition::Compare { measure, op, with: self.comparand(operand, kind, written.range)? })
        };
        Ok(match &compare.test {
            CompareTest::Known => vec![Condition::Known { measure }],
            CompareTest::Missing => vec![Condition::Missing { measure }],
            CompareTest::Compare(op, operand) => vec![with(*op, operand, measure)?],
            CompareTest::Between(low, high) => {
                vec![with(Op::Ge, low, measure.clone())?, with(Op::Le, high, measure)?]
            }
        })
    }

    fn comparand(&mut self, operand: &Operand, kind: MeasureType, range: Range) -> Compiled<Comparand> {
        Ok(match operand {
            Operand::Literal(WrittenLiteral::Number(number)) if kind == MeasureType::Plain => {
                Comparand::Number(*number)
            }
            Operand::Literal(WrittenLiteral::Number(_)) => {
                return Err(ExprError::new(range, "this is a length of time, compared with a number")
                    .hint("write the unit: `> 3 days`"));
            }
            Operand::Literal(_) => Comparand::OtherType,
            Operand::Duration(duration) if kind == MeasureType::Time => {
                Comparand::Number(Number::from_integer(duration.span.0))
            }
            Operand::Duration(_) => {
                return Err(ExprError::new(range, "this is a number, compared with a length of time")
                    .hint("leave the unit out"));
            }
            Operand::Measure(factor, written) => {
                if factor.0.abs() > FACTOR_MAX {
                    return Err(ExprError::new(written.range, "a factor is at most 1,000,000"));
                }
                let (measure, other) = self.measure(written)?;
                if other != kind {
                    return Err(ExprError::new(written.range, "a number and a length of time cannot be compared"));
                }
                Comparand::Measure { factor: *factor, measure }
            }
        })
    }

    fn measure(&mut self, written: &WrittenMeasure) -> Compiled<(Measure, MeasureType)> {
        let range = written.range;
        let what = match &written.kind {
            MeasureKind::Count(step, window) => {
                let selector = self.selector(step);
                return Ok((self.series(&selector, None, window), MeasureType::Plain));
            }
            MeasureKind::Of { function: Function::Sum, event, property, filters, window } => {
                let selector = self.selector_of(&Events::Named(vec![event.clone()]), filters);
                let property = self.property(property);
                return Ok((self.series(&selector, Some(property), window), MeasureType::Plain));
            }
            MeasureKind::TimeSince(edge, step) => {
                let selector = self.selector(step);
                let fact = self.edge(*edge, &selector);
                return Ok((Measure::TimeSince { fact, edge: *edge }, MeasureType::Time));
            }
            MeasureKind::UsualGap(events) => {
                let selector = self.selector_of(events, &[]);
                let fact = self.fact(FactKind::Latest { cap: GAPS + 1 }, &selector, None);
                let default = match events {
                    Events::Named(names) if names.len() == 1 => self.document.usual_gaps.get(&names[0].text).copied(),
                    _ => None,
                };
                return Ok((Measure::UsualGap { fact, default }, MeasureType::Time));
            }
            MeasureKind::Of { function, .. } => match function {
                Function::Average => "`average`",
                Function::Median => "`median`",
                Function::Min => "`min`",
                Function::Max => "`max`",
                Function::Distinct => "`distinct`",
                Function::First => "`first`",
                Function::Last => "`last`",
                Function::MostCommon => "`most_common`",
                Function::Sum => "`sum`",
            },
            MeasureKind::TimeFrom { .. } => "`time from`",
            MeasureKind::ActiveDays(..) => "`active days`",
            MeasureKind::Change(..) => "`change in`",
            MeasureKind::Ratio(..) => "`ratio`",
            MeasureKind::Steps { .. } => "`steps from`",
            MeasureKind::Named(_) => "a profile attribute, score or named measure",
        };
        Err(later(range, what))
    }

    /// A count or a sum over a window.
    fn series(&mut self, selector: &Selector, property: Option<PropertyId>, window: &WrittenWindow) -> Measure {
        let sum = property.is_some();
        let window = self.window(window, false);
        let (from, total) = match window {
            Window::Ever => (None, true),
            Window::SinceDate(from) => (Some(from), true),
            _ => (None, false),
        };
        if total {
            return Measure::Total { fact: self.fact(FactKind::Total { property, from }, selector, None), sum };
        }
        let (horizon, floor) = match window {
            Window::Last(span) => (Some(span), Floor::None),
            Window::Between { far, .. } => (Some(far), Floor::None),
            Window::Calendar { periods, unit } => {
                // The longest that so many periods can be, with a day for a change of clocks.
                let days = match unit {
                    Unit::Month => 31,
                    Unit::Week => 7,
                    _ => 1,
                };
                (Some(Span(Span::DAY.0 * (i64::from(periods) * days + 1))), Floor::None)
            }
            Window::Since { fact, edge: Edge::Last, .. } => (None, Floor::SinceLast(fact)),
            Window::WithinFirst { fact, span } => (None, Floor::WithinFirst(fact, span)),
            _ => (None, Floor::None),
        };
        let kind = FactKind::Series { property, exact: SERIES_EXACT, horizon, floor };
        Measure::Series { fact: self.fact(kind, selector, None), window, sum }
    }

    fn window(&mut self, window: &WrittenWindow, inclusive: bool) -> Window {
        match window {
            WrittenWindow::Ever => Window::Ever,
            WrittenWindow::Last(duration) => Window::Last(duration.span),
            WrittenWindow::LastByCalendar { periods, unit } => Window::Calendar { periods: *periods, unit: *unit },
            WrittenWindow::Between(far, near) => Window::Between { far: far.span, near: near.span },
            WrittenWindow::MoreThan(duration) => Window::MoreThan(duration.span),
            WrittenWindow::Since(edge, events) => {
                let selector = self.selector_of(events, &[]);
                Window::Since { fact: self.edge(*edge, &selector), edge: *edge, inclusive }
            }
            WrittenWindow::SinceDate(date) => {
                let date = jiff::civil::date(date.year, date.month, date.day);
                let day = jiff::civil::date(1970, 1, 1).until(date).map_or(0, |span| i64::from(span.get_days()));
                Window::SinceDate(self.calendar.start(day, Unit::Day))
            }
            WrittenWindow::WithinFirst(duration, name) => {
                let selector = self.selector_of(&Events::Named(vec![name.clone()]), &[]);
                Window::WithinFirst { fact: self.edge(Edge::First, &selector), span: duration.span }
            }
        }
    }

    fn edge(&mut self, edge: Edge, selector: &Selector) -> FactIx {
        let kind = match edge {
            Edge::First => FactKind::Earliest { cap: 1 },
            Edge::Last => FactKind::Latest { cap: 1 },
        };
        self.fact(kind, selector, None)
    }

    fn fact(&mut self, kind: FactKind, selector: &Selector, other: Option<Selector>) -> FactIx {
        let same = |fact: &mut FactSpec| fact.selector == *selector && fact.other == other && fact.kind.absorb(&kind);
        let at = self.facts.iter_mut().position(same).unwrap_or_else(|| {
            self.facts.push(FactSpec { kind, id: 0, selector: selector.clone(), other });
            self.facts.len() - 1
        });
        FactIx(u16::try_from(at).expect("a rules file has fewer than 65,536 facts"))
    }

    fn selector(&mut self, step: &Step) -> Selector {
        self.selector_of(&step.events, &step.filters)
    }

    fn selector_of(&mut self, events: &Events, filters: &[WrittenFilter]) -> Selector {
        let names = match events {
            Events::Anything => None,
            Events::Named(names) => {
                let ids: BTreeSet<NameId> = names.iter().map(|name| self.name(&name.text)).collect();
                Some(ids.into_iter().collect())
            }
        };
        let mut filters: Vec<Filter> = filters.iter().map(|filter| self.filter(filter)).collect();
        filters.sort();
        filters.dedup();
        Selector { names, filters }
    }

    fn filter(&mut self, written: &WrittenFilter) -> Filter {
        let property = self.property(&written.property);
        let test = match &written.test {
            WrittenTest::Compare(op, value) => FilterTest::compare(*op, literal(value)),
            WrittenTest::Known => FilterTest::Known,
            WrittenTest::Missing => FilterTest::Missing,
            WrittenTest::In(values) => FilterTest::In(values.iter().map(literal).collect()),
            WrittenTest::Contains(value) => FilterTest::Contains(literal(value)),
        };
        Filter { property, test }
    }

    fn name(&mut self, name: &str) -> NameId {
        let id = self.vocabulary.add_name(name);
        if usize::from(id.0) == self.names.len() {
            self.names.push(name.to_owned());
        }
        id
    }

    fn property(&mut self, name: &Name) -> PropertyId {
        let id = self.vocabulary.add_property(&name.text);
        if usize::from(id.0) == self.properties.len() {
            self.properties.push(name.text.clone());
        }
        id
    }

    fn finish(mut self, document: &Document, mut cohorts: Vec<Cohort>) -> RuleSet {
        let definitions: Vec<String> = self.facts.iter().map(|fact| self.in_words(fact)).collect();
        for (fact, words) in self.facts.iter_mut().zip(definitions) {
            fact.id = u64::try_from(hash128(&words) >> 64).unwrap_or_default();
        }
        let mut readers = vec![Vec::new(); self.facts.len()];
        let mut references = Vec::new();
        for (i, cohort) in cohorts.iter().enumerate() {
            let reader = CohortIx(u16::try_from(i).unwrap_or(u16::MAX));
            let mut leaves = Vec::new();
            [Some(&cohort.who), cohort.stay.as_ref(), cohort.until.as_ref()]
                .into_iter()
                .flatten()
                .for_each(|node| node.leaves(&mut leaves));
            for leaf in leaves {
                let condition = &self.conditions[usize::from(leaf.0)];
                for fact in condition.facts() {
                    let readers: &mut Vec<CohortIx> = &mut readers[usize::from(fact.0)];
                    if !readers.contains(&reader) {
                        readers.push(reader);
                    }
                }
                if let Some((other, history)) = condition.cohort() {
                    references.push((other, reader, history));
                }
            }
        }
        for (other, reader, history) in references {
            let cohort = &mut cohorts[usize::from(other.0)];
            cohort.keeps_history |= history;
            if !cohort.dependants.contains(&reader) {
                cohort.dependants.push(reader);
            }
        }
        let names = self.vocabulary.names_len();
        let feeds = (0..=names)
            .map(|i| feeds_of(&self.facts, (i < names).then(|| NameId(u16::try_from(i).unwrap_or(u16::MAX)))))
            .collect();
        let all: Vec<String> = document.cohorts.keys().map(|name| canonical(document, name)).collect();
        let fingerprint =
            format!("{:032x}", hash128(&format!("{}\n\n{}", canonical_frame(document), all.join("\n\n"))));
        RuleSet {
            cohorts,
            conditions: self.conditions,
            facts: self.facts,
            vocabulary: self.vocabulary,
            time_zone: jiff::tz::TimeZone::get(&document.time_zone).unwrap_or(jiff::tz::TimeZone::UTC),
            fingerprint,
            feeds,
            readers,
        }
    }

    /// A fact's definition, without capacities and numbers given to names, so that it outlives both.
    fn in_words(&self, fact: &FactSpec) -> String {
        let property = |id: &PropertyId| self.properties[usize::from(id.0)].clone();
        let selector = |selector: &Selector| {
            let names: Option<BTreeSet<&str>> = selector
                .names
                .as_ref()
                .map(|ids| ids.iter().map(|id| self.names[usize::from(id.0)].as_str()).collect());
            let filters: BTreeSet<String> =
                selector.filters.iter().map(|f| format!("{} {:?}", property(&f.property), f.test)).collect();
            format!("{names:?} {filters:?}")
        };
        let key = |key: &DistinctKey| match key {
            DistinctKey::Property(id) => property(id),
            DistinctKey::Period(unit) => format!("{unit:?} in {}", self.document.time_zone),
        };
        let floor = |floor: &Floor| match floor {
            Floor::None => "none".to_owned(),
            Floor::SinceLast(fact) => format!("since last {}", selector(&self.facts[usize::from(fact.0)].selector)),
            Floor::WithinFirst(fact, span) => {
                format!("within {} of first {}", span.0, selector(&self.facts[usize::from(fact.0)].selector))
            }
        };
        let kind = match &fact.kind {
            FactKind::Latest { .. } => "latest".to_owned(),
            FactKind::Earliest { .. } => "earliest".to_owned(),
            FactKind::Total { property: p, from } => format!("total {:?} {from:?}", p.as_ref().map(property)),
            FactKind::Series { property: p, floor: f, .. } => {
                format!("series {:?} {}", p.as_ref().map(property), floor(f))
            }
            FactKind::Distinct { key: k, earliest, .. } => format!("distinct {} {earliest}", key(k)),
            FactKind::DistinctAll { key: k, floor: f, .. } => format!("distinct all {} {}", key(k), floor(f)),
            FactKind::Followed { key: k, each, .. } => format!("followed {:?} {each}", k.as_ref().map(property)),
        };
        format!("{kind} of {} {}", selector(&fact.selector), fact.other.as_ref().map(selector).unwrap_or_default())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MeasureType {
    Plain,
    Time,
}

fn later(range: Range, what: &str) -> ExprError {
    ExprError::new(range, format!("this release does not run {what} yet"))
        .hint("it is part of the language; take it out until a later release")
}

fn literal(written: &WrittenLiteral) -> Literal {
    match written {
        WrittenLiteral::Bool(flag) => Literal::Bool(*flag),
        WrittenLiteral::Number(number) => Literal::Number(*number),
        WrittenLiteral::Text(text) => Literal::Text(text.as_str().into()),
    }
}

fn count_test(bound: Bound, n: u32, negated: bool, range: Range) -> Compiled<CountTest> {
    if n > COUNT_MAX {
        return Err(ExprError::new(range, format!("counts are exact up to {COUNT_MAX}; {n} is more")));
    }
    let (min, max) = match bound {
        Bound::AtLeast => (n, None),
        Bound::AtMost => (0, Some(n)),
        Bound::Exactly => (n, Some(n)),
        Bound::MoreThan => (n + 1, None),
        Bound::FewerThan if n == 0 => return Err(ExprError::new(range, "nothing is fewer than 0 times")),
        Bound::FewerThan => (0, Some(n - 1)),
    };
    Ok(CountTest { min, max, negated })
}

/// Must a customer have been known for the window's length before "nothing found" counts?
fn has_length(window: &WrittenWindow) -> bool {
    match window {
        WrittenWindow::Last(_)
        | WrittenWindow::LastByCalendar { .. }
        | WrittenWindow::Between(..)
        | WrittenWindow::WithinFirst(..) => true,
        WrittenWindow::Ever | WrittenWindow::MoreThan(_) | WrittenWindow::Since(..) | WrittenWindow::SinceDate(_) => {
            false
        }
    }
}

/// The facts that an event of this name (none: of a name that no rule uses) may feed.
fn feeds_of(facts: &[FactSpec], name: Option<NameId>) -> Vec<Feed> {
    let fits = |selector: &Selector| match (&selector.names, name) {
        (None, _) => true,
        (Some(names), Some(name)) => names.contains(&name),
        (Some(_), None) => false,
    };
    let filters = |selector: &Selector| fits(selector).then(|| selector.filters.clone());
    let role = |fact: &FactSpec| match &fact.other {
        None => filters(&fact.selector).map(Role::Own),
        Some(other) => match (filters(&fact.selector), filters(other)) {
            (None, None) => None,
            (a, b) => Some(Role::Pair { a, b }),
        },
    };
    let feed = |(i, fact): (usize, &FactSpec)| {
        role(fact).map(|role| Feed { fact: FactIx(u16::try_from(i).unwrap_or(u16::MAX)), role })
    };
    facts.iter().enumerate().filter_map(feed).collect()
}

impl Node {
    /// The conditions in it, in the order written.
    pub(super) fn leaves(&self, found: &mut Vec<ConditionIx>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.leaves(found)),
            Self::Not(inner) => inner.leaves(found),
            Self::Leaf(condition, _) => found.push(*condition),
        }
    }
}

impl Condition {
    fn facts(&self) -> Vec<FactIx> {
        let of_window = |window: &Window| match window {
            Window::Since { fact, .. } | Window::WithinFirst { fact, .. } => Some(*fact),
            _ => None,
        };
        match self {
            Self::Count { fact, window, .. }
            | Self::First { fact, window, .. }
            | Self::Followed { fact, window, .. } => [Some(*fact), of_window(window)].into_iter().flatten().collect(),
            Self::Total { fact, .. } => vec![*fact],
            Self::In { .. } => Vec::new(),
            Self::Moves { window, .. } | Self::FirstEntered { window, .. } => of_window(window).into_iter().collect(),
            Self::Compare { measure, with, .. } => {
                let mut facts = measure.facts();
                if let Comparand::Measure { measure, .. } = with {
                    facts.extend(measure.facts());
                }
                facts
            }
            Self::Known { measure } | Self::Missing { measure } => measure.facts(),
        }
    }

    /// The cohort it looks at, and whether at its history.
    fn cohort(&self) -> Option<(CohortIx, bool)> {
        match self {
            Self::In { cohort, .. } | Self::FirstEntered { cohort, .. } => Some((*cohort, false)),
            Self::Moves { cohort, .. } => Some((*cohort, true)),
            _ => None,
        }
    }
}

impl Measure {
    fn facts(&self) -> Vec<FactIx> {
        match self {
            Self::Series { fact, window, .. } => match window {
                Window::Since { fact: anchor, .. } | Window::WithinFirst { fact: anchor, .. } => vec![*fact, *anchor],
                _ => vec![*fact],
            },
            Self::Total { fact, .. } | Self::TimeSince { fact, .. } | Self::UsualGap { fact, .. } => vec![*fact],
        }
    }
}
