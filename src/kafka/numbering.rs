//! One number for each partition that a consumer reads.

/// A bound of the partitions of one topic, where several are read; clusters have far fewer.
const OF_A_TOPIC: i32 = 1 << 16;

/// The topics of a consumer. A partition of the only one has its own number. Of several topics, the first has the numbers
/// from 65,536 on, the second from 131,072, and so on: so a number below names a partition of an only topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    topics: Vec<String>,
    is_several: bool,
}

impl Numbering {
    #[must_use]
    pub fn one(topic: &str) -> Self {
        Self { topics: vec![topic.to_owned()], is_several: false }
    }

    /// Of several topics, or of one that is numbered as such.
    #[must_use]
    pub fn several(topics: &[String]) -> Self {
        Self { topics: topics.to_vec(), is_several: true }
    }

    #[must_use]
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// The number of a partition; `None`: of another topic.
    #[must_use]
    pub fn number(&self, topic: &str, partition: i32) -> Option<i32> {
        let index = self.topics.iter().position(|name| name == topic)?;
        Some(self.first(index)? + partition)
    }

    /// The topic with this number, by its place among them, and the partition.
    #[must_use]
    pub fn place(&self, number: i32) -> Option<(usize, i32)> {
        if !self.is_several {
            return Some((0, number));
        }
        let index = usize::try_from(number / OF_A_TOPIC).ok()?.checked_sub(1)?;
        (index < self.topics.len()).then_some((index, number % OF_A_TOPIC))
    }

    pub(super) fn is_several(&self) -> bool {
        self.is_several
    }

    /// The number of a topic's first partition.
    fn first(&self, index: usize) -> Option<i32> {
        if !self.is_several {
            return Some(0);
        }
        i32::try_from(index + 1).ok()?.checked_mul(OF_A_TOPIC)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbering;

    #[test]
    fn each_partition_has_a_number_of_its_own() {
        let one = Numbering::one("in");
        assert_eq!((one.number("in", 3), one.place(3), one.number("out", 3)), (Some(3), Some((0, 3)), None));
        let several = Numbering::several(&["orders".to_owned(), "clicks".to_owned()]);
        for (index, topic) in several.topics().iter().enumerate() {
            for partition in [0, 1, 65_535] {
                let number = several.number(topic, partition).unwrap();
                assert!(number >= 65_536, "no partition of an only topic has it: {number}");
                assert_eq!(several.place(number), Some((index, partition)));
            }
        }
        assert_eq!((several.number("in", 0), several.place(7), several.place(3 << 16)), (None, None, None));
    }
}
