//! Many records of several partitions, those of each handed over together.

use super::failure::Failure;
use super::producer::Producer;
use super::record::Outgoing;

/// Records of one call of [`Producer::send_all`] that are sorted by partition at once.
pub const TOGETHER: usize = 1_024;

impl Producer {
    /// Queues records with their numbers, each partition's in the order given, as
    /// [`send_together`](Self::send_together) does. `meanwhile` is called from time to time.
    ///
    /// # Errors
    /// As there. Others may not be queued either.
    pub fn send_all<'r>(
        &self,
        mut records: impl Iterator<Item = (usize, Outgoing<'r>)>,
        meanwhile: &dyn Fn(),
    ) -> Result<(), (usize, Failure)> {
        let mut topics: Vec<&str> = Vec::new();
        let (mut chunk, mut order) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
        let (mut numbers, mut together) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
        loop {
            chunk.clear();
            chunk.extend(records.by_ref().take(TOGETHER));
            if chunk.is_empty() {
                return Ok(());
            }
            order.clear();
            for (position, (_, record)) in chunk.iter().enumerate() {
                let topic = topics.iter().position(|topic| *topic == record.topic).unwrap_or_else(|| {
                    topics.push(record.topic);
                    topics.len() - 1
                });
                order.push((topic, record.partition, position));
            }
            order.sort_unstable();
            for run in order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
                numbers.clear();
                together.clear();
                for (_, _, position) in run {
                    let (number, record) = chunk[*position];
                    numbers.push(number);
                    together.push(record);
                }
                self.send_together(&together, &numbers)?;
            }
            meanwhile();
        }
    }
}
