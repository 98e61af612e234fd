//! The sources, compiled.

use crate::kafka::Numbering;
use crate::metrics::{Metrics, SourceMetrics};
use crate::sources::{Document, Mapping};

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) mapping: Mapping,
    pub(super) metrics: SourceMetrics,
}

impl Source {
    pub(super) fn name(&self) -> &str {
        &self.mapping.source().name
    }
}

/// All sources, and their topics.
#[derive(Debug)]
pub(crate) struct Sources {
    sources: Vec<Source>,
    /// The place of the source of each topic, in the order of the numbering.
    of_topic: Vec<usize>,
    pub(super) numbering: Numbering,
}

impl Sources {
    /// Compiles what was read and checked.
    #[must_use]
    pub(crate) fn new(document: &Document, metrics: &Metrics) -> Self {
        let (mut topics, mut of_topic) = (Vec::new(), Vec::new());
        for (place, source) in document.sources.iter().enumerate() {
            topics.extend(source.topics.iter().cloned());
            of_topic.extend(source.topics.iter().map(|_| place));
        }
        let source = |source: &crate::sources::Source| Source {
            mapping: Mapping::new(source.clone()),
            metrics: metrics.source(&source.name),
        };
        Self {
            sources: document.sources.iter().map(source).collect(),
            of_topic,
            numbering: Numbering::several(&topics),
        }
    }

    /// The topics of all sources.
    #[must_use]
    pub(crate) fn topics(&self) -> &[String] {
        self.numbering.topics()
    }

    /// The place of a topic's source.
    pub(super) fn place_of(&self, topic: usize) -> usize {
        self.of_topic[topic]
    }

    /// The source of a topic, by the topic's place.
    pub(super) fn of_topic(&self, topic: usize) -> &Source {
        &self.sources[self.of_topic[topic]]
    }
}
