//! Errors in a rules file: file, line, column, the source line, a caret and a hint.

use std::fmt;

use super::ast::Range;

/// An error inside one expression, whose location in the file the document knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    pub range: Range,
    pub message: String,
    pub hint: Option<String>,
}

impl ExprError {
    #[must_use]
    pub fn new(range: Range, message: impl Into<String>) -> Self {
        Self { range, message: message.into(), hint: None }
    }

    /// With what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error in a rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The name of the file as given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The dotted key, such as `cohorts.vip.who`; empty where there is none.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
    source_line: String,
    caret_len: usize,
}

impl RuleError {
    /// An error at a byte range of the file.
    #[must_use]
    pub fn at(file: &str, text: &str, range: Range, key: &str, message: String, hint: Option<String>) -> Self {
        let start = range.start.min(text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let shown_end = range.end.clamp(start, line_end);
        Self {
            file: file.into(),
            line: text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            key: key.into(),
            message,
            hint,
            source_line: text[line_start..line_end].trim_end_matches('\r').into(),
            caret_len: text[start..shown_end].chars().count().max(1),
        }
    }

    /// One line: file, location, key, message and hint.
    #[must_use]
    pub fn one_line(&self) -> String {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}:{}:{}: {key}{}{hint}", self.file, self.line, self.column, self.message)
    }
}

impl fmt::Display for RuleError {
    /// That line, then the source line with a caret below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.line.to_string();
        let pad = " ".repeat(gutter.len());
        let before: String =
            self.source_line.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}", self.one_line())?;
        writeln!(f, " {pad} |")?;
        writeln!(f, " {gutter} | {}", self.source_line)?;
        write!(f, " {pad} | {before}{}", "^".repeat(self.caret_len))
    }
}

impl std::error::Error for RuleError {}

/// The candidate nearest to `word`, if it is near enough to be a typing error.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The value that differs from `text` in case alone, or else the [`nearest`].
#[must_use]
pub fn nearest_value<'a>(text: &str, values: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let lower = text.to_lowercase();
    values.clone().find(|value| value.to_lowercase() == lower).or_else(|| nearest(text, values))
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
pub(super) fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitute = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitute.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("frmo", ["from", "to"]), Some("from"));
        assert_eq!(nearest("recuring_at_risk", ["recurring_at_risk", "vip"]), Some("recurring_at_risk"));
        assert_eq!(nearest("banana", ["vip", "new_signups"]), None);
    }
}
