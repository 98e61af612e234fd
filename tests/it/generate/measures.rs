//! Random measures of every kind, in each other and under names, compared with all that they may be compared with.

use super::churn::Churn;
use super::random::Random;
use super::rules::{EVENTS, World, amount, edge, events, factor, filters, literal, op, step, time_since, usual_gap};

/// An entry of `[profile]` or `[measures]`: a name and what it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) attribute: bool,
    /// None: it may only stand where its writer puts it.
    kind: Option<Kind>,
    /// May it stand in `change in`?
    looks_back: bool,
    /// Does time alone move it?
    grows: bool,
}

impl Named {
    pub(super) fn stands_for_a_score(&self) -> bool {
        [WORTH, DANGER, LEVEL].contains(&self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Length,
    Any,
}

const WORTH: &str = "worth_now";
const DANGER: &str = "danger_now";
const LEVEL: &str = "level_now";

/// What the place of a measure asks of it.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// How many more may stand in each other.
    depth: usize,
    /// Within `change in`.
    back: bool,
    /// Within `ratio`.
    still: bool,
}

impl World {
    /// Gives names to attributes and measures; later ones may name the earlier.
    pub(super) fn name_some(&mut self, random: &mut Random) {
        for name in ["plan_now", "latest_amount"] {
            if random.percent(30) {
                let text = format!("{}.{}", random.pick(&EVENTS), random.pick(&["amount", "step", "plan"]));
                let (kind, looks_back, grows) = (Some(Kind::Any), true, false);
                self.named.push(Named { name, text, attribute: true, kind, looks_back, grows });
            }
        }
        for name in ["basket", "pace"] {
            if random.percent(30) {
                let kind = *random.pick(&[Kind::Number, Kind::Number, Kind::Length, Kind::Any]);
                let (looks_back, grows) = (random.percent(70), random.percent(30));
                let text = self.measure(kind, Place { depth: 1, back: looks_back, still: !grows }, random);
                self.named.push(Named { name, text, attribute: false, kind: Some(kind), looks_back, grows });
            }
        }
    }

    /// Other names for scores.
    pub(super) fn name_some_scores(&mut self, churn: &Churn, random: &mut Random) {
        let names = [(WORTH, "clv", Some(Kind::Number)), (DANGER, "churn_risk", None), (LEVEL, "churn_level", None)];
        for (name, score, kind) in names {
            if random.percent(40) && (score != "clv" || churn.amount.is_some()) {
                let text = score.to_owned();
                self.named.push(Named { name, text, attribute: false, kind, looks_back: false, grows: false });
            }
        }
    }

    /// A score's name, or another one that stands for it.
    pub(super) fn score_name(&self, score: &'static str, random: &mut Random) -> &'static str {
        let other = self.named.iter().find(|named| named.text == score).filter(|_| random.percent(40));
        other.map_or(score, |named| named.name)
    }

    pub(super) fn measure_comparison(&self, random: &mut Random) -> String {
        if random.percent(8) {
            return self.growth_comparison(random);
        }
        let place = Place { depth: 2, back: false, still: false };
        let kind = *random.pick(&[Kind::Number, Kind::Number, Kind::Number, Kind::Any, Kind::Any, Kind::Length]);
        let measure = self.measure(kind, place, random);
        if random.percent(12) {
            return format!("{measure} {}", random.pick(&["is known", "is missing"]));
        }
        if random.percent(15) {
            let (low, high) = (self.operand(kind, random), self.operand(kind, random));
            return format!("{measure} between {low} and {high}");
        }
        format!("{measure} {} {}", op(random), self.operand(kind, random))
    }

    /// By what part of itself something has changed.
    fn growth_comparison(&self, random: &mut Random) -> String {
        let kind = *random.pick(&[Kind::Number, Kind::Number, Kind::Length]);
        let inner = self.measure(kind, Place { depth: 1, back: true, still: true }, random);
        let change = format!("change in {inner} over {}", self.length(random));
        let percent = |random: &mut Random| random.word(&["0", "20", "50", "100", "-50", "-33.3333", "400"]);
        match random.below(5) {
            0 => format!("{change} between {} % and {} %", percent(random), percent(random)),
            _ => format!("{change} {} {} %", op(random), percent(random)),
        }
    }

    /// What customers may be ranked by: anything that does not grow by itself.
    pub(super) fn ranking(&self, random: &mut Random) -> String {
        let place = Place { depth: 1, back: false, still: true };
        let kind = *random.pick(&[Kind::Number, Kind::Number, Kind::Any, Kind::Length]);
        match random.below(3) {
            0 => self.count(random),
            1 => self.sum(random),
            _ => self.measure(kind, place, random),
        }
    }

    fn operand(&self, kind: Kind, random: &mut Random) -> String {
        let place = Place { depth: 1, back: false, still: false };
        let other = match kind {
            Kind::Length => Kind::Length,
            Kind::Number | Kind::Any => *random.pick(&[Kind::Number, Kind::Number, Kind::Any]),
        };
        if random.percent(15)
            && let Some(name) = self.some_name(other, place, random)
        {
            return name.into();
        }
        if random.percent(40) {
            let factor = if random.percent(50) { "1" } else { factor(random) };
            return format!("{factor} x {}", self.measure(other, place, random));
        }
        match kind {
            Kind::Length if random.percent(8) => "\"pro\"".into(),
            Kind::Length => self.length(random),
            Kind::Number if random.percent(60) => amount(random),
            Kind::Number if random.percent(85) => random.word(&["0.5", "0.333333", "0.45", "2.5", "-0.5"]).into(),
            Kind::Number | Kind::Any => literal(random),
        }
    }

    fn measure(&self, kind: Kind, place: Place, random: &mut Random) -> String {
        if random.percent(20)
            && let Some(name) = self.some_name(kind, place, random)
        {
            return name.into();
        }
        match kind {
            Kind::Number => self.number(place, random),
            Kind::Length => self.length_of_time(place, random),
            Kind::Any => self.of(random.word(&["first", "last", "most_common"]), random),
        }
    }

    fn some_name(&self, kind: Kind, place: Place, random: &mut Random) -> Option<&'static str> {
        let fits = |named: &&Named| {
            named.kind == Some(kind) && (named.looks_back || !place.back) && (!named.grows || !place.still)
        };
        let names: Vec<&Named> = self.named.iter().filter(fits).collect();
        if names.is_empty() { None } else { Some(names[random.below(names.len())].name) }
    }

    fn number(&self, place: Place, random: &mut Random) -> String {
        let deeper = Place { depth: place.depth.saturating_sub(1), ..place };
        match random.below(20) {
            0 => format!("count({}{})", step(random), self.window(random)),
            1 | 2 => format!("active days({}{})", events(random), self.window(random)),
            3 | 4 if !place.back => {
                let (from, to) = (random.pick(&EVENTS), random.pick(&EVENTS));
                format!("steps from {from} to {to} via {}", events(random))
            }
            5..=8 if place.depth > 0 => {
                let kind = *random.pick(&[Kind::Number, Kind::Number, Kind::Number, Kind::Any]);
                let inner = self.measure(kind, Place { back: true, ..deeper }, random);
                format!("change in {inner} over {}", self.length(random))
            }
            9..=11 if place.depth > 0 => {
                let (one, other) = match random.below(6) {
                    0 | 1 => (Kind::Length, Kind::Length),
                    2 => (Kind::Any, Kind::Number),
                    3 => (Kind::Number, Kind::Any),
                    _ => (Kind::Number, Kind::Number),
                };
                let inner = Place { still: true, ..deeper };
                format!("ratio({}, {})", self.measure(one, inner, random), self.measure(other, inner, random))
            }
            _ => self.of(random.word(&["sum", "average", "median", "min", "max", "distinct"]), random),
        }
    }

    fn length_of_time(&self, place: Place, random: &mut Random) -> String {
        match random.below(10) {
            0..=2 if !place.still => time_since(random),
            3 => usual_gap(random),
            4 | 5 if place.depth > 0 => {
                let inner = Place { depth: place.depth - 1, back: true, ..place };
                format!("change in {} over {}", self.measure(Kind::Length, inner, random), self.length(random))
            }
            _ => {
                let edge = if place.back { "first" } else { edge(random) };
                format!("time from {edge} {} to first {}", step(random), step(random))
            }
        }
    }

    fn of(&self, function: &str, random: &mut Random) -> String {
        // Where little is kept, of what there is most, and without tests.
        if self.capped.is_some() && random.percent(70) {
            let property = *random.pick(&["amount", "step", "plan"]);
            return format!("{function}({}.{property}{})", EVENTS[random.below(2)], self.window(random));
        }
        // Most amounts are numbers, most plans are texts.
        let property = *random.pick(&["amount", "amount", "step", "plan"]);
        let event = random.pick(&EVENTS);
        format!("{function}({event}.{property}{}{})", filters(random), self.window(random))
    }
}
