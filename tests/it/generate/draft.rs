//! Rules before they are written down.

use std::fmt::Write;

use super::churn::Churn;
use super::measures::Named;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) time_zone: &'static str,
    /// Empty: not written.
    pub(crate) activity: Vec<&'static str>,
    pub(crate) usual_gaps: Vec<(&'static str, String)>,
    pub(crate) named: Vec<Named>,
    pub(crate) churn: Option<Churn>,
    pub(crate) cohorts: Vec<Cohort>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Cohort {
    pub(crate) name: &'static str,
    pub(crate) who: Expr,
    pub(crate) stay: Option<Expr>,
    pub(crate) until: Option<Expr>,
    pub(crate) at_least: Option<String>,
    pub(crate) at_most: Option<String>,
    pub(crate) cooldown: Option<String>,
    pub(crate) once: bool,
    pub(crate) disabled: bool,
    pub(crate) shadow: bool,
    /// A group, and the priority in it.
    pub(crate) group: Option<(&'static str, i64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// One condition, as written.
    Leaf(String),
}

impl Default for Expr {
    fn default() -> Self {
        Self::Leaf("did anything".into())
    }
}

impl Expr {
    pub(super) fn text(&self) -> String {
        let join = |parts: &[Self], word: &str| {
            let parts: Vec<String> = parts.iter().map(Self::inner).collect();
            parts.join(word)
        };
        match self {
            Self::And(parts) => join(parts, " and "),
            Self::Or(parts) => join(parts, " or "),
            // A rhythm takes no `not`; what is made of two of them does.
            Self::Not(inner) if matches!(inner.as_ref(), Self::Leaf(text) if text.contains(" of the last ")) => {
                format!("not ({0} or {0})", inner.text())
            }
            Self::Not(inner) => format!("not {}", inner.inner()),
            Self::Leaf(text) => text.clone(),
        }
    }

    fn inner(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            _ => format!("({})", self.text()),
        }
    }

    /// What it may be replaced by when a smaller case is looked for: its parts, and itself without one of them.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        match self {
            Self::Leaf(_) => vec![],
            Self::Not(inner) => {
                let mut smaller = vec![inner.as_ref().clone()];
                smaller.extend(inner.smaller().into_iter().map(|inner| Self::Not(Box::new(inner))));
                smaller
            }
            Self::And(parts) => Self::smaller_parts(parts, Self::And),
            Self::Or(parts) => Self::smaller_parts(parts, Self::Or),
        }
    }

    fn smaller_parts(parts: &[Self], join: fn(Vec<Self>) -> Self) -> Vec<Self> {
        let mut smaller = parts.to_vec();
        for (i, part) in parts.iter().enumerate() {
            if parts.len() > 2 {
                let mut fewer = parts.to_vec();
                fewer.remove(i);
                smaller.push(join(fewer));
            }
            for replacement in part.smaller() {
                let mut changed = parts.to_vec();
                changed[i] = replacement;
                smaller.push(join(changed));
            }
        }
        smaller
    }
}

impl Draft {
    /// The rules file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.time_zone != "UTC" {
            line(&mut text, format_args!("time_zone = \"{}\"", self.time_zone));
        }
        if !self.activity.is_empty() {
            line(&mut text, format_args!("activity = {:?}", self.activity));
        }
        if !self.usual_gaps.is_empty() {
            line(&mut text, format_args!("[defaults.usual_gap]"));
        }
        for (event, gap) in &self.usual_gaps {
            line(&mut text, format_args!("{event} = \"{gap}\""));
        }
        for (section, attributes) in [("profile", true), ("measures", false)] {
            let mut of_section = self.named.iter().filter(|named| named.attribute == attributes).peekable();
            if of_section.peek().is_some() {
                line(&mut text, format_args!("[{section}]"));
            }
            of_section.for_each(|named| line(&mut text, format_args!("{} = '''{}'''", named.name, named.text)));
        }
        if let Some(churn) = &self.churn {
            text.push_str(&churn.text());
        }
        for cohort in &self.cohorts {
            cohort.write(&mut text);
        }
        text
    }
}

impl Cohort {
    /// Does it refer to another cohort? Only of cohorts without memory.
    pub(crate) fn refers(&self) -> bool {
        matches!(&self.who, Expr::And(parts) if parts.iter().any(|part| {
            matches!(part, Expr::Leaf(text) if text.starts_with("in ") || text.starts_with("not in "))
        }))
    }

    fn write(&self, text: &mut String) {
        line(text, format_args!("[cohorts.{}]", self.name));
        for (key, expr) in [("who", Some(&self.who)), ("stay", self.stay.as_ref()), ("until", self.until.as_ref())] {
            if let Some(expr) = expr {
                line(text, format_args!("{key} = '''{}'''", expr.text()));
            }
        }
        for (key, length) in [("at_least", &self.at_least), ("at_most", &self.at_most), ("cooldown", &self.cooldown)] {
            if let Some(length) = length {
                line(text, format_args!("{key} = \"{length}\""));
            }
        }
        if self.once {
            line(text, format_args!("reenter = \"never\""));
        }
        if self.disabled {
            line(text, format_args!("enabled = false"));
        }
        if self.shadow {
            line(text, format_args!("shadow = true"));
        }
        if let Some((group, priority)) = self.group {
            line(text, format_args!("exclusive_in = \"{group}\"\npriority = {priority}"));
        }
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a text takes every line");
}
