//! Random rules of the operators that run, over a vocabulary so small that they often speak of the same events.

use cohortd::event::{Instant, Span};
use cohortd::fact::Capacities;

use super::churn::Churn;
use super::draft::{Cohort, Draft, Expr};
use super::measures::Named;
use super::random::Random;

pub(crate) const EVENTS: [&str; 4] = ["visit", "purchase", "login", "cancel"];
/// One that no rule names: it still makes a customer known, and moves the clock.
pub(crate) const UNNAMED: &str = "other";
pub(crate) const PROPERTIES: [&str; 3] = ["amount", "step", "plan"];
pub(crate) const COHORTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
const FACTORS: [&str; 6] = ["0.5", "1", "1.5", "2", "3", "0.333333"];

/// The time zones of calendar rules, each with a local midnight near which its clocks change, or a month ends.
const PLACES: [(&str, i64); 10] = [
    ("UTC", 1_769_817_600_000),                 // 2026-01-31
    ("Europe/Paris", 1_774_738_800_000),        // 2026-03-29, forward at 02:00
    ("Europe/Paris", 1_792_879_200_000),        // 2026-10-25, back at 03:00
    ("America/New_York", 1_772_946_000_000),    // 2026-03-08, forward at 02:00
    ("Asia/Kolkata", 1_772_303_400_000),        // 2026-03-01, half an hour off
    ("Africa/Cairo", 1_776_981_600_000),        // 2026-04-24, forward at midnight
    ("America/Santiago", 1_788_667_200_000),    // 2026-09-06, forward at midnight
    ("America/Havana", 1_772_946_000_000),      // 2026-03-08, forward at midnight
    ("America/Havana", 1_793_505_600_000),      // 2026-11-01, back at 01:00 to midnight
    ("Australia/Lord_Howe", 1_775_307_600_000), // 2026-04-05, back by half an hour
];

/// What one case is made of: a grain of time, few lengths that are used again and again, and a place.
pub(crate) struct World {
    /// One step of time in this case.
    pub(crate) grain: Span,
    /// Its lengths, in grains.
    lengths: Vec<i64>,
    /// Its ranks, as far as the cohort among whose members they rank.
    bare_ranks: Vec<String>,
    pub(crate) calendar: bool,
    pub(crate) zone: &'static str,
    /// Where the log begins, roughly.
    pub(crate) start: Instant,
    /// Attributes and measures that the rules may name.
    pub(super) named: Vec<Named>,
    pub(super) churn: Option<Churn>,
    pub(super) capped: Option<Capped>,
}

/// So little is kept of each customer that the few events of a case are too many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capped {
    pub(super) capacities: Capacities,
    /// Events come in the order of their times. Then nothing is lost that is kept for the sake of late ones.
    pub(super) in_order: bool,
}

impl World {
    pub(crate) fn new(random: &mut Random) -> Self {
        let grain = *random.pick(&[1, 1, 1_000, 60_000, 3_600_000, 3_600_000, 86_400_000, 86_400_000]);
        Self::of_grain(grain, (1, 9), random)
    }

    /// One in which less is kept than there is, in windows that are long enough for that, and shorter than the log.
    pub(crate) fn with_capacities(random: &mut Random) -> Self {
        // Of events a day apart each stands alone in its day, so little is lost.
        let grain = *random.pick(&[1, 60_000, 60_000, 3_600_000, 3_600_000, 3_600_000, 86_400_000]);
        let (small, in_order) = (*random.pick(&[4, 4, 8]), random.percent(40));
        let mut world = Self::of_grain(grain, (10, 45), random);
        let few = Capacities {
            series: small,
            values: small,
            distinct: small,
            pairs: small,
            keys: small,
            waiting: small,
            ..Capacities::DEFAULT
        };
        let capacities = if in_order { Capacities { links: small, answers: small, ..few } } else { few };
        world.capped = Some(Capped { capacities, in_order });
        world
    }

    /// One in which churn is watched: that is done by days.
    pub(crate) fn with_churn(random: &mut Random) -> Self {
        let grain = *random.pick(&[60_000, 3_600_000, 3_600_000, 86_400_000, 86_400_000, 86_400_000]);
        let mut world = Self::of_grain(grain, (1, 9), random);
        let churn = Churn::new(random);
        world.name_some_scores(&churn, random);
        if random.percent(25) {
            world.bare_ranks = world.some_ranks(random);
        }
        world.churn = Some(churn);
        world
    }

    fn of_grain(grain: i64, (shortest, longest): (i64, i64), random: &mut Random) -> Self {
        let calendar = grain >= 3_600_000 && random.percent(60);
        let (zone, midnight) = *random.pick(&PLACES);
        let lengths = (0..random.between(2, 4)).map(|_| random.between(shortest, longest)).collect();
        // Days are crossed in every calendar case, also where one step is an hour.
        let start = Instant(midnight - random.between(0, 12) * grain);
        let zone = if calendar { zone } else { "UTC" };
        let mut world = Self {
            grain: Span(grain),
            lengths,
            calendar,
            zone,
            start,
            named: Vec::new(),
            bare_ranks: Vec::new(),
            churn: None,
            capped: None,
        };
        world.name_some(random);
        if random.percent(25) {
            world.bare_ranks = world.some_ranks(random);
        }
        world
    }

    pub(crate) fn draft(&mut self, random: &mut Random) -> Draft {
        let fewest = if self.capped.is_some() { 3 } else { 1 };
        let count = usize::try_from(random.between(fewest, 4)).expect("small");
        // References go to cohorts earlier in this order, which is not that of their names.
        let mut names = COHORTS.to_vec();
        for i in (1..names.len()).rev() {
            names.swap(i, random.below(i + 1));
        }
        if let Some(mut churn) = self.churn.take() {
            self.add_signals(&mut churn, &names[..1], random);
            self.churn = Some(churn);
        }
        let mut cohorts: Vec<Cohort> = (0..count).map(|i| self.cohort(names[i], &names[..i], random)).collect();
        if random.percent(50) {
            group(&mut cohorts, random);
        }
        let activity = if random.percent(50) { some_events(random) } else { vec![] };
        let mut usual_gaps = Vec::new();
        for event in EVENTS {
            if random.percent(20) {
                usual_gaps.push((event, self.length(random)));
            }
        }
        Draft {
            time_zone: self.zone,
            activity,
            usual_gaps,
            named: self.named.clone(),
            churn: self.churn.clone(),
            cohorts,
        }
    }

    /// Cohorts whose members follow from the facts alone, at whatever instant one looks.
    pub(crate) fn draft_without_memory(&mut self, random: &mut Random) -> Draft {
        let mut draft = self.draft(random);
        let mut names: Vec<&str> = Vec::new();
        for cohort in &mut draft.cohorts {
            let mut who = self.expr(2, &[], random);
            if random.percent(25) && !names.is_empty() {
                let not = if random.percent(50) { "not " } else { "" };
                who = Expr::And(vec![who, Expr::Leaf(format!("{not}in {}", random.word(&names)))]);
            }
            *cohort = Cohort { name: cohort.name, who, disabled: cohort.disabled, ..Cohort::default() };
            // A reference to a cohort that an edit takes out would be refused; only those stay in every draft.
            if cohort.name == COHORTS[0] {
                names.push(cohort.name);
            }
        }
        draft
    }

    fn cohort(&self, name: &'static str, others: &[&str], random: &mut Random) -> Cohort {
        // A cohort that nobody can enter needs no references.
        let disabled = random.percent(4);
        let others = if disabled { &[] } else { others };
        let mut lengths = [*random.pick(&self.lengths), *random.pick(&self.lengths)];
        lengths.sort_unstable();
        Cohort {
            name,
            who: self.expr(2, others, random),
            stay: random.percent(25).then(|| self.expr(1, others, random)),
            until: random.percent(25).then(|| self.expr(1, others, random)),
            at_least: random.percent(20).then(|| self.written(lengths[0])),
            at_most: random.percent(20).then(|| self.written(lengths[1])),
            cooldown: random.percent(25).then(|| self.length(random)),
            once: random.percent(12),
            disabled,
            shadow: random.percent(8),
            group: None,
        }
    }

    fn expr(&self, depth: usize, others: &[&str], random: &mut Random) -> Expr {
        // Where little is kept, one condition among several hides what is lost to another.
        if depth == 0 || random.percent(if self.capped.is_some() { 80 } else { 40 }) {
            return Expr::Leaf(self.condition(others, random));
        }
        let parts = |random: &mut Random| -> Vec<Expr> {
            (0..random.between(2, 3)).map(|_| self.expr(depth - 1, others, random)).collect()
        };
        match random.below(10) {
            0..=4 => Expr::And(parts(random)),
            5..=7 => Expr::Or(parts(random)),
            _ => Expr::Not(Box::new(self.expr(depth - 1, others, random))),
        }
    }

    /// Of different sizes, so that no two are the same in other words.
    fn some_ranks(&self, random: &mut Random) -> Vec<String> {
        let sizes = [["in the top 10 %", "among the 3 highest"], ["in the bottom 2.5 %", "among the 2 lowest"]];
        let count = 1 + random.below(2);
        let one = |sizes: [&'static str; 2]| format!("{} by {}", random.word(&sizes), self.ranking(random));
        sizes.into_iter().take(count).map(one).collect()
    }

    /// All ranks that this case's rules may speak of.
    pub(crate) fn ranks(&self) -> Vec<String> {
        let among = |bare: &String| COHORTS.map(|cohort| format!("{bare} among {cohort}"));
        self.bare_ranks.iter().flat_map(|bare| std::iter::once(bare.clone()).chain(among(bare))).collect()
    }

    fn rank(&self, others: &[&str], random: &mut Random) -> String {
        let bare = random.pick(&self.bare_ranks).clone();
        if others.is_empty() || random.percent(60) { bare } else { format!("{bare} among {}", random.pick(others)) }
    }

    fn condition(&self, others: &[&str], random: &mut Random) -> String {
        if let Some(churn) = &self.churn
            && random.percent(55)
        {
            return self.score_condition(churn, !others.is_empty() || churn.signals.is_empty(), random);
        }
        self.plain_condition(others, random)
    }

    /// One that asks for no score by its name.
    pub(super) fn plain_condition(&self, others: &[&str], random: &mut Random) -> String {
        if !self.bare_ranks.is_empty() && random.percent(35) {
            return self.rank(others, random);
        }
        if self.capped.is_some() && random.percent(92) {
            return match random.below(12) {
                0 => self.absence(random),
                1 => self.did(random),
                2..=8 => self.many(random),
                _ => self.comparison(random),
            };
        }
        let weight = if others.is_empty() { 75 } else { 100 };
        match random.below(weight) {
            0..=6 if self.calendar => self.rhythm(random),
            7..=13 if self.calendar => self.streak(random),
            0..=20 => self.did(random),
            21..=27 => self.silent(random),
            28..=34 => self.absence(random),
            35..=46 => self.chain(random),
            47..=74 => self.comparison(random),
            _ => self.membership(others, random),
        }
    }

    /// A number beyond what is kept, of what there is most.
    fn many(&self, random: &mut Random) -> String {
        let event = EVENTS[random.below(2)];
        let window = match random.below(4) {
            0 => self.window(random),
            1 => self.band(12, random),
            _ => format!(" in the last {}", self.length(random)),
        };
        let most = |random: &mut Random| random.between(3, 20);
        match random.below(10) {
            0 | 1 => format!("count({event}{window}) {} {}", op(random), most(random)),
            2 | 3 => format!("sum({event}.step{window}) {} {}", op(random), 4 * most(random)),
            4 => format!("distinct({event}.step{window}) {} {}", op(random), random.between(3, 12)),
            5..=7 => {
                let function = random.word(&["average", "median", "min", "max", "first", "last", "most_common"]);
                format!("{function}({event}.step{window}) {} {}", op(random), random.between(1, 12))
            }
            8 => format!("did {event} {} times{}", bound(4, random), self.band(12, random)),
            // Such a test needs more than the capacity, for all conditions on the same events.
            _ => match random.below(2) {
                0 => format!("did {event} at least {} times{window}", most(random)),
                _ => format!("did {event} with at least {} different step{window}", random.between(3, 12)),
            },
        }
    }

    fn did(&self, random: &mut Random) -> String {
        let not = if random.percent(25) { "not " } else { "" };
        let step = step(random);
        let new = if random.percent(12) { " even if new" } else { "" };
        let count = match random.below(10) {
            0..=3 => String::new(),
            4..=6 => format!(" {} times", bound(3, random)),
            7 => " for the first time".into(),
            8 => format!(" with {} different {}", bound(2, random), random.pick(&PROPERTIES)),
            _ => format!(" on {} different {}", bound(2, random), random.pick(&["days", "weeks", "months"])),
        };
        let window = self.window(random);
        format!("did {not}{step}{count}{window}{new}")
    }

    fn silent(&self, random: &mut Random) -> String {
        let on = if random.percent(50) { format!(" on {}", events(random)) } else { String::new() };
        let new = if random.percent(20) { " even if new" } else { "" };
        format!("silent{on} for {}{new}", self.length(random))
    }

    fn absence(&self, random: &mut Random) -> String {
        let mode = *random.pick(&["", "", "latest ", "each "]);
        let (first, second, within) = (step(random), step(random), self.length(random));
        let key = if random.percent(35) { format!(" per {}", random.pick(&PROPERTIES)) } else { String::new() };
        let window = if random.percent(40) { self.window(random) } else { String::new() };
        format!("{mode}{first} then no {second} within {within}{key}{window}")
    }

    fn chain(&self, random: &mut Random) -> String {
        let mut words = step(random);
        let most = if self.capped.is_some() { 2 } else { 5 };
        for _ in 0..[1, 1, 2, 2, 3][random.below(most)] {
            words.push_str(&format!(" then {} within {}", step(random), self.length(random)));
        }
        // How far a sequence has come for each of too many keys is not a matter of its latest events alone.
        let keyed = self.capped.is_none() && random.percent(25);
        let key = if keyed { format!(" per {}", random.pick(&PROPERTIES)) } else { String::new() };
        let without = if random.percent(35) { format!(" without {} between", events(random)) } else { String::new() };
        format!("{words}{key}{without}{}", self.window(random))
    }

    /// Mostly in the unit of which the log has several.
    fn unit(&self, random: &mut Random) -> &'static str {
        if self.grain == Span::DAY { random.word(&["day", "week", "week", "month"]) } else { "day" }
    }

    fn rhythm(&self, random: &mut Random) -> String {
        let unit = self.unit(random);
        let of_last = random.between(1, 5);
        let (times, periods) = (bound(3, random), bound(of_last, random));
        format!("did {} {times} times a {unit} in {periods} of the last {of_last} {unit}s", step(random))
    }

    fn streak(&self, random: &mut Random) -> String {
        let unit = self.unit(random);
        format!("did {} every {unit} for at least {} {unit}s in a row", events(random), random.between(1, 4))
    }

    fn comparison(&self, random: &mut Random) -> String {
        match random.below(30) {
            0 | 1 => format!("{} {} {}", self.count(random), op(random), random.between(0, 3)),
            2 => format!("{} between {} and {}", self.count(random), random.between(0, 2), random.between(1, 3)),
            3 | 4 => format!("{} {} {}", self.sum(random), op(random), amount(random)),
            5 => format!("{} {} {} x {}", self.sum(random), op(random), factor(random), self.sum(random)),
            6 => format!("{} {} {} x {}", self.count(random), op(random), factor(random), self.count(random)),
            7 => format!("{} {} {}", time_since(random), op(random), self.length(random)),
            8 => format!("{} {} {} x {}", time_since(random), op(random), factor(random), usual_gap(random)),
            9 => format!("{} {} {} x {}", time_since(random), op(random), factor(random), time_since(random)),
            10 => format!("{} {}", time_since(random), random.pick(&["is known", "is missing"])),
            11 => self.gap_comparison(random),
            _ => self.measure_comparison(random),
        }
    }

    fn gap_comparison(&self, random: &mut Random) -> String {
        let gap = usual_gap(random);
        match random.below(5) {
            0 => format!("{gap} {}", random.pick(&["is known", "is missing"])),
            1 => format!("{gap} {} {}", op(random), self.length(random)),
            2 => format!("{gap} {} {} x {}", op(random), factor(random), time_since(random)),
            3 => format!("{gap} {} {} x {}", op(random), factor(random), usual_gap(random)),
            _ => {
                let since = time_since(random);
                format!("{since} between {} x {gap} and {}", factor(random), self.length(random))
            }
        }
    }

    pub(super) fn count(&self, random: &mut Random) -> String {
        format!("count({}{})", step(random), self.window(random))
    }

    pub(super) fn sum(&self, random: &mut Random) -> String {
        let filters = filters(random);
        format!("sum({}.amount{filters}{})", random.pick(&EVENTS), self.window(random))
    }

    fn membership(&self, others: &[&str], random: &mut Random) -> String {
        let cohort = *random.pick(others);
        match random.below(10) {
            0..=3 => format!("in {cohort}"),
            4 | 5 => format!("in {cohort} for {} {}", random.pick(&BOUNDS), self.length(random)),
            6 => format!("entered {cohort}{}", self.window(random)),
            7 => format!("entered {cohort} {} times{}", bound(3, random), self.window(random)),
            8 => format!("entered {cohort} for the first time{}", self.window(random)),
            _ => format!("left {cohort}{}", self.window(random)),
        }
    }

    /// With a space before it, or nothing.
    pub(super) fn window(&self, random: &mut Random) -> String {
        if self.calendar && random.percent(40) {
            let unit = *random.pick(&["days", "days", "weeks", "months"]);
            return match random.below(3) {
                0 => format!(" since {}", self.date(random)),
                _ => format!(" in the last {} {unit} by calendar", random.between(1, 3)),
            };
        }
        match random.below(12) {
            0 => String::new(),
            1 => " ever".into(),
            2..=5 => format!(" in the last {}", self.length(random)),
            6 | 7 => self.band(4, random),
            8 => format!(" more than {} ago", self.length(random)),
            9 | 10 => format!(" since {} {}", edge(random), events(random)),
            _ => format!(" within {} of first {}", self.length(random), random.pick(&EVENTS)),
        }
    }

    /// With a space before it.
    fn band(&self, widest: i64, random: &mut Random) -> String {
        let near = *random.pick(&self.lengths);
        format!(" between {} and {} ago", self.written(near + random.between(1, widest)), self.written(near))
    }

    /// A day near the beginning of the log.
    fn date(&self, random: &mut Random) -> String {
        let days = random.between(-1, 3);
        let at = self.start + Span(days * Span::DAY.0);
        let stamp = jiff::Timestamp::from_millisecond(at.0).expect("within the calendar");
        jiff::tz::TimeZone::UTC.to_datetime(stamp).date().to_string()
    }

    pub(super) fn length(&self, random: &mut Random) -> String {
        let grains = *random.pick(&self.lengths);
        self.written(grains)
    }

    fn written(&self, grains: i64) -> String {
        match self.grain.0 {
            1 => format!("0.{grains:03} seconds"),
            1_000 => format!("{grains} seconds"),
            60_000 => format!("{grains} minutes"),
            3_600_000 => format!("{grains} hours"),
            _ => format!("{grains} days"),
        }
    }
}

/// Puts cohorts into one group or two. Priorities grow in the order of references, so that there are no circles.
fn group(cohorts: &mut [Cohort], random: &mut Random) {
    let mut priority = random.between(-2, 2);
    for cohort in cohorts {
        if random.percent(80) {
            cohort.group = Some((random.word(&["offers", "offers", "calls"]), priority));
            priority += random.between(1, 3);
        }
    }
}

const BOUNDS: [&str; 5] = ["at least", "at most", "exactly", "more than", "fewer than"];

fn bound(most: i64, random: &mut Random) -> String {
    let bound = *random.pick(&BOUNDS);
    // "At least 0" and "fewer than 0" say nothing.
    let least = i64::from(bound == "at least" || bound == "fewer than");
    format!("{bound} {}", random.between(least, most))
}

pub(super) fn step(random: &mut Random) -> String {
    format!("{}{}", events(random), filters(random))
}

pub(super) fn events(random: &mut Random) -> String {
    match random.below(10) {
        0 => "anything".into(),
        1 | 2 => format!("any of ({})", some_events(random).join(", ")),
        _ => (*random.pick(&EVENTS)).into(),
    }
}

fn some_events(random: &mut Random) -> Vec<&'static str> {
    let first = random.below(EVENTS.len());
    let second = (first + 1 + random.below(EVENTS.len() - 1)) % EVENTS.len();
    vec![EVENTS[first], EVENTS[second]]
}

pub(super) fn filters(random: &mut Random) -> String {
    if !random.percent(30) {
        return String::new();
    }
    let count = if random.percent(25) { 2 } else { 1 };
    let filters: Vec<String> = (0..count).map(|_| filter(random)).collect();
    format!(" where {}", filters.join(", "))
}

fn filter(random: &mut Random) -> String {
    let property = *random.pick(&PROPERTIES);
    match random.below(8) {
        0 => format!("{property} is known"),
        1 => format!("{property} is missing"),
        2 => format!("{property} in ({}, {})", literal(random), literal(random)),
        3 => format!("{property} contains \"{}\"", random.pick(&["pro", "1", "o"])),
        _ => format!("{property} {} {}", op(random), literal(random)),
    }
}

pub(super) fn literal(random: &mut Random) -> String {
    match random.below(6) {
        0 => (*random.pick(&["true", "false"])).into(),
        1 | 2 => format!("\"{}\"", random.pick(&["pro", "1", "one"])),
        _ => amount(random),
    }
}

pub(super) fn amount(random: &mut Random) -> String {
    (*random.pick(&["0", "1", "2", "0.1", "0.8", "0.9", "-1", "3.5"])).into()
}

pub(super) fn op(random: &mut Random) -> &'static str {
    random.word(&["=", "!=", "<", "<=", ">", ">="])
}

pub(super) fn factor(random: &mut Random) -> &'static str {
    random.word(&FACTORS)
}

pub(super) fn edge(random: &mut Random) -> &'static str {
    random.word(&["first", "last", "last"])
}

pub(super) fn time_since(random: &mut Random) -> String {
    format!("time since {} {}", edge(random), step(random))
}

pub(super) fn usual_gap(random: &mut Random) -> String {
    format!("usual gap of {}", events(random))
}
