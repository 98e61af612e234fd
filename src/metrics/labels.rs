//! Closed lists of labels.

/// Operations that are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Describing the cluster and its topics at the start.
    Kafka,
    /// Registering the schemas of the outputs.
    Registry,
    /// Reading the rules topic at the start.
    Rules,
    /// Publishing a batch.
    Transaction,
    /// Restoring a partition after it failed.
    Partition,
    /// Reading the summaries.
    Summaries,
    /// Fetching a schema of the input.
    Schema,
}

/// The stages of a batch that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for and taking records from the queue of the client.
    Poll,
    /// Reading states, decoding records, evaluating rules and encoding changes.
    Apply,
    /// The write to the database.
    Write,
    /// Handing the encoded records to the client.
    Send,
    /// Waiting until the brokers have acknowledged them.
    Deliver,
    /// Offsets and the end of the transaction.
    Commit,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    Committed,
    Aborted,
    /// The commit's answer was lost; the outcome was read from the log.
    Resolved,
}

/// The outcome of a due timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// Its customer was evaluated.
    Decided,
    /// The deadline had moved; the timer was set again.
    Rearmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    Assigned,
    Revoked,
    /// Lost without a revocation: this process was silent for too long.
    Lost,
}

impl Stage {
    pub(super) const ALL: [Self; 6] = [Self::Poll, Self::Apply, Self::Write, Self::Send, Self::Deliver, Self::Commit];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Apply => "apply",
            Self::Write => "write",
            Self::Send => "send",
            Self::Deliver => "deliver",
            Self::Commit => "commit",
        }
    }
}

impl Transaction {
    pub(super) const ALL: [Self; 3] = [Self::Committed, Self::Aborted, Self::Resolved];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Resolved => "resolved",
        }
    }
}

impl Fired {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Rearmed => "rearmed",
        }
    }
}

impl Retry {
    pub(super) const ALL: [Self; 7] =
        [Self::Kafka, Self::Registry, Self::Rules, Self::Transaction, Self::Partition, Self::Summaries, Self::Schema];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Rules => "rules",
            Self::Transaction => "transaction",
            Self::Partition => "partition",
            Self::Summaries => "summaries",
            Self::Schema => "schema",
        }
    }
}

impl Rebalance {
    pub(super) const ALL: [Self; 3] = [Self::Assigned, Self::Revoked, Self::Lost];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }
}
