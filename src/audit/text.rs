//! Numbers and names in English and French.

use serde::Serialize;

/// A language of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text {
    pub en: String,
    pub fr: String,
}

impl Text {
    #[must_use]
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::French => &self.fr,
        }
    }
}

/// `1,204`, `1 204`.
#[must_use]
pub fn number(number: u64, language: Language) -> String {
    let separator = match language {
        Language::English => ',',
        // Narrow, and no place to break a line.
        Language::French => '\u{202f}',
    };
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// `12 %`, `0.4 %`, `under 0.1 %`; a share is never rounded to nothing or to all.
#[must_use]
pub fn percent(share: f64, language: Language) -> String {
    let share = share * 100.0;
    let (under, over, space) = match language {
        Language::English => ("under ", "over ", ' '),
        Language::French => ("moins de ", "plus de ", '\u{a0}'),
    };
    let (before, digits) = if share <= 0.0 {
        ("", "0".to_owned())
    } else if share >= 100.0 {
        ("", "100".to_owned())
    } else if share < 0.1 {
        (under, "0.1".to_owned())
    } else if share > 99.9 {
        (over, "99.9".to_owned())
    } else if (10.0..99.0).contains(&share) {
        ("", format!("{share:.0}"))
    } else {
        let digits = format!("{share:.1}");
        ("", digits.strip_suffix(".0").map_or(digits.clone(), str::to_owned))
    };
    let digits = if language == Language::French { digits.replace('.', ",") } else { digits };
    format!("{before}{digits}{space}%")
}

/// `640 kB`, `2.1 GB`; in French with `o`.
#[must_use]
pub fn size(bytes: u64, language: Language) -> String {
    let (unit, space) = match language {
        Language::English => ("B", ' '),
        Language::French => ("o", '\u{a0}'),
    };
    let scales = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    let Some((scale, letter)) = scales.into_iter().find(|(scale, _)| bytes >= *scale) else {
        return format!("{bytes}{space}{unit}");
    };
    let tenths = bytes / (scale / 10);
    let point = if language == Language::French { ',' } else { '.' };
    if tenths >= 100 {
        format!("{}{space}{letter}{unit}", tenths / 10)
    } else {
        format!("{}{point}{}{space}{letter}{unit}", tenths / 10, tenths % 10)
    }
}

/// `1 record`, `1,204 records`. In French a number below two has no plural.
#[must_use]
pub fn counted(count: u64, one: &str, more: &str, language: Language) -> String {
    let is_one = count == 1 || count == 0 && language == Language::French;
    let space = if language == Language::French { '\u{a0}' } else { ' ' };
    format!("{}{space}{}", number(count, language), if is_one { one } else { more })
}

/// `a`, `a and b`, `a, b and c`; only the first few, with the number of the others.
#[must_use]
pub fn listed(names: &[String], language: Language) -> String {
    const NAMED_MAX: usize = 5;
    let (and, others) = match language {
        Language::English => ("and", "others"),
        Language::French => ("et", "autres"),
    };
    // One more is as short as saying so.
    let named = if names.len() == NAMED_MAX + 1 { names.len() } else { NAMED_MAX };
    let mut shown: Vec<String> = names.iter().take(named).cloned().collect();
    if names.len() > named {
        shown.push(format!("{} {others}", names.len() - named));
    }
    match shown.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {and} {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, counted, listed, number, percent, size};

    #[test]
    fn numbers_are_written_as_in_each_language() {
        use Language::{English, French};
        assert_eq!((number(1_204_567, English), number(1_204, French)), ("1,204,567".into(), "1\u{202f}204".into()));
        for (share, english, french) in [
            (0.0, "0 %", "0\u{a0}%"),
            (0.000_4, "under 0.1 %", "moins de 0,1\u{a0}%"),
            (0.004, "0.4 %", "0,4\u{a0}%"),
            (0.02, "2 %", "2\u{a0}%"),
            (0.126, "13 %", "13\u{a0}%"),
            (0.995, "99.5 %", "99,5\u{a0}%"),
            (0.999_9, "over 99.9 %", "plus de 99,9\u{a0}%"),
            (1.0, "100 %", "100\u{a0}%"),
        ] {
            assert_eq!((percent(share, English), percent(share, French)), (english.into(), french.into()));
        }
        assert_eq!((size(999, English), size(2_149_000_000, French)), ("999 B".into(), "2,1\u{a0}Go".into()));
        assert_eq!(counted(0, "message", "messages", French), "0\u{a0}message");
        assert_eq!(counted(0, "record", "records", English), "0 records");
        let names: Vec<String> = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
        assert_eq!(listed(&names, English), "a, b, c, d, e and 2 others");
        assert!(listed(&names[..6], English).ends_with("e and f"));
        assert_eq!((listed(&names[..1], French), listed(&names[..2], French)), ("a".into(), "a et b".into()));
    }
}
