//! `[churn]`: how the risk that a customer does not come back is computed.

use toml::Spanned;
use toml::de::DeValue;

use super::{Attribute, Reader, Written, is_plain};
use crate::event::{Localized, Span};
use crate::rules::ast::{Events, Step};
use crate::rules::parser::{parse_attribute, parse_step};

/// The kind of churn model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChurnModel {
    /// For days with a purchase: MBG/NBD.
    #[default]
    Purchases,
    /// For active days: a gamma-Poisson rate with exponential forgetting.
    Usage,
}

/// `[churn]` as written, with the defaults of its model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChurnRule {
    pub model: ChurnModel,
    /// What counts as coming back.
    pub on: Step,
    pub on_text: String,
    /// The range of `on` in the file, with its quotes.
    pub(in crate::rules) on_literal: std::ops::Range<usize>,
    /// The amount of a purchase, and the code of the currency.
    pub amount: Option<Attribute>,
    pub(in crate::rules) amount_text: String,
    pub(in crate::rules) amount_literal: std::ops::Range<usize>,
    pub currency: Option<String>,
    /// Risk is the probability of no event of `on` for so long.
    pub horizon: Span,
    /// The names of the levels above `low`, with the risk at which each begins, ascending.
    pub levels: Vec<(String, f64)>,
    /// No level above `low` before that.
    pub min_silence: Span,
    pub signals: Vec<SignalRule>,
}

/// A custom signal that a customer may leave.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalRule {
    pub when: Written,
    /// Added to `churn_risk`, from -100 to 100.
    pub points: i64,
    pub because: Localized,
}

/// The level below the first threshold.
pub const LOWEST_LEVEL: &str = "low";
const LEVELS_MAX: usize = 5;
const SIGNALS_MAX: usize = 32;
const HORIZON_MAX: Span = Span(3_650 * Span::DAY.0);
const KEYS: [&str; 8] = ["model", "on", "amount", "currency", "horizon", "levels", "min_silence", "signals"];
const SIGNAL_KEYS: [&str; 3] = ["when", "points", "because"];

impl ChurnModel {
    /// The name in outputs and parameter files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Purchases => "mbg_nbd",
            Self::Usage => "fgp",
        }
    }

    fn horizon(self) -> Span {
        Span(Span::DAY.0 * if self == Self::Purchases { 90 } else { 28 })
    }

    fn min_silence(self) -> Span {
        Span(Span::DAY.0 * if self == Self::Purchases { 14 } else { 3 })
    }

    fn levels(self) -> Vec<(String, f64)> {
        let thresholds = if self == Self::Purchases { [0.80, 0.90, 0.95] } else { [0.60, 0.80, 0.90] };
        ["medium", "high", "lost"].map(str::to_owned).into_iter().zip(thresholds).collect()
    }
}

impl ChurnRule {
    /// The same rule with another model, and that model's default horizon and levels.
    #[must_use]
    pub fn under(self, model: ChurnModel) -> Self {
        if model == self.model {
            return self;
        }
        Self {
            model,
            amount: self.amount.filter(|_| model == ChurnModel::Purchases),
            horizon: model.horizon(),
            levels: model.levels(),
            min_silence: model.min_silence(),
            ..self
        }
    }
}

impl Reader<'_> {
    pub(super) fn churn(
        &mut self,
        key_span: std::ops::Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<ChurnRule> {
        let before = self.errors.len();
        let mut model = ChurnModel::default();
        let (mut on, mut amount, mut currency) = (None, None, None);
        let (mut horizon, mut levels, mut min_silence, mut signals) = (None, None, None, Vec::new());
        for entry in self.table("churn", value) {
            let (key, value) = entry;
            let dotted = format!("churn.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "model" => match self.string(&dotted, value).as_deref() {
                    Some("usage") => model = ChurnModel::Usage,
                    Some("purchases") | None => {}
                    Some(_) => self.error(&dotted, value.span(), "expected \"purchases\" or \"usage\"".into(), None),
                },
                "on" => on = self.step(&dotted, value).map(|(step, text)| (step, text, value.span())),
                "amount" => amount = self.amount(&dotted, value),
                "currency" => currency = self.currency(&dotted, value),
                "horizon" => horizon = self.horizon(&dotted, value),
                "levels" => levels = self.levels(&dotted, value),
                "min_silence" => min_silence = self.duration(&dotted, value).map(|duration| duration.span),
                "signals" => signals = self.signals(&dotted, value),
                _ => self.unknown("churn", entry, &KEYS),
            }
        }
        if on.is_none() && self.errors.len() == before {
            let hint = "add it, such as on = \"purchase\": the events that count as coming back";
            self.error("churn", key_span, "`on` is missing".into(), Some(hint.into()));
        }
        let (on, on_text, on_literal): (Step, String, std::ops::Range<usize>) = on?;
        if let Some((attribute, _, span)) = &amount {
            self.amount_fits(model, &on, attribute, span.clone());
        }
        let (amount, amount_text, amount_literal) = match amount {
            Some((attribute, text, span)) => (Some(attribute), text, span),
            None => (None, String::new(), 0..0),
        };
        Some(ChurnRule {
            model,
            on,
            on_text,
            on_literal,
            amount,
            amount_text,
            amount_literal,
            currency,
            horizon: horizon.unwrap_or_else(|| model.horizon()),
            levels: levels.unwrap_or_else(|| model.levels()),
            min_silence: min_silence.unwrap_or_else(|| model.min_silence()),
            signals,
        })
    }

    fn step(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<(Step, String)> {
        let text = self.string(key, value)?;
        match parse_step(&text) {
            Ok(step) => Some((step, text)),
            Err(error) => {
                self.inside(key, value.span(), &text, error);
                None
            }
        }
    }

    fn amount(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<(Attribute, String, std::ops::Range<usize>)> {
        let text = self.string(key, value)?;
        match parse_attribute(&text) {
            Ok((event, property)) => Some((Attribute { event, property }, text, value.span())),
            Err(error) => {
                let hint = "an amount is an event's property: \"purchase.amount\"";
                let error = if error.hint.is_none() { error.hint(hint) } else { error };
                self.inside(key, value.span(), &text, error);
                None
            }
        }
    }

    fn amount_fits(&mut self, model: ChurnModel, on: &Step, amount: &Attribute, span: std::ops::Range<usize>) {
        if model == ChurnModel::Usage {
            let hint = "remove it, or use model = \"purchases\"";
            self.error("churn.amount", span, "usage has no amount".into(), Some(hint.into()));
        } else if let Events::Named(names) = &on.events
            && !names.iter().any(|name| name.text == amount.event.text)
        {
            let message = format!("`{}` is not among the events of `on`", amount.event.text);
            let hint = "the amount must be a property of an event that counts as coming back";
            self.error("churn.amount", span, message, Some(hint.into()));
        }
    }

    fn currency(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let code = self.string(key, value)?;
        if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Some(code);
        }
        let hint = "use the three letters of the code, such as \"EUR\"";
        self.error(key, value.span(), format!("`{code}` is not a valid currency code"), Some(hint.into()));
        None
    }

    fn horizon(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Span> {
        let span = self.duration(key, value)?.span;
        if span >= Span::DAY && span <= HORIZON_MAX {
            return Some(span);
        }
        self.error(key, value.span(), "a horizon must be between one day and ten years".into(), None);
        None
    }

    fn levels(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, f64)>> {
        let before = self.errors.len();
        let mut levels: Vec<(String, f64)> = Vec::new();
        for (name, value) in self.table(key, value) {
            let plain = name.get_ref().as_ref();
            if !is_plain(plain) || plain == LOWEST_LEVEL {
                let hint =
                    format!("use lower-case letters, digits and _; `{LOWEST_LEVEL}` is the level below the first");
                self.error(key, name.span(), format!("`{plain}` is not a valid level name"), Some(hint));
            }
            let threshold = match value.get_ref() {
                DeValue::Float(digits) => digits.as_str().replace('_', "").parse().ok(),
                DeValue::Integer(digits) => digits.as_str().parse().ok(),
                _ => None,
            };
            match threshold {
                Some(threshold) if threshold > 0.0 && threshold < 1.0 => levels.push((plain.to_owned(), threshold)),
                _ => {
                    let hint = "the probability at which the level begins, such as 0.8";
                    let dotted = format!("{key}.{plain}");
                    self.error(&dotted, value.span(), "expected a number between 0 and 1".into(), Some(hint.into()));
                }
            }
        }
        levels.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        let equal = levels.windows(2).any(|pair| pair[0].1 >= pair[1].1);
        if self.errors.len() == before && (equal || levels.is_empty() || levels.len() > LEVELS_MAX) {
            let message = format!("expected 1 to {LEVELS_MAX} levels with different numbers");
            self.error(key, value.span(), message, None);
        }
        (self.errors.len() == before).then_some(levels)
    }

    fn signals(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<SignalRule> {
        let DeValue::Array(items) = value.get_ref() else {
            let hint =
                "signals = [{ when = \"did ticket_opened in the last 7 days\", points = 8, because = \"a ticket\" }]";
            self.error(key, value.span(), "expected a list of signals".into(), Some(hint.into()));
            return Vec::new();
        };
        if items.len() > SIGNALS_MAX {
            self.error(key, value.span(), format!("more than {SIGNALS_MAX} signals"), None);
        }
        items.iter().filter_map(|item| self.signal(key, item)).collect()
    }

    fn signal(&mut self, list: &str, item: &Spanned<DeValue<'_>>) -> Option<SignalRule> {
        let before = self.errors.len();
        let (mut when, mut points, mut because) = (None, None, Localized { en: String::new(), fr: String::new() });
        for entry in self.table(list, item) {
            let (key, value) = entry;
            let dotted = format!("{list}.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "when" => when = self.expression(&dotted, value),
                "points" => {
                    points = self.integer(&dotted, value);
                    if points.is_some_and(|points| points == 0 || points.abs() > 100) {
                        let message = "expected a whole number from -100 to 100, except 0".into();
                        self.error(&dotted, value.span(), message, None);
                    }
                }
                "because" => self.localized(&dotted, value, &mut because),
                _ => self.unknown(list, entry, &SIGNAL_KEYS),
            }
        }
        let missing = match (&when, &points) {
            (None, _) => Some("when = \"did ticket_opened in the last 7 days\""),
            (_, None) => Some("points = 8"),
            _ if because.en.is_empty() => Some("because = \"a ticket is open\""),
            _ => None,
        };
        if let Some(example) = missing
            && self.errors.len() == before
        {
            let hint = format!("add it, such as {example}: a signal needs `when`, `points` and `because`");
            self.error(list, item.span(), "a part of this signal is missing".into(), Some(hint));
        }
        Some(SignalRule { when: when?, points: points?, because })
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Span;
    use crate::rules::{ChurnModel, Document, read};

    const COHORT: &str = "[cohorts.c]\nwho = 'did visit'\n";

    fn document(churn: &str) -> Document {
        read("r.toml", &format!("{COHORT}[churn]\n{churn}")).unwrap_or_else(|errors| panic!("{}", errors[0]))
    }

    fn mistakes(churn: &str) -> Vec<String> {
        let errors = read("r.toml", &format!("{COHORT}[churn]\n{churn}")).expect_err("refused");
        errors.iter().map(|error| format!("{}:{} {}", error.line, error.column, error.message)).collect()
    }

    #[test]
    fn a_shop_needs_to_say_only_what_coming_back_is() {
        let churn = document("on = 'purchase'").churn.unwrap();
        assert_eq!((churn.model, churn.horizon, churn.min_silence), (ChurnModel::Purchases, days(90), days(14)));
        assert_eq!(churn.levels, [("medium".into(), 0.8), ("high".into(), 0.9), ("lost".into(), 0.95)]);
    }

    #[test]
    fn what_is_used_has_other_defaults() {
        let churn = document("model = 'usage'\non = 'any of (login, used) where size > 1'").churn.unwrap();
        assert_eq!((churn.model, churn.horizon, churn.min_silence), (ChurnModel::Usage, days(28), days(3)));
        assert_eq!(churn.levels[0].1, 0.6);
        assert_eq!(churn.on.filters.len(), 1);
    }

    #[test]
    fn levels_are_taken_in_the_order_of_their_numbers() {
        let churn = document("on = 'buy'\nlevels = { gone = 0.9, warm = 0.5 }\nhorizon = '30 days'").churn.unwrap();
        assert_eq!(churn.levels, [("warm".into(), 0.5), ("gone".into(), 0.9)]);
        assert_eq!(churn.horizon, days(30));
    }

    #[test]
    fn mistakes_are_reported_where_they_are() {
        assert_eq!(mistakes("horizon = '90 days'"), ["3:2 `on` is missing"]);
        assert_eq!(mistakes("on = 'buy'\nlevels = { low = 0.5 }"), ["5:12 `low` is not a valid level name"]);
        assert_eq!(mistakes("on = 'buy'\nlevels = { high = 90 }"), ["5:19 expected a number between 0 and 1"]);
        assert!(mistakes("on = 'buy'\nlevels = { a1 = 0.5, b1 = 0.5 }")[0].contains("levels with different numbers"));
        assert!(mistakes("on = 'buy'\namount = 'order.total'")[0].contains("`order` is not among the events of `on`"));
        assert!(mistakes("on = 'buy'\nmodel = 'usage'\namount = 'buy.total'")[0].contains("has no amount"));
        assert!(mistakes("on = 'buy'\nhorizon = '1 hour'")[0].contains("between one day and ten years"));
        assert!(mistakes("on = 'buy'\ncurrency = 'euro'")[0].contains("not a valid currency code"));
        assert!(mistakes("on = 'buy'\nsignals = [{ when = 'did', points = 8, because = 'x' }]")[0].starts_with("5:"));
        assert!(
            mistakes("on = 'buy'\nsignals = [{ when = 'did x_', because = 'x' }]")[0].contains("part of this signal")
        );
        assert!(mistakes("on = 'buy'\nsignals = [{ when = 'did x_', points = 0, because = 'x' }]")[0].contains("-100"));
    }

    fn days(days: i64) -> Span {
        Span(days * Span::DAY.0)
    }
}
