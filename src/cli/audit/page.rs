//! Lines of at most 100 columns, in English or French.

use jiff::Timestamp;

use crate::audit::Language;
use crate::event::{Instant, Span};

/// The columns of a line.
const WIDTH: usize = 100;
/// Where the text of a row begins.
const LABEL: usize = 14;

/// A text in the making.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) language: Language,
    text: String,
}

impl Page {
    pub(super) fn new(language: Language) -> Self {
        Self { language, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// The text in the page's language.
    pub(super) fn say<T>(&self, english: T, french: T) -> T {
        match self.language {
            Language::English => english,
            Language::French => french,
        }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A line with a blank one before it.
    pub(super) fn heading(&mut self, line: &str) {
        self.line("");
        self.line(line);
    }

    /// A label, and a text beside it over as many lines as it needs.
    pub(super) fn row(&mut self, label: &str, text: &str) {
        let label = format!("  {label}");
        let first = format!("{label:<LABEL$}");
        // A label that is too long has a space after it all the same.
        let first = if first.ends_with(' ') { first } else { format!("{first} ") };
        self.wrapped(&first, LABEL, text);
    }

    /// A text that begins after `first`, and continues so many columns in.
    pub(super) fn wrapped(&mut self, first: &str, indent: usize, text: &str) {
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in text.split(' ') {
            let length = line.chars().count() + usize::from(!is_empty) + word.chars().count();
            if !is_empty && length > WIDTH {
                self.line(&line);
                line = " ".repeat(indent);
                is_empty = true;
            }
            line.push_str(if is_empty { "" } else { " " });
            line.push_str(word);
            is_empty = false;
        }
        self.line(&line);
    }

    /// `31 Jan 2026 08:00`, in UTC.
    pub(super) fn instant(&self, at: i64) -> String {
        const ENGLISH: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        const FRENCH: [&str; 12] =
            ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."];
        let Ok(at) = Timestamp::from_millisecond(at) else { return Instant(at).to_string() };
        let at = jiff::tz::TimeZone::UTC.to_datetime(at);
        let month = self.say(ENGLISH, FRENCH)[usize::from(at.month().unsigned_abs()) - 1];
        let day = match (at.day(), self.language) {
            (1, Language::French) => "1er".to_owned(),
            (day, _) => day.to_string(),
        };
        format!("{day} {month} {} {:02}:{:02}", at.year(), at.hour(), at.minute())
    }

    /// About how long, in the largest unit that fits.
    pub(super) fn length(&self, ms: i64) -> String {
        let units = [
            (Span::DAY, "days", "jours"),
            (Span::HOUR, "hours", "heures"),
            (Span::MINUTE, "minutes", "minutes"),
            (Span::SECOND, "seconds", "secondes"),
        ];
        match units.into_iter().find(|(unit, ..)| ms >= 2 * unit.0) {
            Some((unit, english, french)) => format!("{} {}", ms / unit.0, self.say(english, french)),
            None => format!("{ms} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, WIDTH};
    use crate::audit::Language;

    #[test]
    fn a_row_goes_on_below_its_text_and_no_line_is_too_long() {
        let mut page = Page::new(Language::English);
        page.row("customer", &"word ".repeat(40));
        page.row("a label that is long", "text");
        let text = page.finish();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("  customer    word") && lines[1].starts_with("              word"), "{text}");
        assert_eq!(lines.last().copied(), Some("  a label that is long text"));
    }

    #[test]
    fn instants_and_lengths_are_written_in_each_language() {
        let (english, french) = (Page::new(Language::English), Page::new(Language::French));
        assert_eq!(english.instant(1_767_603_600_000), "5 Jan 2026 09:00");
        assert_eq!(french.instant(1_769_904_000_000), "1er févr. 2026 00:00");
        assert_eq!((english.length(1_500), french.length(7_200_000)), ("1500 ms".into(), "2 heures".into()));
    }
}
