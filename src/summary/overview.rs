//! The report on every cohort on one day: size, changes, the forecast of the next week, and the error of the last
//! forecast.

use serde::Serialize;

use super::digest::{CohortDigest, Digest};
use super::frame::DAYS;
use super::histogram::Histogram;
use super::survey::{CohortSurvey, Expected, Survey};
use crate::engine::level_name;
use crate::event::{CohortForecast, ExpectedChanges, Instant, Localized, Number};
use crate::rules::ast::RankEnd;
use crate::rules::{Cohort, RuleSet};

/// The document of `/cohorts`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// The day, in the rules' time zone: `2026-11-26`.
    pub day: String,
    /// The same, counted from 1970-01-01.
    #[serde(skip)]
    pub day_number: i64,
    /// When the survey was made: milliseconds since 1970-01-01T00:00:00Z.
    pub made_at: i64,
    /// All known customers.
    pub customers: u64,
    /// The currency of all values; null where the rules name none.
    pub currency: Option<String>,
    /// Sorted by the expected share of members who leave, the largest first.
    pub cohorts: Vec<CohortLine>,
    #[serde(skip)]
    details: Vec<CohortDetail>,
}

/// One cohort in the list of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CohortLine {
    pub cohort: String,
    /// Its names for people.
    pub title: Title,
    /// Fingerprint of the definition, in hex.
    pub definition: String,
    /// Members.
    pub size: u64,
    /// Customers whose latest entry, and whose latest exit, was in the seven days before the day.
    pub entered_last_week: u64,
    pub left_last_week: u64,
    /// The next seven days, from `made_at` on.
    pub next_week: Forecast,
    /// The same day by day: calendar days in the rules' time zone, the first from `made_at` on.
    pub days: Vec<DayForecast>,
    /// The share of the members who are expected to leave in the next week: 0.1 is one in ten. At most 1, though more
    /// exits than members may be expected, as customers may enter and leave. Null: nobody is in.
    pub share_leaving: Option<f64>,
    /// The forecast of the last week and its error. Null: there was none.
    pub last_week: Option<Backtest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Title {
    pub en: String,
    pub fr: String,
}

/// A forecast of changes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Forecast {
    /// Exits and entries if every customer does nothing more, found by running each customer's rules forward.
    pub exits_if_silent: u64,
    pub entries_if_silent: u64,
    /// Expected exits and entries, with customers coming back as the churn model expects, and as many changes of new
    /// customers as last week. Other events are not forecast: if the last two weeks both had more changes than
    /// forecast, or both had fewer, by more than chance explains, the difference is added.
    pub exits_expected: f64,
    pub entries_expected: f64,
    /// The expected value, in units of the currency, of the customers who are expected to leave by silence. Null: the
    /// rules name no amounts.
    pub value_at_stake: Option<f64>,
}

/// The forecast of one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayForecast {
    /// `2026-11-26`
    pub day: String,
    #[serde(flatten)]
    pub forecast: Forecast,
}

/// A forecast of seven days against the actual changes. Errors are in customers, without sign.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Backtest {
    /// As forecast seven days before.
    pub exits_expected: f64,
    pub entries_expected: f64,
    /// Actual changes.
    pub left: u64,
    pub entered: u64,
    /// The error of exits and entries together.
    pub error: f64,
    /// The error of the naive forecast, which repeats the week before.
    pub naive_error: f64,
}

/// The document of `/cohorts/{name}`: the line, and more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CohortDetail {
    pub day: String,
    pub made_at: i64,
    pub currency: Option<String>,
    #[serde(flatten)]
    pub line: CohortLine,
    /// Members by churn risk level, the lowest first. Empty without `[churn]`.
    pub risk_levels: Vec<LevelCount>,
    /// Members without a prediction: they have no activity, or there are no parameters yet.
    pub without_risk: u64,
    /// The expected value of members. Null: it is known for none.
    pub value: Option<ValueQuantiles>,
    /// By week of entry, the latest first.
    pub retention: Vec<EntryWeek>,
    /// For customers who entered in the last week: the cohorts that they had left in the seven days before their entry,
    /// the most customers first.
    pub came_from: Vec<Flow>,
    /// The reverse: the cohorts entered in the last week by customers who had left this one in the seven days before.
    pub went_to: Vec<Flow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LevelCount {
    pub level: String,
    pub members: u64,
}

/// The value of a cohort's members, in units of the currency. A quantile is within one per cent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValueQuantiles {
    /// Members with a known value.
    pub members: u64,
    /// The 10th, 50th and 90th percentile.
    pub p10: f64,
    pub p50: f64,
    pub p90: f64,
    pub total: f64,
}

/// The customers whose latest stay began in one week.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryWeek {
    /// The first day of the seven.
    pub from: String,
    pub entered: u64,
    /// How many of them were still in after one week, two weeks, and so on, as far as that time has passed for all of
    /// them. For a customer who has entered again since, only the later stay counts.
    pub still_in_after_weeks: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    pub cohort: String,
    pub customers: u64,
}

impl Overview {
    /// `earlier`: the digests of one, two and three weeks before, where they exist.
    #[must_use]
    pub fn new(rules: &RuleSet, now: &Survey, earlier: [Option<&Digest>; 3]) -> Self {
        let (day, made_at) = (date(now.frame.day), now.frame.at().0);
        let currency = rules.churn.as_ref().and_then(|churn| churn.currency.clone());
        let mut details = Vec::with_capacity(rules.cohorts.len());
        for (number, (cohort, survey)) in rules.cohorts.iter().zip(&now.cohorts).enumerate() {
            let earlier = earlier.map(|digest| digest.and_then(|digest| digest.cohorts.get(number)));
            details.push(CohortDetail {
                day: day.clone(),
                made_at,
                currency: currency.clone(),
                line: CohortLine::new(rules, cohort, survey, earlier, now.frame.day),
                risk_levels: levels(rules, survey),
                without_risk: survey.members.saturating_sub(survey.levels.iter().sum()),
                value: ValueQuantiles::of(survey),
                retention: retention(survey, now.frame.day),
                came_from: flows(rules, survey.came_from.iter().map(|(from, customers)| (from.0, *customers))),
                went_to: flows(rules, gone_to(now, number)),
            });
        }
        details.sort_by(|a, b| {
            // By exits per member, which may exceed 1.
            let share = |detail: &CohortDetail| {
                let line = &detail.line;
                if line.size > 0 { line.next_week.exits_expected / line.size as f64 } else { -1.0 }
            };
            share(b).total_cmp(&share(a)).then_with(|| a.line.cohort.cmp(&b.line.cohort))
        });
        let cohorts = details.iter().map(|detail| detail.line.clone()).collect();
        Self { day, day_number: now.frame.day, made_at, customers: now.customers, currency, cohorts, details }
    }

    /// The report on one cohort. `None`: there is no such cohort.
    #[must_use]
    pub fn detail(&self, cohort: &str) -> Option<&CohortDetail> {
        self.details.iter().find(|detail| detail.line.cohort == cohort)
    }

    /// The same as records of `cohort-forecasts`.
    pub fn forecasts(&self) -> impl Iterator<Item = CohortForecast> + '_ {
        let day = i32::try_from(self.day_number).unwrap_or(i32::MAX);
        self.cohorts.iter().map(move |line| CohortForecast {
            cohort: line.cohort.clone(),
            day,
            made_at: Instant(self.made_at),
            size: line.size,
            entered_last_week: line.entered_last_week,
            left_last_week: line.left_last_week,
            week: line.next_week.into(),
            days: line.days.iter().map(|day| day.forecast.into()).collect(),
            currency: self.currency.clone(),
            error_last_week: line.last_week.map(|backtest| backtest.error),
            naive_error_last_week: line.last_week.map(|backtest| backtest.naive_error),
            definition: line.definition.clone(),
        })
    }
}

impl CohortLine {
    fn new(
        rules: &RuleSet,
        cohort: &Cohort,
        now: &CohortSurvey,
        [then, before, first]: [Option<&CohortDigest>; 3],
        day: i64,
    ) -> Self {
        let has_amounts = rules.churn.as_ref().is_some_and(|churn| churn.has_amounts);
        let digest = CohortDigest::of(now);
        let bias = Bias::of([Some(&digest), then, before]);
        // Without amounts no value is known.
        let value_at_stake = |expected: &Expected| has_amounts.then(|| expected.value_at_stake.to_double());
        let next_week = Forecast {
            value_at_stake: value_at_stake(&digest.week),
            ..Forecast::of_week(&digest).corrected(bias, 1.0)
        };
        let part = 1.0 / DAYS as f64;
        let forecast = |(ahead, expected): (i64, &Expected)| DayForecast {
            day: date(day + ahead),
            forecast: Forecast {
                value_at_stake: value_at_stake(expected),
                ..Forecast::new(expected, &digest, part).corrected(bias, part)
            },
        };
        Self {
            cohort: cohort.name.clone(),
            title: Title::from(&cohort.title),
            definition: cohort.definition.clone(),
            size: now.members,
            entered_last_week: now.entered,
            left_last_week: now.left,
            next_week,
            days: (0..).zip(&now.days).map(forecast).collect(),
            share_leaving: share(next_week.exits_expected, now.members),
            last_week: then.map(|then| Backtest::new(then, Bias::of([Some(then), before, first]), &digest)),
        }
    }
}

impl From<&Localized> for Title {
    fn from(title: &Localized) -> Self {
        Self { en: title.en.clone(), fr: title.fr.clone() }
    }
}

impl Forecast {
    fn of_week(digest: &CohortDigest) -> Self {
        Self::new(&digest.week, digest, 1.0)
    }

    fn corrected(self, bias: Bias, part: f64) -> Self {
        Self {
            exits_expected: (self.exits_expected + bias.exits * part).max(0.0),
            entries_expected: (self.entries_expected + bias.entries * part).max(0.0),
            ..self
        }
    }

    /// Without the value at stake. `part`: the part of a week, for which that part of last week's changes of new
    /// customers is added.
    fn new(expected: &Expected, digest: &CohortDigest, part: f64) -> Self {
        Self {
            exits_if_silent: expected.exits_if_silent,
            entries_if_silent: expected.entries_if_silent,
            exits_expected: expected.exits.to_double() + digest.left_new as f64 * part,
            entries_expected: expected.entries.to_double() + digest.entered_new as f64 * part,
            value_at_stake: None,
        }
    }
}

/// Exits as a share of the members. `None`: nobody is in.
fn share(exits: f64, members: u64) -> Option<f64> {
    (members > 0).then(|| (exits / members as f64).clamp(0.0, 1.0))
}

/// The difference between actual and forecast changes, where it is more than chance explains.
#[derive(Debug, Clone, Copy, Default)]
struct Bias {
    exits: f64,
    entries: f64,
}

impl Bias {
    /// The bias that two consecutive weeks have in common; zero unless the digests of three consecutive weeks exist.
    fn of(weeks: [Option<&CohortDigest>; 3]) -> Self {
        let [Some(now), Some(then), Some(before)] = weeks else { return Self::default() };
        let (latest, other) = (Self::of_week(then, now), Self::of_week(before, then));
        let common = |a: f64, b: f64| if a * b > 0.0 { a.abs().min(b.abs()).copysign(a) } else { 0.0 };
        Self { exits: common(latest.exits, other.exits), entries: common(latest.entries, other.entries) }
    }

    /// Counts vary by about their square root by chance, so a difference of more than twice that counts as bias.
    fn of_week(then: &CohortDigest, now: &CohortDigest) -> Self {
        let forecast = Forecast::of_week(then);
        let bias = |expected: f64, actual: u64| {
            let (error, chance) = (actual as f64 - expected, (actual as f64).max(expected).sqrt());
            if error.abs() > 2.0 * chance { error } else { 0.0 }
        };
        Self { exits: bias(forecast.exits_expected, now.left), entries: bias(forecast.entries_expected, now.entered) }
    }
}

impl From<Forecast> for ExpectedChanges {
    fn from(forecast: Forecast) -> Self {
        Self {
            exits_if_silent: forecast.exits_if_silent,
            entries_if_silent: forecast.entries_if_silent,
            exits_expected: forecast.exits_expected,
            entries_expected: forecast.entries_expected,
            value_at_stake: forecast.value_at_stake,
        }
    }
}

impl Backtest {
    /// `bias`: the bias known at that time.
    fn new(then: &CohortDigest, bias: Bias, now: &CohortDigest) -> Self {
        let forecast = Forecast::of_week(then).corrected(bias, 1.0);
        let error = |exits: f64, entries: f64| (exits - now.left as f64).abs() + (entries - now.entered as f64).abs();
        Self {
            exits_expected: forecast.exits_expected,
            entries_expected: forecast.entries_expected,
            left: now.left,
            entered: now.entered,
            error: error(forecast.exits_expected, forecast.entries_expected),
            naive_error: error(then.left as f64, then.entered as f64),
        }
    }
}

impl ValueQuantiles {
    fn of(survey: &CohortSurvey) -> Option<Self> {
        let quantile = |per_cent| quantile(&survey.values, per_cent);
        Some(Self {
            members: survey.values.total(),
            p10: quantile(10)?,
            p50: quantile(50)?,
            p90: quantile(90)?,
            total: survey.value.to_double(),
        })
    }
}

/// A percentile: the middle of its bucket.
fn quantile(values: &Histogram, per_cent: u64) -> Option<f64> {
    let rank = (u128::from(values.total()) * u128::from(per_cent)).div_ceil(100);
    let bucket = values.nth(RankEnd::Lowest, u64::try_from(rank).ok()?.max(1))?;
    Some(Number(i128::midpoint(bucket.least().0, bucket.most().0)).to_double())
}

fn levels(rules: &RuleSet, survey: &CohortSurvey) -> Vec<LevelCount> {
    let count =
        |(level, members): (usize, &u64)| LevelCount { level: level_name(rules, level).to_owned(), members: *members };
    survey.levels.iter().enumerate().map(count).collect()
}

fn retention(survey: &CohortSurvey, day: i64) -> Vec<EntryWeek> {
    let week = |(ago, stayed): (i64, &Vec<u64>)| {
        let (entered, later) = stayed.split_first()?;
        Some(EntryWeek { from: date(day - 7 * ago), entered: *entered, still_in_after_weeks: later.to_vec() })
    };
    (1..).zip(&survey.retention).filter_map(week).collect()
}

/// The cohorts, by number, entered by customers who had left one.
fn gone_to(now: &Survey, from: usize) -> impl Iterator<Item = (u16, u64)> {
    let came = move |(to, survey): (u16, &CohortSurvey)| {
        let from = survey.came_from.iter().find(|(other, _)| usize::from(other.0) == from);
        from.map(|(_, customers)| (to, *customers))
    };
    (0..).zip(&now.cohorts).filter_map(came)
}

fn flows(rules: &RuleSet, customers: impl Iterator<Item = (u16, u64)>) -> Vec<Flow> {
    let name = |number: u16| rules.cohorts[usize::from(number)].name.clone();
    let mut flows: Vec<Flow> = customers.map(|(other, customers)| Flow { cohort: name(other), customers }).collect();
    flows.sort_by(|a, b| b.customers.cmp(&a.customers).then_with(|| a.cohort.cmp(&b.cohort)));
    flows
}

/// `2026-11-26`, from days since 1970-01-01.
fn date(day: i64) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = jiff::Span::new().try_days(day).and_then(|days| epoch.checked_add(days));
    date.map_or_else(|_| format!("day {day}"), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_of_members_is_a_share() {
        for (exits, members, expected) in
            [(3.0, 12, Some(0.25)), (19.0, 8, Some(1.0)), (-0.5, 8, Some(0.0)), (2.0, 0, None)]
        {
            assert_eq!(share(exits, members), expected, "{exits} of {members}");
        }
    }
}
