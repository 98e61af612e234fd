//! Mappings of well-known shapes, which ship as files.

/// A mapping that ships with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Segment,
    Debezium,
    CloudEvents,
}

impl Preset {
    /// By the words in the file.
    pub const NAMES: [(&'static str, Self); 3] =
        [("segment", Self::Segment), ("debezium", Self::Debezium), ("cloudevents", Self::CloudEvents)];

    /// The preset of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == word).map(|(_, preset)| *preset)
    }

    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Debezium => "debezium",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// Its file: keys of one source.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Segment => include_str!("presets/segment.toml"),
            Self::Debezium => include_str!("presets/debezium.toml"),
            Self::CloudEvents => include_str!("presets/cloudevents.toml"),
        }
    }
}
